"""signal_log.py DIRECTORY NAME [SECONDS [STATUS]]: a server that notes each signal it gets, and finishes its job.

It appends to DIRECTORY/NAME.PID a line a signal, with the sender's pid and the time since its start, works for SECONDS
after SIGTERM or SIGINT, notes `done` and exits with STATUS. What comes meanwhile is noted too. It prints `ready`.
"""

import os
import signal
import sys
import time

directory, name, *rest = sys.argv[1:]
seconds, status = float(rest[0]) if rest else 0.3, int(rest[1]) if rest[1:] else 7
noted = {number for number in signal.valid_signals() if number not in (signal.SIGCHLD, signal.SIGWINCH)}
signal.pthread_sigmask(signal.SIG_BLOCK, noted)
log = os.open(f"{directory}/{name}.{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
begun = time.monotonic()


def note(text):
    os.write(log, f"{text}\n".encode())


note("started")
try:
    os.write(1, b"ready\n")
except OSError:  # who reads it may have exited
    pass
deadline = None
while deadline is None or time.monotonic() < deadline:
    got = signal.sigtimedwait(noted, 3600.0 if deadline is None else max(0.0, deadline - time.monotonic()))
    if got is not None:
        note(f"{signal.Signals(got.si_signo).name} from {got.si_pid} after {time.monotonic() - begun:.3f}")
        if got.si_signo in (signal.SIGTERM, signal.SIGINT):
            deadline = deadline or time.monotonic() + seconds
note("done")
os._exit(status)
