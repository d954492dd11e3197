"""host_init.py NAME ADDRESS HOME HOSTS_FILE HIDDEN: PID 1 of a host of tests/support/hosts.py, in its own namespaces.

Reads commands from standard input, a line each, and answers each with a line: `network` gives the interface its
address, `kill` sends SIGKILL to everything else on this host. It exits at end of file, also if the tests were killed,
and the kernel then kills whatever is left (pid_namespaces(7)).

Run as `python -S -E`.
"""

import os
import signal
import socket
import subprocess
import sys

INSIDE = "/mnt"


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def prepare(name, home, hosts_file, hidden):
    """Make this look like another machine: its name, its files, and nobody else's."""
    socket.sethostname(name)
    mount("--bind", home, INSIDE)
    mount("--bind", hosts_file, "/etc/hosts")
    mount("--bind", os.devnull, "/etc/resolv.conf")  # no name server: a lookup fails at once
    mount("-t", "tmpfs", "shm", "/dev/shm")
    mount("-t", "tmpfs", "hidden", hidden)


def bring_up(address):
    for words in (("addr", "add", f"{address}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
        subprocess.run(["ip", *words], check=True)


def kill(*_):
    try:
        os.kill(-1, signal.SIGKILL)  # kill(2): everything but ourselves; in this namespace, that is this host
    except ProcessLookupError:
        pass  # there is nothing else


def main(name, address, home, hosts_file, hidden):
    prepare(name, home, hosts_file, hidden)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    print("ready", flush=True)
    actions = {"network": lambda: bring_up(address), "kill": kill}
    for line in sys.stdin:
        actions[line.strip()]()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # orphans come to us, and nobody waits for them
        print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
