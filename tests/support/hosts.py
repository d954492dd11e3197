"""Hosts for tests: each has its own network, host name, processes, home directory and /etc/hosts; a bridge joins them.

A host is a set of namespaces (namespaces(7)) under a PID 1 of ours, programs/host_init.py. The bridge is in a namespace
too, so nothing of a network is ever visible on the machine itself, and the kernel removes all of it with the last
process, also if the tests are killed. Needs root.

The clock: a time namespace shifts CLOCK_MONOTONIC and CLOCK_BOOTTIME only (time_namespaces(7)), and CLOCK_REALTIME is
one for the whole kernel. So a host whose clock is off gets it from libfaketime, which is loaded into each of its
programs and shifts what they read. What the kernel stamps itself, such as the times of files, is not shifted.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
from pathlib import Path

import harness
from facts import children, until
from programs.reaper import descendants

INSIDE = Path("/mnt")  # where each host has its own directory
NETWORK = "10.213.7"
CLONE_NEWNET = 0x40000000
NEEDED = {"ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux", "mount": "mount"}
FAKETIME = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1")
_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """This machine cannot have such hosts; says why."""


def faketime():
    """The library that shifts the clock, or None."""
    return next((str(path) for pattern in FAKETIME for path in Path("/").glob(pattern[1:])), None)


class Host:
    """One of them. `home` is its directory as its programs see it, `directory` the same as tests see it."""

    def __init__(self, name, address, directory, hosts_file, hidden):
        self.name, self.address, self.home, self.directory = name, address, INSIDE, directory
        self._clock = {}  # variables of programs whose clock can be set
        directory.mkdir()
        words = ["unshare", "--net", "--uts", "--mount", "--ipc", "--pid", "--fork", "--mount-proc"]
        init = [*harness.PYTHON, str(harness.PROGRAMS / "host_init.py"), name, address, directory, hosts_file, hidden]
        self._holder = subprocess.Popen(
            [*words, *map(str, init)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
        )
        if self._holder.stdout.readline() != "ready\n":
            _, said = self._holder.communicate()
            raise Refused(f"cannot make a host: {said.strip()[-200:]}")
        self.pid = children(self._holder.pid)[0]
        self._namespace = os.readlink(f"/proc/{self.pid}/ns/pid")

    def _tell(self, order):
        self._holder.stdin.write(f"{order}\n")
        self._holder.stdin.flush()
        if self._holder.stdout.readline() != "done\n":
            raise Refused(f"{order} failed on {self.name}: {self._holder.stderr.read()[-200:]}")

    def join(self):
        """Take part in the network."""
        self._tell("network")

    def environment(self, **changes):
        """A small, known environment on this host."""
        own = {"HOME": str(INSIDE), "ORCHESTRATE_RUNTIME_DIR": str(INSIDE / ".run"), **self._clock}
        return harness.environment(**own | changes)

    def set_clock(self, ahead):
        """Set the clock so many seconds ahead, for programs that are started after the first call of this."""
        (self.directory / ".clock").write_text(f"{ahead:+d}\n")
        self._clock = {
            "LD_PRELOAD": faketime(),
            "FAKETIME_TIMESTAMP_FILE": str(INSIDE / ".clock"),
            "FAKETIME_CACHE_DURATION": "1",  # seconds until a running program sees another time
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def command(self, *words, cwd=INSIDE):
        """A command line that runs `words` here."""
        enter = ["nsenter", f"--target={self.pid}", "--net", "--uts", "--mount", "--ipc", "--pid"]
        return [*enter, "--", "env", f"--chdir={cwd}", *map(str, words)]

    def ask(self, *words, env=(), cwd=INSIDE, timeout=120):
        """Run a command here to its end: what subprocess.run returns."""
        return ran_inside(self.command(*words, cwd=cwd), timeout, self.environment(**dict(env)))

    def start(self, *words, env=(), cwd=INSIDE, **run):
        """Run a command here, as harness.Run."""
        return HostRun(self.command(*words, cwd=cwd), env=self.environment(**dict(env)), cwd="/", **run)

    def processes(self):
        """The command lines of all that runs here, by pid as tests see it."""
        found = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != self.pid:
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{entry}/ns/pid") == self._namespace:
                        line = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ")
                        found[int(entry)] = line.decode("utf-8", "replace").strip()
        return found

    def left(self, timeout=10):
        """Wait until nothing runs here; what does all the same."""
        until(lambda: not self.processes(), timeout)
        return list(self.processes().values())

    def kill_everything(self):
        """SIGKILL to everything on this host at once, as if it had lost power. Nothing is left."""
        self._tell("kill")
        assert self.left() == []

    @contextlib.contextmanager
    def network(self):
        """Let this thread use the network of this host: what is connected meanwhile goes out from here."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there)
            yield
        finally:
            _setns(own)
            os.close(there)
            os.close(own)

    def close(self):
        """End it: PID 1 goes, and with it all that is left."""
        self._holder.stdin.close()
        self._holder.wait()
        self._holder.stdout.close()
        self._holder.stderr.close()


