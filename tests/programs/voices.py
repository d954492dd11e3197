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


def coloured():
    say("\x1b[31mred\x1b[0m and \x1b[1;38;5;42mgreen\x1b[m\nno colour\nready\n")
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


if __name__ == "__main__":
    globals()[sys.argv[1]]()
