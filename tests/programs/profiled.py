"""orchestrate, with every call of a function of its own recorded: `profiled.py FILE ARGUMENT...`.

FILE gets a line for each time the loop woke: monotonic seconds, then the calls until it waited again, in their order:
how deep the call is nested, and `file:function`, or `file:.name` for a property. Forked children record nothing.
"""

import inspect
import json
import os
import sys
import time

from orchestrator import __main__, __path__

PACKAGE = __path__[0] + "/"


def record(path):
    """Install the hook and return."""
    turns = open(path, "w", buffering=1)  # noqa: SIM115  # closed by the exit
    calls = []
    depth = 0

    def hook(frame, event, _):
        nonlocal depth
        if event == "return":
            depth -= 1
        if event != "call":
            return
        depth += 1
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE):
            return
        owner = type(frame.f_locals.get("self"))
        dot = "." if isinstance(inspect.getattr_static(owner, code.co_name, None), property) else ""
        name = f"{code.co_filename.removeprefix(PACKAGE)}:{dot}{code.co_name}"
        if name == "runtime/loop.py:turn":
            if calls:
                turns.write(json.dumps([time.monotonic(), calls]) + "\n")
            calls.clear()
        calls.append((depth, name))

    os.register_at_fork(after_in_child=lambda: sys.setprofile(None))
    sys.setprofile(hook)


if __name__ == "__main__":
    file, *sys.argv[1:] = sys.argv[1:]
    record(file)
    __main__.main()