class HostRun(harness.Run):
    """A run on a host. `pid` is that of the command, below nsenter, which exits as the command does."""

    def __init__(self, command, **run):
        super().__init__(command, **run)
        nsenter = self.pid
        if until(lambda: children(nsenter) or self.returncode is not None):
            self.pid = (children(nsenter) or [nsenter])[0]


def ran_inside(command, timeout, env):
    """Run nsenter to its end: what subprocess.run returns. Late, the command is killed before nsenter: as an orphan it
    would be a child of the tests, and until they wait for it the kernel does not end its namespaces."""
    with subprocess.Popen(
        command, env=env, cwd="/", text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, errors="replace"
    ) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            for pid in reversed(descendants(process.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(command, process.returncode, out, err)


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Network:
    """Hosts on one bridge, with the addresses 10.213.7.1, .2 and so on; each knows all by name."""

    def __init__(self, directory, names):
        missing = sorted({package for name, package in NEEDED.items() if shutil.which(name) is None})
        if os.geteuid() != 0:
            raise Refused("hosts are made of namespaces, and that takes root")
        if missing:
            raise Refused(f"not installed: {', '.join(missing)}")
        directory.mkdir(mode=0o755)  # the user who runs PostgreSQL for root enters it
        self.hosts = {}
        addresses = {name: f"{NETWORK}.{number}" for number, name in enumerate(names, 1)}
        lines = [f"{address} {name}\n" for name, address in {"localhost": "127.0.0.1", **addresses}.items()]
        hosts_file = directory.with_name(directory.name + ".hosts")
        hosts_file.write_text("".join(lines))
        self._switch = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo apart; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd="/",
        )
        try:
            if self._switch.stdout.readline() != "apart\n":
                raise Refused("cannot make a host: the kernel refuses a network namespace")
            self._ip("link", "add", "bridge", "type", "bridge")
            self._ip("link", "set", "bridge", "up")
            for number, (name, address) in enumerate(addresses.items(), 1):
                host = Host(name, address, directory / name, hosts_file, directory)
                self.hosts[name] = host
                self._ip("link", "add", f"port{number}", "type", "veth", "peer", "eth0", "netns", str(host.pid))
                self._ip("link", "set", f"port{number}", "master", "bridge")
                self._ip("link", "set", f"port{number}", "up")
                host.join()
        except BaseException:
            self.close()
            raise

    def __getitem__(self, name):
        return self.hosts[name]

    def _ip(self, *words):
        ran = subprocess.run(
            ["nsenter", f"--target={self._switch.pid}", "--net", "ip", *words],
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise Refused(f"ip {' '.join(words)}: {ran.stderr.strip()}")

    def cut(self, name):
        """Take a host's cable out of the bridge: nothing reaches it any more, and nobody is told."""
        self._ip("link", "set", f"port{[*self.hosts].index(name) + 1}", "nomaster")

    def mend(self, name):
        """Put it in again."""
        self._ip("link", "set", f"port{[*self.hosts].index(name) + 1}", "master", "bridge")

    def close(self):
        """End all hosts and the network."""
        for host in self.hosts.values():
            host.close()
        self._switch.stdin.close()
        self._switch.wait()
        self._switch.stdout.close()
