"""How a test attaches a tmux terminal to a component, and leaves it again."""

import os
import shlex
import sys
import termios
import uuid

from harness import command_under_test, until
from terminal import PROMPT

SHELL = "exec env PS1='inner> ' bash --norc --noprofile"
ATTACHED = r"\[orchestrate: attached to \w+"
DETACH = ("C-\\", "d")


def started(home, *options, **run):
    """The system, once it can be attached to."""
    system = home.up(*options, **run)
    assert until(lambda: (home.path / ".orchestrate" / "control.sock").exists())
    return system


def attach(terminal, home, name, *options):
    mark = attach_quietly(terminal, home, name, *options)
    terminal.wait_for(rf"^{mark}\n{ATTACHED}")


def attach_quietly(terminal, home, name, *options):
    """Where a full-screen program hides the greeting; returns what stands before that."""
    mark = f"mark-{uuid.uuid4().hex[:6]}"
    command = shlex.join(map(str, [*command_under_test(), "attach", "-C", home.path, name, *options]))
    terminal.type(f"echo {mark}; {command}")
    return mark


def detach(terminal, name):
    terminal.keys(*DETACH)
    terminal.wait_for(rf"^orchestrate: detached from {name}\n{PROMPT.strip()}")


def flags(terminal):
    """The modes of the user's terminal, as the kernel has them."""
    fd = os.open(terminal("display-message", "-p", "-t", "main", "#{pane_tty}").strip(), os.O_RDWR | os.O_NOCTTY)
    try:
        return termios.tcgetattr(fd)[:6]
    finally:
        os.close(fd)


def log(home, name):
    return (home.path / ".orchestrate" / "logs" / f"{name}.log").read_bytes()


def python(home, name, code):
    (home.path / name).write_text(code)
    return shlex.join(["exec", sys.executable, name])
