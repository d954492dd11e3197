"""Floor 5: the Apache Airflow preset."""
