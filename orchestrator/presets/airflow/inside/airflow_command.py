"""Runs Airflow's command in this process, without gunicorn's control socket: ``airflow_command AIRFLOW ARGUMENT…``.

gunicorn 25.1 and later make `gunicorn.ctl` in the current directory, which belongs to the user. The log
servers of Airflow 2 start gunicorn in a way that ignores GUNICORN_CMD_ARGS, so its default is changed in their process.
"""

from __future__ import annotations

import sys
from typing import NoReturn


def disable_control_socket() -> None:
    """Make gunicorn start without its control socket in this process. Versions before 25.1 have none."""
    try:
        from gunicorn.config import ControlSocketDisable
    except ImportError:
        return
    ControlSocketDisable.default = True


def main(arguments: list[str]) -> NoReturn:
    """Run the command, and exit with its status."""
    disable_control_socket()
    from airflow.__main__ import main as run

    sys.argv = arguments
    sys.exit(run())
