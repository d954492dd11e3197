"""What the helper asks a database for: in the fake one nothing is encrypted."""


class inspect:
    def __init__(self, engine):
        self.engine = engine

    def get_table_names(self):
        return []


column = select = table = true = None
