"""The command `orchestrate` and `python -m orchestrator`."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command line and end the process with its status.

    Until the supervisor has its own handlers nothing is running that would have to be cleaned up, so Ctrl-C acts as
    it does on a C program: at once, without a traceback.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from orchestrator import cli

    cli.main(sys.argv[1:])


if __name__ == "__main__":
    main()
