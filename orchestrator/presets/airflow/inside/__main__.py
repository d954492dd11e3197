"""Runs a program of this folder: ``python FOLDER PROGRAM ARGUMENT…`` calls `main` of the module of this name.

Python puts the folder first on sys.path. There its files would hide modules of Airflow, plugins and DAGs that have the
same name. So the folder is removed from sys.path and loaded as the package `orchestrate_inside`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Any

PACKAGE = "orchestrate_inside"


def load(program: str) -> Any:
    """Return a module of this folder."""
    folder = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join(folder, "__init__.py")
    spec = importlib.util.spec_from_file_location(PACKAGE, path, submodule_search_locations=[folder])
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    spec.loader.exec_module(package)
    return importlib.import_module(PACKAGE + "." + program)


if __name__ == "__main__":
    if os.path.abspath(sys.path[0]) == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]
    exit_status = load(sys.argv[1]).main(sys.argv[2:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_status)  # Airflow's exit handlers take 0.5 s; a program that needs them calls sys.exit
