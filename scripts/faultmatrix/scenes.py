"""What the runners run: the stage that they are in when the fault comes."""

import enum
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass, replace

from faultmatrix.trial import PROGRAMS, PYTHON

GENTLE = ("plain", "family", "group", "session", "double", "daemon", "stopped", "frozen", "threaded", "keeper")
STUBBORN = ("deaf", "deaf-stopped", "fleer", "hopper")
OF_ROOT = ("foreign",)  # the child of another uid
TREES = (*GENTLE, *STUBBORN, *(OF_ROOT if os.getuid() == 0 else ()))
LIMITED = ("sh", "-c", 'ulimit -Sn 1024; exec "$@"', "sh")
FIRST = ("unshare", "--pid", "--fork", "--mount-proc")
CAN_BE_FIRST = (
    shutil.which(FIRST[0]) is not None
    and subprocess.run([*FIRST, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
)


class Stage(enum.Enum):
    """Where the components stand. The value is what a runner that has no such stage is said to have none of."""

    UP = "components"
    STEP = "initial steps"  # the first component is one
    BACKOFF = "backoff"  # the first component has ended, and is to be started again later


@dataclass(frozen=True)
class Scene:
    """Commands for `sh -c` by component; how many of them have to say `ready` first; what they are counted as; and
    what stands before the command line."""

    components: dict[str, str]
    ready: int
    stage: Stage = Stage.UP
    unit: str = "processes"
    before: tuple[str, ...] = ()


def tree(name: str, *arguments: object) -> str:
    """Return the command of one of tests/programs/trees.py."""
    return shlex.join([*PYTHON, str(PROGRAMS / "trees.py"), name, *map(str, arguments)])


def _one(name: str) -> str:
    return f"exec {tree(name)}"


_CLOCK = f"exec {shlex.join([*PYTHON, str(PROGRAMS / 'voices.py'), 'clock'])}"
GO = "go"  # the flood begins once this file is there
_FLOOD = f"until [ -e {GO} ]; do sleep 0.1; done; exec yes"
_COMPONENT = "echo ready; setsid sleep 600 & exec sleep 600"

_ALL = {name: _one(name) for name in TREES}
UP = Scene(_ALL, len(_ALL), unit="trees")
STARTING = replace(UP, ready=1)
STOPPING = replace(UP, components={**_ALL, "clock": _CLOCK}, ready=len(_ALL) + 1)
STALLED = replace(UP, components={**_ALL, "flood": _FLOOD})
STEP = Scene(
    {"step": f"{tree('session')} & {tree('daemon')} & {_one('deaf')}", "after": _one("plain")}, 3, stage=Stage.STEP
)
_LEAVER = f"{tree('left', 7)}; echo leaves; exit 7"
BACKOFF = Scene(
    {"leaver": _LEAVER, **{name: _one(name) for name in ("plain", "daemon", "deaf")}}, 4, stage=Stage.BACKOFF
)
BOMB = Scene({"bomb": _one("bomb"), "plain": _one("plain")}, 2)
MANY = Scene({f"c{number}": _COMPONENT for number in range(200)}, 200)
MANY_LIMITED = replace(MANY, before=LIMITED)
AS_FIRST = replace(UP, before=FIRST)
AGAIN = Scene({"again": _one("plain")}, 1)  # the next start
