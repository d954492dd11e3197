"""soaker.py KIND SEED LEDGER: one component of scripts/soak. Writes numbered lines, `BEGIN`, `1` … `END n`, and ends
its way.

After BEGIN, and before each number, stands the name of the run; a run that is killed lacks the END. In the directory
LEDGER it keeps a file with that name: the number up to which all has been written; the END
is one more.
"""

import os
import random
import signal
import sys
import time

KIND, SEED, LEDGER = sys.argv[1:]
dice = random.Random(f"{SEED} {os.getpid()}")


def lines(count: int, pause: float) -> None:
    """Write so many lines."""
    me = f"{os.getpid()}.{time.monotonic_ns()}"
    ledger_fd = os.open(os.path.join(LEDGER, me), os.O_WRONLY | os.O_CREAT, 0o600)

    def note(number: int) -> None:
        os.pwrite(ledger_fd, b"%8d" % number, 0)

    print(f"BEGIN {me}", flush=True)
    note(0)
    for number in range(1, count + 1):
        whole = number % 50 == 0 or pause > 0
        print(f"{me} {number}", flush=whole)
        if whole:
            note(number)
        if pause:
            time.sleep(pause)
    print(f"END {me} {count}", flush=True)
    note(count + 1)


def daemonise() -> None:
    """Leave a deaf process in a session of its own."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            time.sleep(300)
        os._exit(0)


if KIND == "crash":
    lines(dice.randrange(1, 50), 0.05)
    os.kill(os.getpid(), dice.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM]))
elif KIND == "flood":
    lines(dice.randrange(1000, 5000), 0)
    time.sleep(dice.uniform(1, 5))
elif KIND == "hang":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    lines(10, 0.01)
    time.sleep(600)
elif KIND == "daemon":
    daemonise()
    lines(10, 0.05)
    time.sleep(dice.uniform(0.5, 3))
else:
    lines(10**6, dice.uniform(0.2, 0.5))
