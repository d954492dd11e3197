"""soaker.py KIND SEED: one component of scripts/soak. Writes numbered lines, `BEGIN`, `1` … `END n`, and ends its way.

After BEGIN stands the pid, so that the lines of one run are known; a run that is killed lacks the END.
"""

import os
import random
import signal
import sys
import time

KIND, SEED = sys.argv[1], sys.argv[2]
dice = random.Random(f"{SEED} {os.getpid()}")


def lines(count: int, pause: float) -> None:
    """Write so many lines."""
    me = os.getpid()
    print(f"BEGIN {me}", flush=True)
    for number in range(1, count + 1):
        print(f"{me} {number}", flush=number % 50 == 0 or pause > 0)
        if pause:
            time.sleep(pause)
    print(f"END {me} {count}", flush=True)


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
