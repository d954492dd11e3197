"""Three tasks, one after another; runs on Airflow 2.6 to 3.3."""

import datetime

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG
    from airflow.operators.bash import BashOperator

with DAG("three", schedule=None, start_date=datetime.datetime(2024, 1, 1), catchup=False):
    first, second, third = (
        BashOperator(task_id=name, bash_command=f"echo hello from {name}") for name in ("first", "second", "third")
    )
    first >> second >> third
