"""The output path in this process: real ptys on both sides, the real multiplexer, screen, console and
logs; nothing is patched.

`feed` writes a component's bytes into its pty, `turn_until` turns the loop until a fact holds; the terminal is read
by pyte, as a user's would.
"""

import fcntl
import functools
import os
import pty
import re
import struct
import termios
import time

import pyte
from facts import PATIENCE

from orchestrator.model.spec import ComponentSpec
from orchestrator.output.console import Console
from orchestrator.output.multiplexer import Multiplexer
from orchestrator.output.palette import Palette
from orchestrator.output.presenter import Presentation, Presenter
from orchestrator.output.screen import MergedScreen
from orchestrator.runtime.loop import READ, Loop
from orchestrator.terminal.line_painter import PrefixStyle

STAMP = re.compile(rb"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ", re.MULTILINE)


def open_pty(rows=24, columns=80, *, raw=False):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("hhhh", rows, columns, 0, 0))
    if raw:
        attributes = termios.tcgetattr(slave)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
    return master, slave


@functools.cache
def palette_of_a_terminal():
    """The colors, which keep no state: blessed takes 10 ms to look them up."""
    return Palette("xterm-256color", True)


class OutputPipeline:
    """`sink` is "terminal" (pyte reads it), "pipe" (collected in `out`), or a descriptor that is not read."""

    def __init__(self, path, sink="terminal", *, names=("web", "api"), columns=80, rows=24, style=None, **how):
        self.path, self.out, self.broken = path, bytearray(), []
        self.loop = Loop()
        self.fds = []
        style = style or (PrefixStyle.COLORS if sink == "terminal" else PrefixStyle.BYTES)
        if sink == "terminal":
            # A terminal does its own output processing; the bytes that reach pyte are those behind it.
            read_fd, write_fd = open_pty(rows, columns)
        elif sink == "pipe":
            read_fd, write_fd = os.pipe()
        else:
            read_fd, write_fd = -1, sink
        self.fds += [fd for fd in (read_fd, write_fd) if fd >= 0]
        self.read_fd = read_fd
        if read_fd >= 0:
            os.set_blocking(read_fd, False)
            self.look_back()
        self.pyte = pyte.HistoryScreen(columns, rows, history=5000)
        self.stream = pyte.ByteStream(self.pyte)
        self.console = Console(self.loop, write_fd, self.broken.append)
        palette = palette_of_a_terminal()
        self.screen = MergedScreen(self.console, palette.cut if sink == "terminal" else None)
        self.presenter = Presenter(self.screen, Presentation(style, logs=path, **how), names, lambda: palette.wrap)
        self.multiplexer = Multiplexer(self.loop, self.screen)
        self.components = {}

    def start(self, name="web"):
        master, slave = open_pty()
        self.fds.append(slave)
        stream = self.take_over(name, master)
        self.components[name] = (stream, slave)
        return stream

    def take_over(self, name, master):
        component = ComponentSpec(name=name, argv=("true",), cwd="/", environment={}, source="here")
        return self.multiplexer.open(self.presenter.stream(component, name, master))

    def feed(self, data, name="web"):
        """Write, as the component does; the loop turns whenever its pty is full."""
        slave = self.components[name][1]
        os.set_blocking(slave, False)
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(slave, view[:4096]) :]
            except BlockingIOError:
                self.turn()

    def turn(self, timeout=0.0):
        timer = self.loop.call_in(timeout, lambda: None)
        self.loop.turn()
        timer.cancel()

    def turn_until(self, fact, timeout=PATIENCE):
        """Turn the loop until `fact()`; how many seconds that took."""
        began = time.monotonic()
        while not fact():
            assert time.monotonic() - began < timeout, f"not so within {timeout} s: {bytes(self.out[-2000:])!r}"
            self.turn(0.01)
        return time.monotonic() - began

    def end(self, name="web"):
        """The component ends: its slave is closed, its last words are read."""
        stream, slave = self.components.pop(name)
        self.fds.remove(slave)
        os.close(slave)
        self.multiplexer.close(stream)
        self.screen.end_turn()

    def finish(self):
        """End all, write all out, read all; the bytes that the sink got."""
        for name in list(self.components):
            self.end(name)
        self.console.drain(5.0)
        self.read()
        return bytes(self.out)

    def show(self, data, name="web"):
        """All of it for one component: its whole life."""
        self.start(name)
        self.feed(data, name)
        self.finish()
        return self

    def look_away(self):
        self.loop.remove(self.read_fd)

    def look_back(self):
        self.loop.add(self.read_fd, READ, lambda _: self.read())

    def read(self):
        while self.read_fd >= 0:
            try:
                data = os.read(self.read_fd, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                return
            self.out += data
            if self.screen.shows_unfinished:
                self.stream.feed(data)

    def rows(self):
        """The terminal's rows, with its history, without blanks at their ends and empty rows below."""
        columns = self.pyte.columns
        history = ["".join(row[x].data for x in range(columns)) for row in self.pyte.history.top]
        return "\n".join(row.rstrip() for row in [*history, *self.pyte.display]).rstrip("\n").split("\n")

    def lines(self, name="web"):
        """What the sink got of one component, without its prefix."""
        prefix = f"{name:11} | ".encode()
        return [line[len(prefix) :] for line in bytes(self.out).split(b"\n") if line.startswith(prefix)]

    def log(self, name="web"):
        """The log without its timestamps, every one of which is seen to be one."""
        raw = (self.path / f"{name}.log").read_bytes() if (self.path / f"{name}.log").exists() else b""
        lines = raw.split(b"\n")
        assert all(STAMP.match(line) for line in lines[:-1]), raw[:500]
        return STAMP.sub(b"", raw)

    def close(self):
        for stream, _ in self.components.values():
            self.multiplexer.close(stream)
        self.console.close()
        for fd in self.fds:
            os.close(fd)
        self.loop.close()
