"""How `airflow standalone` starts and ends its components, written from its description, without Airflow.

A thread per component with a pipe; the main thread prints what they say, ten times a second. Of all signals only
Ctrl-C is handled: SIGTERM to each component itself, then wait for all, without an end.

usage: standalones_way.py NAME COMMAND [NAME COMMAND]...
"""

import collections
import subprocess
import sys
import threading
import time


class Component(threading.Thread):
    """One component, and the thread that reads it."""

    def __init__(self, name: str, command: str, queue: collections.deque) -> None:
        super().__init__()
        self.label, self.command, self.queue = name, command, queue
        self.process = None

    def run(self) -> None:
        """Start it and read its lines."""
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", self.command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for line in self.process.stdout:
            self.queue.append((self.label, line))

    def stop(self) -> None:
        """Ask it to end."""
        self.process.terminate()


def main(words: list[str]) -> None:
    """Run until Ctrl-C."""
    queue: collections.deque = collections.deque()
    components = [Component(name, command, queue) for name, command in zip(words[::2], words[1::2], strict=True)]
    for component in components:
        component.start()
    while True:
        try:
            while queue:
                name, line = queue.popleft()
                print(f"{name:10} | {line.decode().strip()}", flush=True)
            time.sleep(0.1)
        except KeyboardInterrupt:
            break
    for component in components:
        component.stop()
    for component in components:
        component.join()


if __name__ == "__main__":
    main(sys.argv[1:])
