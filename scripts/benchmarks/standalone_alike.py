"""The output path of `airflow standalone`, as it works in 2.6 to 3.3, without Airflow.

A thread per child reads lines from a pipe into one unbounded queue; the main thread empties the queue, prints each
line behind its name, and sleeps 0.1 s. It flushes once a round, which the original leaves to stdio: kinder to it.

usage: standalone_alike.py NAME COMMAND [NAME COMMAND]...
"""

import collections
import subprocess
import sys
import threading
import time

ROUND = 0.1  # seconds between two looks at the queue

Queue = collections.deque[tuple[str, bytes]]


def collect(name: str, command: str, queue: Queue) -> None:
    """Run one child and queue its lines: the body of a thread."""
    with subprocess.Popen(["/bin/sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        assert child.stdout is not None
        for line in child.stdout:
            queue.append((name, line))


def main(arguments: list[str]) -> None:
    """Run until a signal."""
    queue: Queue = collections.deque()
    for name, command in zip(arguments[::2], arguments[1::2], strict=True):
        threading.Thread(target=collect, args=(name, command, queue), daemon=True).start()
    while True:
        while queue:
            name, data = queue.popleft()
            for line in data.decode().strip().splitlines():
                print(f"{name:10} | {line.strip()}")
        sys.stdout.flush()
        time.sleep(ROUND)


if __name__ == "__main__":
    main(sys.argv[1:])
