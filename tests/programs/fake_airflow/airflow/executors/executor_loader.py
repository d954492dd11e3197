from airflow.configuration import conf

_executor_names: list[str] = []  # as 2.10 and later keep them


class LocalExecutor:
    is_local = True


class CeleryExecutor:
    is_local = False


class ExecutorLoader:
    @staticmethod
    def import_default_executor_cls():
        if not _executor_names:
            _executor_names.append(conf.get("core", "executor"))
        return {"LocalExecutor": LocalExecutor, "CeleryExecutor": CeleryExecutor}[_executor_names[0]], None
