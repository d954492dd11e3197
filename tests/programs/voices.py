"""voices.py NAME: say one kind of thing on the terminal. Run as `python -S -E`."""

import fcntl
import os
import select
import signal
import struct
import sys
import termios


def say(text):
    data = text if isinstance(text, bytes) else text.encode()
    while data:
        data = data[os.write(1, data) :]


def stay():
    while True:
        signal.pause()


def burst():
    """20,000 numbered lines, and gone."""
    say("".join(f"line {number}\n" for number in range(20_000)))


def binary():
    say(b"latin \xe9\xff\xfe line\nnul \x00 line\nescape \x1b]0;title\x07\x1b[2J\x1b[H line\nstill here\n")
    stay()


def indented():
    say("def f():\n    if x:\n\treturn 1\n\n  end  \n")
    stay()


def colored():
    say("\x1b[31mred\x1b[0m and \x1b[1;38;5;42mgreen\x1b[m\nno color\nready\n")
    stay()


def partial():
    say("a whole line\nno line end")


def lastwords():
    """Speaks in its TERM handler, in several writes, and ends in the middle of a line."""

    def last(*_):
        for number in range(50):
            say(f"goodbye {number}\n")
        say("the end")
        os._exit(0)

    signal.signal(signal.SIGTERM, last)
    say("ready\n")
    stay()


def clock():
    """Tells, after the stop signal, that 0.6 s have gone by; and does not end."""

    def tick(*_):
        select.select([], [], [], 0.6)
        say("later\n")

    signal.signal(signal.SIGTERM, tick)
    say("ready\n")
    stay()


def cleanup():
    """Tells a file which signals arrive; at TERM it says more than a terminal holds, and ends."""
    file = open(sys.argv[2], "w", buffering=1)  # noqa: SIM115

    def end(*_):
        file.write("TERM\n")
        say("word\n" * 200_000)
        file.write("clean\n")
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, lambda *_: file.write("HUP\n"))
    say("ready\n")
    stay()


def surroundings():
    """What a component finds: terminals, environment, signal masks, fds."""
    fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
    fds = [fd for fd in fds if os.path.exists(f"/proc/self/fd/{fd}")]  # less the one that was the listing's own
    say(f"terminals {[os.isatty(fd) for fd in (0, 1, 2)]}\n")
    say(f"fds {fds}\n")
    say(f"leader {os.getsid(0) == os.getpid()} foreground {os.tcgetpgrp(0) == os.getpgrp()}\n")
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(("SigIgn", "SigBlk")):
                say(line)
    for name in sorted(os.environ):
        say(f"env {name}={os.environ[name]}\n")
    say("ready\n")
    stay()


def size():
    """The window, at the start and after each SIGWINCH."""

    def show(*_):
        rows, columns = struct.unpack("hhhh", fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8))[:2]
        say(f"size {columns}x{rows}\n")

    signal.signal(signal.SIGWINCH, show)
    show()
    stay()


def interleaved():
    """Half lines, each finished by a later write: a merged stream must not mix two components' halves."""
    for number in range(300):
        say(f"<{sys.argv[2]} {number} ")
        say(f"{sys.argv[2]}>\n")
    say("ready\n")
    stay()


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
