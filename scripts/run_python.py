"""The Python under which the measuring scripts run: this one, or that of the tests' environment."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

NEEDED = ("pexpect", "blessed", "filelock", "orchestrator")


def use(script: str, *more: str) -> None:
    """Continue under the Python of the tests' environment if this one lacks orchestrate or a module of `more`.

    Exits if neither has them.
    """
    needed = () if (Path(sys.executable).parent / "orchestrate").exists() else NEEDED
    if all(map(find_spec, (*needed, *more))):
        return
    checkout = Path(__file__).resolve().parent.parent
    python = Path(os.environ.get("ORCHESTRATE_VENVS", checkout / ".venv"), "test", "bin", "python")
    if not python.exists() or python.parent.parent == Path(sys.prefix):
        sys.exit(f"{script}: this Python cannot run orchestrate\nhint: scripts/test -- --version makes one that can")
    os.execv(python, [str(python), *sys.argv])
