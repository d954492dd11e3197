"""Systems of orchestrate.toml as tests write and start them."""

import re

from harness import Run, command_under_test, environment, tree

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
