from airflow.configuration import conf

_executor_names: list[str] = []  # as 2.10 and later keep them


class LocalExecutor:
    is_local = True


class SequentialExecutor(LocalExecutor):
    pass


class CeleryExecutor:
    is_local = False


class ExecutorLoader:
    executors = {
        "CeleryExecutor": "airflow.executors.executor_loader.CeleryExecutor",
        "KubernetesExecutor": "airflow.providers.cncf.kubernetes.executors.kubernetes_executor.KubernetesExecutor",
    }

    @staticmethod
    def import_default_executor_cls():
        if not _executor_names:
            _executor_names.append(conf.get("core", "executor").split(",")[0])
        return {
            "LocalExecutor": LocalExecutor,
            "SequentialExecutor": SequentialExecutor,
            "CeleryExecutor": CeleryExecutor,
        }[_executor_names[0]], None
