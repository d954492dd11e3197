"""The command `orchestrate` and `python -m orchestrator`."""

from __future__ import annotations

import gc
import os
import signal
import sys


def main() -> None:
    """Run the command line and end the process with its status.

    Until the supervisor has its own handlers nothing is running that would have to be cleaned up, so Ctrl-C acts as
    it does on a C program: at once, without a traceback. To PID 1 of a container the kernel delivers only signals
    that have a handler (pid_namespaces(7)), so there it gets one.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if os.getpid() == 1:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, lambda n, _: os._exit(128 + n))
    # Libraries get no hooks on fork. They are for forks of a process with threads, and ours has one; they would run
    # twice for each component, in guardian and leader: 0.5 MB of a guardian's memory, and 0.5 ms.
    os.register_at_fork = lambda **_: None
    gc.disable()  # what is imported stays: to look for garbage costs 4 ms of each command; cli.invocation enables it
    from orchestrator import cli

    cli.main(sys.argv[1:])


if __name__ == "__main__":
    main()
