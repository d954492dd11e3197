"""Starts each component under its pseudo-terminal. This file alone imports pexpect.

Facts (ptyprocess 0.7, measured):
- it runs `preexec_fn` after it has closed all descriptors but 0-2, and reports what that raises. An error of its `cwd=`
  is raised inside the forked child instead, so the caller changes directory before.
- it resets no signal and no limit; `preexec_fn` does.
- it looks the program up with the PATH in `env`; if the argument list is empty, it splits the program's name.
- `close()` and `isalive()` wait and kill: never called. The object has to be kept, because its destructor closes the
  master.

A forked process first closes what it has inherited from the supervisor, and before it executes a program it resets what
it has inherited from the guardian.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import signal
import stat
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import pexpect

from orchestrator.model.messages import Launch
from orchestrator.model.spec import Account, Attributes
from orchestrator.process import tree
from orchestrator.process.session_leader import SessionPids
from orchestrator.runtime import cgroup, signals

if TYPE_CHECKING:
    from orchestrator.process.pipes import Pipes

_SPECIAL = re.compile(r"([^\w./+-])", re.ASCII)


def rehearse_spawn(rounds: int) -> None:
    """Run the code that starts a leader, without a process (see `fork.rehearse`)."""
    for _ in range(rounds):
        pexpect.spawn(None, timeout=None)
    pexpect.which("sh")


class Pty:
    """One component's terminal and its leader, `pid`, which leads a process group. `session` is the pid of the process
    that leads their session (see `session_leader`), or 0 if the leader does. `master_fd` is non-blocking and stays
    ours."""

    def __init__(
        self,
        argv: tuple[str, ...],
        environment: Mapping[str, str],
        size: tuple[int, int],
        set_up: Callable[[], None],
    ) -> None:
        """Start `argv` in the current directory; `size` is (rows, columns). `set_up` runs in the child before exec.

        Raises OSError with a reason in words if the program cannot be executed. Signals have to be blocked by the
        caller: the child empties the mask right before exec.
        """
        program, *arguments = argv
        if not arguments:
            program = _SPECIAL.sub(r"\\\1", program)
        pids = SessionPids()

        def prepare() -> None:
            pids.separate()
            set_up()

        try:
            self._spawn = pexpect.spawn(
                program, arguments, env=environment, preexec_fn=prepare, dimensions=size, timeout=None
            )
        except pexpect.ExceptionPexpect:
            raise FileNotFoundError(f"command not found: {argv[0]}") from None
        except OSError:
            if pids.leader:
                tree.send(pids.leader, signal.SIGKILL)
            raise
        self.session = pids.leader
        self.pid: int = pids.component or self._spawn.pid
        pids.close()
        self.master_fd: int = self._spawn.child_fd
        os.set_blocking(self.master_fd, False)

    @property
    def output_fds(self) -> tuple[int, ...]:
        """The descriptors that its output is read from."""
        return (self.master_fd,)


def start_leader(launch: Launch) -> Pty | Pipes:
    """Start the leader in the current directory, under a pty or on pipes. Raises OSError with a reason for the user."""
    set_up = partial(as_from_a_shell, launch)
    try:
        if launch.tty:
            return Pty(launch.argv, launch.environment, (launch.rows, launch.columns), set_up)
        from orchestrator.process.pipes import Pipes  # imports subprocess, which terminals do not need

        return Pipes(launch.argv, launch.environment, set_up)
    except OSError as error:
        from orchestrator.config import command_check

        # execve(2) reports a missing interpreter and a missing program in the same way.
        if fault := command_check.program_fault(launch.argv[0], os.getcwd(), launch.environment.get("PATH")):
            raise OSError(fault) from None
        account = launch.attributes.account
        if account is not None and account.name and (isinstance(error, PermissionError) or error.errno == errno.EACCES):
            raise OSError(f"user {account.name} may not run {launch.argv[0]}, or enter {launch.cwd}") from None
        raise


def reason_of(error: OSError) -> str:
    """Return the reason of an error of `start_leader` in words."""
    # ptyprocess passes on the number and its message, not the three arguments that make a strerror.
    text = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    return f"{text}: {error.filename}" if error.filename else text


def cut_loose(highest: int, channel_fd: int) -> None:
    """Close all descriptors up to `highest` but the channel, turn 0-2 into /dev/null, and begin a new session.

    A sibling's pipe end held here would hide the supervisor's death from that sibling; our stdout held here would
    keep `orchestrate | tee` from ending.
    """
    os.closerange(3, channel_fd)
    os.closerange(max(3, channel_fd + 1), highest + 1)
    null_fd = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null_fd, fd, inheritable=False)
    if null_fd > 2:
        os.close(null_fd)
    os.setsid()


def as_from_a_shell(launch: Launch, *, limited: bool = True) -> None:
    """Between fork and exec: no signal is blocked or ignored, and the process is as the definition says.

    Without `limited` it gets no limit of memory and processes: a stop command has to run when its component has used
    these up. Raises OSError.
    """
    signals.set_all_default()
    files = launch.descriptors, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, files)
    if limited and launch.cgroup:
        with _explained(f"cannot join the control group {launch.cgroup}"):
            cgroup.join(launch.cgroup)
    if (account := launch.attributes.account) is not None and account.uid != os.geteuid():
        _give_terminal(account.uid)
    apply(launch.attributes, limited=limited and not launch.cgroup)


def apply(attributes: Attributes, *, limited: bool = True) -> None:
    """Give this process its limits, priority and umask, then its user; `limited` as above. Raises OSError."""
    limits = attributes.limits
    # Not RLIMIT_AS: Go, Node.js and the JVM reserve far more address space than they use, and would not start. The
    # data segment is the private writable memory (since Linux 4.7).
    numbers = {resource.RLIMIT_NOFILE: limits.files}
    if limited:
        numbers |= {resource.RLIMIT_DATA: limits.memory, resource.RLIMIT_NPROC: limits.processes}
    for number, limit in numbers.items():
        if limit is not None:
            with _explained(f"cannot set a limit of {limit}"):
                resource.setrlimit(number, (limit, limit))
    if attributes.nice is not None:
        with _explained(f"cannot set nice = {attributes.nice}"):
            os.setpriority(os.PRIO_PROCESS, 0, attributes.nice)
    if attributes.umask is not None:
        os.umask(attributes.umask)
    if (account := attributes.account) is not None:
        with _explained(f"cannot run as user {account.name or account.uid}, group {account.gid}"):
            _become(account)


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Put the failed step before the reason of an OSError, in a text that ptyprocess passes on."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise OSError(f"{what}: {(getattr(error, 'strerror', None) or str(error)).lower()}") from None


def _give_terminal(uid: int) -> None:
    """Let a user own its terminal, or pipes: it has to be able to open /dev/tty, /dev/stdout and so on (proc(5))."""
    with _explained(f"cannot give its terminal to uid {uid}"):
        for fd in (0, 1, 2):
            if stat.S_ISFIFO(os.fstat(fd).st_mode) or os.isatty(fd):
                os.fchown(fd, uid, -1)


def _become(account: Account) -> None:
    if account.groups is not None:
        os.setgroups(account.groups)
    if account.gid != os.getegid():
        os.setresgid(account.gid, account.gid, account.gid)
    if account.uid != os.geteuid():
        os.setresuid(account.uid, account.uid, account.uid)
