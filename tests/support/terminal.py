"""A private tmux server for one test: a shell in a real terminal, keys in, screen out.

The server runs in the foreground (`-D`) below the harness's subreaper, so whatever a pane leaves behind is found. The
pane's own bytes come through a fifo (`pipe-pane`): each arrival is the fact upon which the screen is looked at again.
"""

import os
import re
import shlex
import subprocess
import uuid
from pathlib import Path

import pytest
from harness import PATIENCE, Run, children, environment, plain, pump, until

PROMPT = "prompt> "


class Tmux:
    def __init__(self, path, columns=100, rows=30, **env):
        self._name = f"orchestrate-{uuid.uuid4().hex[:12]}"
        self.path = path
        self.server = Run(["tmux", "-L", self._name, "-f", "/dev/null", "-D"], env=environment(TMUX_TMPDIR=str(path)))
        self._socket = path / f"tmux-{os.getuid()}" / self._name
        variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in {"PS1": PROMPT, **env}.items())
        shell = f"exec env {variables} bash --norc --noprofile"
        session = ["new-session", "-d", "-x", columns, "-y", rows, "-s", "main", "-c", path, shell]
        assert until(lambda: self._client(session).returncode == 0, interval=0.01), f"no server answers: {self.server}"
        fifo = path / "pane"
        os.mkfifo(fifo)
        self.fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.bytes = bytearray()
        self("pipe-pane", "-O", "-t", "main", f"exec cat > {fifo}")
        self.server.watch(self.fd, self.bytes)
        self.wait_for(re.escape(PROMPT.strip()))

    def _client(self, words):
        command = ["tmux", "-N", "-S", str(self._socket), *map(str, words)]
        return subprocess.run(command, capture_output=True, env=environment(), timeout=PATIENCE, check=False)

    def __call__(self, *words, check=True):
        done = self._client(words)
        if check and done.returncode != 0:
            pytest.fail(f"{words}: {done.stderr.decode()}\n{self.server}")
        return done.stdout.decode("utf-8", "replace")

    def keys(self, *keys):
        """Press keys by tmux's names: C-c, Enter, …"""
        self("send-keys", "-t", "main", *keys)

    def type(self, line):
        """Type a line and press Enter."""
        self("send-keys", "-t", "main", "-l", line)
        self.keys("Enter")

    def screen(self, colors=False):
        """The pane with its history; trailing blanks of the lines are tmux's."""
        return self("capture-pane", "-p", "-t", "main", "-S", "-", *(["-e"] if colors else [])).rstrip("\n")

    def wait_for(self, pattern, timeout=PATIENCE, colors=False):
        """Wait until the screen shows a (multi-line) regular expression; the match."""
        seen = {"bytes": -1, "match": None}

        def look():
            if len(self.bytes) != seen["bytes"]:
                seen["bytes"] = len(self.bytes)
                seen["match"] = re.search(pattern, self.screen(colors), re.MULTILINE)
            return seen["match"]

        if not pump(look, timeout):
            if match := re.search(pattern, self.screen(colors), re.MULTILINE):
                return match
            pytest.fail(
                f"no {pattern!r} on the screen within {timeout} s:\n{self.screen()}\n"
                f"last bytes: {bytes(self.bytes[-300:])!r}"
            )
        return seen["match"]

    def status(self):
        """What the shell says of the command that has just ended; returns when the shell is there again. What is typed
        before that reaches orchestrate, or nobody."""
        assert until(self.is_shell_in_front), self.screen()
        mark = uuid.uuid4().hex[:6]
        self.type(f"echo status-{mark[:3]}''{mark[3:]} $?")
        return int(self.wait_for(rf"^status-{mark} (\d+)$").group(1))

    def is_shell_in_front(self):
        """Whether the terminal's keys are for the shell (tpgid, proc_pid_stat(5))."""
        shell = self.shell_pid()
        return int(Path(f"/proc/{shell}/stat").read_text().rpartition(")")[2].split()[5]) == shell

    def shell_pid(self):
        return int(self("display-message", "-p", "-t", "main", "#{pane_pid}"))

    def foreground(self):
        """The processes the shell has started, directly."""
        return children(self.shell_pid())

    def since(self, position):
        """The pane's own bytes from a position on, without escapes."""
        return plain(self.bytes[position:])

    def resize(self, columns, rows=30):
        self("resize-window", "-t", "main", "-x", columns, "-y", rows)

    def end(self):
        """No server is left, whatever the test did to it."""
        self("kill-server", check=False)
        return self.server.survivors(PATIENCE)
