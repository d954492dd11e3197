"""Twenty tasks at once, and four that take a while and are tried again if they are lost; runs on Airflow 2.6 to 3.3."""

import datetime

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG
    from airflow.operators.bash import BashOperator

ALWAYS = {"schedule": None, "start_date": datetime.datetime(2024, 1, 1), "catchup": False}

with DAG("twenty", **ALWAYS):
    for number in range(20):
        BashOperator(task_id=f"task{number:02}", bash_command="hostname")

with DAG("steady", default_args={"retries": 3, "retry_delay": datetime.timedelta(seconds=1)}, **ALWAYS):
    for number in range(4):
        BashOperator(task_id=f"steady{number}", bash_command="exec sleep 30.75")
