"""Programs that Airflow's own interpreter runs, and the modules that they share. `__main__` starts them.

orchestrate may not be installed in Airflow's environment, so they import nothing of it; they import each other by
relative imports. They run on Python 3.8. Only modules of the standard library are imported at the top of a file:
Airflow and its packages are slow to import or may be missing, so each function imports those that it needs.
"""
