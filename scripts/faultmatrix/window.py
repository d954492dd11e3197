"""A runner as the foreground job of an interactive shell in tmux, with a server of its own."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from faultmatrix.trial import PYTHON, Trial, stat_of

INSTALLED = shutil.which("tmux") is not None and shutil.which("bash") is not None


class Window(Trial):
    """Its keys are pressed at an attached tmux; what its pane is sent, and what the witness tells, come by fifos.

    They are opened for both ways, which Linux allows: so they have no end of file between two writers.
    """

    _look_every = 0.05

    def __init__(self, argv: list[str], directory: Path) -> None:
        self._tmux = ["tmux", "-u", "-S", str(directory / ".tmux")]
        report, screen, script = (directory / name for name in (".report", ".screen", ".run"))
        observer = [*PYTHON, str(Path(__file__).parent / "witness.py"), str(report), *argv]
        script.write_text(f"exec {shlex.join(observer)}\n", encoding="utf-8")
        self._modes: set[bytes] = set()
        self._own: set[int] = set()
        shell = ["new-session", "exec bash --norc --noprofile", ";", "pipe-pane", "-O", f"exec cat >{screen}"]
        os.mkfifo(report)
        os.mkfifo(screen)
        super().__init__([*self._tmux, "-f", "/dev/null", *shell], directory, terminal=True)
        self._sinks = dict.fromkeys(self._sinks, lambda _: None)
        self._sinks[os.open(screen, os.O_RDWR)] = self._take
        self._sinks[os.open(report, os.O_RDWR)] = self._hear
        self.pid = 0
        self.pump(lambda: {"bash", "cat"} <= {stat[0] for pid in self.living() if (stat := stat_of(pid))}, 10)
        self._own = set(self.living())
        self.type(b"sh .run\r")
        self.pump(lambda: self.pid, 10)

    def _learn(self, what: bytes, value: bytes) -> None:
        if what == b"modes":
            self._modes.add(value)
        else:
            super()._learn(what, value)

    @property
    def vacant(self) -> bool:
        """Nothing is left but tmux and the shell, which are none of the runner's."""
        return bool(self._own) and not self.living()

    @property
    def modes_kept(self) -> bool:
        """Whether the pane, where there still is one, has the modes that it had before."""
        return len(self._modes - {b"gone"}) == 1

    def living(self) -> list[int]:
        """Return all processes that the runner has brought about, and itself."""
        return [pid for pid in super().living() if pid not in self._own]

    def command(self, words: str) -> None:
        """Give tmux a command."""
        subprocess.run([*self._tmux, *words.split()], capture_output=True, check=False)
