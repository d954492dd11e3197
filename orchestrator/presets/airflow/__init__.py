"""The Airflow preset: finds an installed Airflow, asks it for the facts, and turns them into the plan of a start.

orchestrate never imports Airflow. The programs in `inside` do: Airflow's own interpreter runs them. `facts` interprets
what `inside/prepare.py` reports, and `components` makes the plan from these facts without any I/O.
"""
