"""Runs Airflow's command without gunicorn's control socket: ``python launcher.py AIRFLOW ARGUMENT…``.

gunicorn 25.1 and later make `gunicorn.ctl` in the current directory, which is the user's. The log servers of
Airflow 2 run gunicorn without reading GUNICORN_CMD_ARGS, so the default has to be changed in their process.

Not part of the package: it imports nothing of orchestrator, and keeps to the syntax of Python 3.8.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    if sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]  # our own directory: nothing in it may stand in for a module of Airflow's
    from gunicorn.config import ControlSocketDisable

    ControlSocketDisable.default = True
    from airflow.__main__ import main

    del sys.argv[0]
    sys.exit(main())
