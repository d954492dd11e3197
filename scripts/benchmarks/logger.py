"""A component that logs through Python's `logging`, a write a record, with the payload lines of flood.c as messages.

usage: logger.py GATE ROLL ID KIND LENGTH LINES
"""

import logging
import os
import signal
import sys

FILLING = "".join(chr(ord("!") + i % 93) for i in range(8192 + 64))  # payload.h: filling
HEAD = "????-??-?? ??:??:??,??? INFO     [bench] "  # what FORMAT puts before a message, as a pattern of sink.c
FORMAT = "%(asctime)s %(levelname)-8s [%(name)s] %(message)s"


def main(gate: str, roll: str, name: str, _kind: str, length: str, lines: str) -> None:
    """Log plain lines from the opening of the gate on; then stay (gate.h)."""
    logging.basicConfig(format=FORMAT, level=logging.INFO, stream=sys.stdout)
    log = logging.getLogger("bench")
    fill = int(length) - 13  # id, ten digits, blank and LF
    gate_fd, roll_fd = os.open(gate, os.O_RDONLY), os.open(roll, os.O_WRONLY)
    os.write(roll_fd, b"r")
    os.read(gate_fd, 1)
    for number in range(int(lines)):
        log.info("%s%010d %s", name, number, FILLING[number % 64 : number % 64 + fill])
    os.write(roll_fd, b"d")
    while True:
        signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
