"""The Airflow preset: finds an installed Airflow, learns the facts from its helper, and turns them into a plan.

orchestrate never imports Airflow. `helper.py` is run by Airflow's own interpreter and reports `facts`; `plan` makes of
them, without any I/O, what is to be run.
"""
