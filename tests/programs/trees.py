"""trees.py NAME [STATUS]: stand up one kind of process tree, print `ready` when all its processes run, and stay.

Those called `left…` and `holder` do not stay: their leader exits with STATUS as soon as the rest stands. Every process
names itself after its part in the tree (proc_pid_comm(5)), so that a survivor is reported as what it is. Run as
`python -S -E`: it starts in 10 ms.
"""

import _thread
import os
import select
import signal
import sys

NOTICE_READ, NOTICE_WRITE = os.pipe()


def rename(part):
    with open("/proc/self/comm", "w") as file:
        file.write(part)


def stay():
    while True:
        signal.pause()


def stand():
    """One more process of the tree runs."""
    os.write(NOTICE_WRITE, b".")
    stay()


def close_everything():
    """What a daemon does, after its notice: no fd is left, the pty's neither."""
    os.write(NOTICE_WRITE, b".")
    os.closerange(0, 256)
    os.chdir("/")
    stay()


def fork(part, body=stand):
    pid = os.fork()
    if pid == 0:
        try:
            rename(part)
            body()
        finally:
            os._exit(0)
    return pid


def ready(processes):
    """Print it when so many other processes have given notice."""
    while processes:
        processes -= len(os.read(NOTICE_READ, processes))
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def be_deaf():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def own_group():
    os.setpgid(0, 0)
    stand()


def own_session(body=stand):
    os.setsid()
    body()


def daemonise(body=close_everything):
    """The textbook: fork, setsid, fork; the one between exits."""
    os.setsid()
    fork("daemon", body)


def plain():
    ready(0)


def family():
    def child():
        fork("grandchild")
        stand()

    fork("child", child)
    ready(2)


def group():
    fork("own-group", own_group)
    ready(1)


def session():
    fork("own-session", own_session)
    ready(1)


def double():
    between = fork("between", lambda: fork("orphan"))
    os.waitpid(between, 0)
    ready(1)


def daemon():
    between = fork("between", daemonise)
    os.waitpid(between, 0)
    ready(1)


def deaf():
    be_deaf()
    fork("deaf-child", own_session)
    ready(1)


def stopped():
    child = fork("stopped", lambda: (os.kill(os.getpid(), signal.SIGSTOP), stay()))
    os.waitpid(child, os.WUNTRACED)
    ready(0)


def frozen():
    """The leader is the one that is stopped; only its child can tell that it is."""
    leader = os.getpid()

    def observer():
        while True:
            with open(f"/proc/{leader}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "T":
                    break
            select.select([], [], [], 0.001)
        ready(0)
        stay()

    fork("witness", observer)
    os.kill(leader, signal.SIGSTOP)


def deaf_stopped():
    be_deaf()
    stopped()


def threaded():
    """A thread's children stand in that thread's own list under /proc."""

    def thread():
        fork("of-thread")
        fork("thread-session", own_session)
        _thread.allocate_lock().acquire()
        stay_here = _thread.allocate_lock()
        stay_here.acquire()
        stay_here.acquire()

    _thread.start_new_thread(thread, ())
    ready(2)


def fleer():
    """At the stop signal the leader starts a new process, deaf and in a session of its own, and exits well."""

    def flee(*_):
        be_deaf()
        fork("fled", own_session)
        os.read(NOTICE_READ, 1)
        os._exit(0)

    signal.signal(signal.SIGTERM, flee)
    ready(0)


def hopper():
    """A deaf process that every few milliseconds goes on as a new one, in a new session: a moving target.

    It tires after 500 hops, else one that is missed would use up the pids of the machine.
    """

    def hop():
        os.write(NOTICE_WRITE, b".")
        for _ in range(500):
            os.setsid()
            select.select([], [], [], 0.01)
            if os.fork():
                os._exit(0)
        stay()

    fork("between", lambda: (be_deaf(), fork("hopper", hop)))
    ready(1)


def bomb():
    """Forks as fast as it can, in both halves, each in a session of its own: 500 in all, and each ends in 60 s."""

    def burst(share):
        os.setsid()
        be_deaf()
        os.write(NOTICE_WRITE, b".")
        signal.alarm(60)
        while share > 1:
            half = share // 2
            if os.fork() == 0:
                share = half
                os.setsid()
                os.write(NOTICE_WRITE, b".")
                signal.alarm(60)  # not inherited
            else:
                share -= half
        stay()

    fork("bomb", lambda: burst(500))
    ready(1)


def vforks():
    """A storm of short-lived children, as a shell script makes them: 2,000, then it stays."""

    def storm():
        os.setsid()
        be_deaf()
        os.write(NOTICE_WRITE, b".")
        for _ in range(2000):
            os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
        stay()

    fork("vforks", storm)
    ready(1)


def traced():
    """A child that is stopped under ptrace(2): SIGCONT and TERM do not reach it."""
    import ctypes

    ptrace = ctypes.CDLL(None).ptrace

    def tracee():
        ptrace(0, 0, 0, 0)  # PTRACE_TRACEME
        os.kill(os.getpid(), signal.SIGSTOP)
        stay()

    be_deaf()
    os.waitpid(fork("tracee", tracee), os.WUNTRACED)
    ready(0)


def thread_leader():
    """The leader's first thread has gone; a second one goes on, and forks (pthread_exit(3) in main)."""
    import ctypes

    def thread():
        os.write(NOTICE_WRITE, b".")
        fork("of-second", own_session)
        ready(2)
        stay_here = _thread.allocate_lock()
        stay_here.acquire()
        stay_here.acquire()

    _thread.start_new_thread(thread, ())
    ctypes.CDLL(None).syscall(60, 0)  # exit(2), of this thread only; without the GIL, which the other needs


def foreign():
    """A child of another uid; needs root."""

    def other():
        os.setsid()
        os.setuid(65534)
        be_deaf()
        stand()

    fork("foreign", other)
    ready(1)


def left():
    fork("left-child")
    fork("left-session", own_session)
    os.waitpid(fork("between", daemonise), 0)
    ready(3)
    exit_now()


def left_deaf():
    be_deaf()
    left()


def left_stopped():
    stopped()
    exit_now()


def keeper():
    """A deaf child holds the pty open; its leader stays until it is asked to end."""
    fork("keeper-child", lambda: (be_deaf(), stand()))
    ready(1)


def holder():
    """A child holds the pty open, and ignores the hang-up that the leader's end brings."""
    be_deaf()
    fork("holder-child")
    ready(1)
    exit_now()


def exit_now():
    os._exit(int(sys.argv[2]) if len(sys.argv) > 2 else 0)


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")]()
    stay()
