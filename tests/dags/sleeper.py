"""One task that does not end by itself. The runner has a process group of its own, the shell a session of its own."""

import datetime

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG
    from airflow.operators.bash import BashOperator

with DAG("sleeper", schedule=None, start_date=datetime.datetime(2024, 1, 1), catchup=False):
    BashOperator(task_id="sleep", bash_command="exec sleep 300.25")
