"""Systems of orchestrate.toml as tests write and start them."""

import contextlib
import os
import re
from pathlib import Path

from harness import Run, command_under_test, environment, stat_of, tree, until

STAY = tree("plain")


class Directory:
    """A directory with an orchestrate.toml, and commands of ours started in it."""

    def __init__(self, path):
        self.path = path

    def write(self, text="", **files):
        """Write orchestrate.toml, and other files: `dot_env="A=1"` is `.env`."""
        for name, content in {"orchestrate.toml": text, **files}.items():
            (self.path / name.replace("dot_", ".")).write_text(content)
        return self

    def run(self, *words, env=None, before=(), **more):
        """Start ours; `before` is a command that runs it, such as a shell with `"$@"`."""
        return Run([*before, *command_under_test(), *words], cwd=self.path, env=environment(**(env or {})), **more)

    def up(self, *words, **more):
        return self.run("up", "--color", "never", *words, **more)

    def output(self, *words, status=0, **more):
        run = self.run(*words, **more)
        assert run.wait() == status, str(run)
        return run.text if status == 0 else run.err.decode()

    def listening(self, *words):
        """A command that waits for something, once the supervisor has heard it: a later question is answered.

        It has asked once it sleeps with a connection: neither connect(2) nor the request's few bytes make it wait.
        """
        run = self.run(*words)
        assert until(lambda: run.returncode is not None or (has_socket(run.pid) and stat_of(run.pid)[1] == "S")), run
        self.output("status")
        return run


def has_socket(pid):
    fds = Path(f"/proc/{pid}/fd")
    for fd in fds.iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed just now
            if os.readlink(fd).startswith("socket:"):
                return True
    return False


def component(name, command, *lines):
    return "\n".join([f"[components.{name}]", f"command = '''{command}'''", *lines, ""])


def step(name, command, *lines):
    return component(name, command, *lines).replace("[components.", "[init.")


def lines_of(run, name):
    return re.findall(rf"^{re.escape(name)} +\| (.*)$", run.text, re.MULTILINE)


def ended(run, status):
    assert run.wait() == status, str(run)
    assert run.survivors(2) == [], str(run)
    return run
