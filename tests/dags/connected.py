"""A task that needs a connection, which is encrypted in the database; runs on Airflow 2.6 to 3.3."""

import datetime

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG
    from airflow.operators.bash import BashOperator

with DAG("connected", schedule=None, start_date=datetime.datetime(2024, 1, 1), catchup=False):
    BashOperator(task_id="login", bash_command="test '{{ conn.warehouse.password }}' = s3cret")
