"""A real sshd on the loopback: the line drops, and a second connection sees what became of the system."""

import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from harness import Run, command_under_test, environment, tree, until

SSHD = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/bin:" + os.environ.get("PATH", ""))
pytestmark = pytest.mark.skipif(not SSHD or not shutil.which("ssh"), reason="needs openssh-server and openssh-client")


class Line:
    """An sshd with keys of its own, and connections to it."""

    def __init__(self, path):
        self.path, self.home = path, path / "home"
        self.home.mkdir()
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path / key], check=True)
        (path / "authorized").write_bytes((path / "user.pub").read_bytes())
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = {"Port": self.port, "ListenAddress": "127.0.0.1", "HostKey": path / "host", "UsePAM": "no",
                   "AuthorizedKeysFile": path / "authorized", "StrictModes": "no", "PidFile": "none",
                   "PermitRootLogin": "yes"}  # fmt: skip
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        self.sshd = Run([SSHD, "-D", "-e", "-f", "/dev/null", *words])
        self.sshd.wait_for("Server listening")

    def run(self, *words, before="", terminal=False):
        command = f"cd {shlex.quote(str(self.home))} && exec {before} {shlex.join([*command_under_test(), *words])}"
        settings = [
            "StrictHostKeyChecking=no",
            f"UserKnownHostsFile={self.path}/known",
            "BatchMode=yes",
            "LogLevel=ERROR",
        ]
        options = ["-F", "/dev/null", "-i", self.path / "user", "-p", self.port]
        options += [word for setting in settings for word in ("-o", setting)]
        tty = ["-tt"] if terminal else ["-T"]
        return Run(["ssh", *options, *tty, f"{getpass.getuser()}@127.0.0.1", command], terminal=terminal,
                   env=environment())  # fmt: skip

    def status(self):
        """The exit status of `orchestrate status` over a second connection."""
        return self.run("status").wait()

    def end(self):
        self.sshd.signal(signal.SIGTERM)
        self.sshd.wait()
        assert self.sshd.survivors(5) == []


@pytest.fixture
def line(tmp_path):
    line = Line(tmp_path)
    (line.home / "Procfile").write_text(f"web: {tree('plain')}\n")
    yield line
    line.end()


def drop(line, *words, **more):
    """Start the system over one connection, and cut that."""
    first = line.run("up", "--color", "never", "--no-status", *words, terminal=True, **more)
    if "before" not in more:  # nohup writes into nohup.out
        first.wait_ready("web")
    assert until(lambda: line.status() == 0), str(first)
    first.signal(signal.SIGKILL)
    first.wait()
    return first


def test_attach_over_ssh_and_a_dropped_line_leaves_the_component_alone(line):
    """The terminal there is a component's; its keys, its size; and when the line is cut it is detached."""
    (line.home / "Procfile").write_text("shell: exec env PS1='inner> ' bash --norc --noprofile\n")
    assert line.run("up", "-d").wait() == 0
    seat = line.run("attach", "shell", terminal=True)
    seat.wait_for("attached to shell")
    os.write(seat.terminal_fd, b"echo $((6*7)) here; stty size; tty\r")
    seat.wait_for(r"42 here\s+24 80\s+/dev/pts/\d+")
    seat.signal(signal.SIGKILL)
    seat.wait()
    again = line.run("attach", "shell", terminal=True)
    again.wait_for("attached to shell")
    os.write(again.terminal_fd, b"echo still $((6*7))\r")
    again.wait_for("still 42")
    os.write(again.terminal_fd, b"\x1cd")
    assert again.wait() == 0
    assert line.run("down").wait() == 0


def test_the_view_over_ssh_and_a_dropped_line_ends_it_alone(line):
    pytest.importorskip("pyte")
    (line.home / "Procfile").write_text("web: echo ready; exec sleep 1000\n")
    assert line.run("up", "-d").wait() == 0
    view = line.run("ui", terminal=True)
    view.wait_for("web  running  pid")
    view.signal(signal.SIGKILL)
    view.wait()
    again = line.run("ui", terminal=True)
    again.wait_for("web  running  pid")
    os.write(again.terminal_fd, b"r")
    again.wait_for(r"web restarted \(pid \d+\)")
    os.write(again.terminal_fd, b"q")
    assert again.wait() == 0
    assert line.run("down").wait() == 0


def test_a_dropped_line_stops_the_system(line):
    drop(line)
    assert until(lambda: line.status() == 3)


@pytest.mark.parametrize("mode", ["--on-hangup detach", "nohup"])
def test_a_dropped_line_is_outlived_where_that_is_wanted(line, mode):
    if mode == "nohup":
        drop(line, before="nohup")
    else:
        drop(line, *mode.split())
    # What the kernel does at the hang-up comes before this: sshd closes the terminal and logs the end of the session.
    line.sshd.wait_for(r"Connection closed by|Connection reset by|Close session|Closing connection|Disconnected from")
    assert line.status() == 0
    restarted = line.run("restart", "web")
    assert restarted.wait() == 0, str(restarted)
    assert line.run("down").wait() == 0
    assert line.status() == 3


def test_detached_it_runs_on_when_the_connection_has_ended(line):
    first = line.run("up", "-d", terminal=True)
    assert first.wait() == 0, str(first)
    assert line.status() == 0
    assert line.run("down").wait() == 0
