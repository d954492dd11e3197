"""The bench's scratch directory: compiled programs, and a fresh directory for each run."""

import itertools
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

SOURCES = Path(__file__).parent
IN_C = ("arrive", "drain", "flood", "say", "sink", "stamp")
COMPONENTS = ("flood", "say", "stamp", "logger.py")


class BenchError(Exception):
    """A measurement that could not be made; its text says why."""


class Workspace:
    """Owns the scratch directory, from `with` to its end.

    What plays a component stands in a directory of its own, `components`: so a runner's processes are told from those
    it runs.
    """

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="orchestrate-bench-"))
        self.components = self.root / "components"
        self._count = itertools.count()

    def __enter__(self) -> "Workspace":
        self.components.mkdir()
        for name in IN_C:
            self._compile(name)
        shutil.copy(SOURCES / "logger.py", self.components)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def program(self, name: str) -> Path:
        """Return the path of a program of the bench."""
        return (self.components if name in COMPONENTS else self.root) / name

    def new_directory(self) -> Path:
        """Make an empty directory."""
        path = self.root / f"run-{next(self._count)}"
        path.mkdir()
        return path

    def _compile(self, name: str) -> None:
        source = SOURCES / f"{name}.c"
        command = ["cc", "-O2", "-o", self.program(name), source, "-lutil"]
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise BenchError("a C compiler is needed: no `cc` on PATH") from None
        if result.returncode != 0:
            raise BenchError(f"cannot compile {source}:\n{result.stderr}")
