"""reaper.py REPORT_FD TERMINAL HOLD_FD COMMAND…: run one command and outlive everything it leaves behind.

It is a child subreaper (prctl(2)): whatever the command starts, and wherever that flees to, stays below this process.
So nothing is missed by walking the ppid map from here, and `waitpid` says ECHILD exactly when nothing is left.
Written to REPORT_FD, a line each:

    started PID            after the exec has succeeded
    failed ERRNO           instead of it
    exited STATUS TIME     the command's own end: exit status, or minus the signal; TIME is CLOCK_MONOTONIC
    vacant TIME            nothing is left; then end of file

TERMINAL is 1 when fd 0 shall become the controlling terminal. The exec waits for end of file on HOLD_FD where that is
not -1: so twenty commands start at one instant. SIGTERM, also sent by the kernel when the parent dies, kills all that
is left.

Run as `python -S -E`; harness.py imports the walk from here.
"""

import ctypes
import fcntl
import os
import signal
import sys
import termios
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def prctl(option, value):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def stat_of(pid):
    """(comm, state, ppid, pgid, sid) of one process, from proc_pid_stat(5); None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read().decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    before, _, after = text.rpartition(")")  # a comm may hold blanks and brackets
    state, ppid, pgid, sid = after.split()[:4]
    return before.partition("(")[2], state, int(ppid), int(pgid), int(sid)


def descendants(root):
    """All living descendants of `root`, parents first; zombies are not counted, what hangs below one is."""
    children, states = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            stat = stat_of(entry)
            if stat is not None:
                children.setdefault(stat[2], []).append(int(entry))
                states[int(entry)] = stat[1]
    found, queue = [], [root]
    while queue:
        below = children.get(queue.pop(0), [])
        queue.extend(below)
        found.extend(pid for pid in below if states[pid] not in "ZX")
    return found


def kill_all(pids):
    """Freeze first, then kill: what forks while it is being killed would otherwise run ahead of the killer."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            try:
                os.kill(pid, number)
            except (ProcessLookupError, PermissionError):
                pass


def execute(command, terminal, hold_fd):
    """In the forked child: a session of its own, all signals at their defaults, then the command."""
    os.setsid()
    if terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_DFL)
        except OSError:
            pass  # the C library keeps 32 and 33
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if hold_fd >= 0:
        os.read(hold_fd, 1)
        os.close(hold_fd)
    os.execvp(command[0], command)


def main(report_fd, terminal, hold_fd, command):
    def report(*words):
        try:
            os.write(report_fd, (" ".join(map(str, words)) + "\n").encode())
        except BrokenPipeError:
            pass  # the tests have gone; what is left is still killed

    def reap():
        """Wait for one child; false when there is none."""
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return False
        if pid == leader_pid:
            report("exited", os.waitstatus_to_exitcode(status), time.monotonic())
        return True

    def kill_everything(*_):
        while True:
            kill_all(descendants(os.getpid()))
            if not reap():
                return

    prctl(PR_SET_CHILD_SUBREAPER, 1)
    os.set_inheritable(report_fd, False)
    failure_fd, exec_fd = os.pipe()  # closed by the exec, else it brings the errno
    leader_pid = os.fork()
    if leader_pid == 0:
        try:
            execute(command, terminal, hold_fd)
        except OSError as error:
            os.write(exec_fd, str(error.errno).encode())
        finally:
            os._exit(127)
    signal.signal(signal.SIGTERM, kill_everything)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.close(exec_fd)
    null_fd = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):  # else whoever reads the command's output never sees its end
        os.dup2(null_fd, fd)
    failure = os.read(failure_fd, 16)
    report(*(("failed", failure.decode()) if failure else ("started", leader_pid)))
    while reap():
        pass
    report("vacant", time.monotonic())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] == "1", int(sys.argv[3]), sys.argv[4:])
