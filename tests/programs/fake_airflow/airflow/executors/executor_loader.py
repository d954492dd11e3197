from airflow.configuration import conf


class LocalExecutor:
    is_local = True


class CeleryExecutor:
    is_local = False


class ExecutorLoader:
    @staticmethod
    def import_default_executor_cls():
        return {"LocalExecutor": LocalExecutor, "CeleryExecutor": CeleryExecutor}[conf.get("core", "executor")], None
