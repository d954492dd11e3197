class MigrationContext:
    @staticmethod
    def configure(connection):
        return MigrationContext()

    def get_current_revision(self):
        return None
