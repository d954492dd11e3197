"""witness.py REPORT COMMAND…: run a command as the foreground job of a shell, and tell what becomes of it.

Written to the fifo REPORT, a line each, as tests/programs/reaper.py does: `started PID`, and `exited STATUS`; before
and after that `modes …`, those of the terminal. It is in the command's process group, and outlives what that is sent.
"""

import os
import signal
import subprocess
import sys
import termios


def modes() -> str:
    """Return the terminal's modes in a word."""
    try:
        return repr(termios.tcgetattr(0)).replace(" ", "")
    except termios.error:
        return "gone"


def main(report: str, command: list[str]) -> None:
    """Run it."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # not ignored: that would be inherited
    fd = os.open(report, os.O_WRONLY)
    os.write(fd, f"modes {modes()}\n".encode())
    child = subprocess.Popen(command)
    os.write(fd, f"started {child.pid}\n".encode())
    status = child.wait()
    os.write(fd, f"modes {modes()}\nexited {status}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
