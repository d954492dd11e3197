"""out_voices.py NAME: say one kind of thing on the terminal, for the tests of the output. Run as `python -S -E`."""

import os
import select
import signal
import sys


def say(text):
    data = text if isinstance(text, bytes) else text.encode()
    while data:
        data = data[os.write(1, data) :]


def stay():
    while True:
        signal.pause()


def count():
    """So many numbered lines, of about so many bytes; then a file that says so; then it stays."""
    lines, size, marker = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    for start in range(0, lines, 1000):
        say("".join(f"line {number} {'x' * size}\n" for number in range(start, min(start + 1000, lines))))
    with open(marker, "w"):
        pass
    stay()


def forever():
    """Numbered lines until somebody ends it. On TERM it says how many there were, and ends."""
    number, asked = 0, []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    while not asked:
        say("".join(f"line {n}\n" for n in range(number, number + 100)))
        number += 100
    say(f"last {number}\n")


def slowly():
    """The same, some lines at a time."""
    number, asked = 0, []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    while not asked:
        say("".join(f"line {n}\n" for n in range(number, number + 10)))
        number += 10
        select.select([], [], [], float(sys.argv[2]) if len(sys.argv) > 2 else 0.002)
    say(f"last {number}\n")


def wordy():
    """Says in its TERM handler more than any pty holds."""

    def last(*_):
        say("".join(f"word {number}\n" for number in range(50_000)))
        say("the end")
        os._exit(0)

    signal.signal(signal.SIGTERM, last)
    say("ready\n")
    stay()


def deaf():
    """Floods, whatever it is told."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("ready\n")
    while True:
        say("y\n" * 2000)


def flags():
    """Run a command on the descriptors given, then say whether their flags have changed."""
    import fcntl
    import subprocess

    before = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (0, 1, 2)]
    child = subprocess.Popen(sys.argv[2:])
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    child.wait()
    after = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (0, 1, 2)]
    say(f"flags {'same' if before == after else (before, after)} status {child.returncode}\n")


def fails():
    """Some lines, and an end with status 3."""
    say("".join(f"reason {number}\n" for number in range(8)))
    sys.exit(3)


def lines():
    """Lines of Python as it is, without -u: each is there at once, because stdout is a terminal."""
    print("first")
    select.select([], [], [], 30)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
