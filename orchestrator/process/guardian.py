"""The guardian: the process that stands over one incarnation of one instance, for as long as its tree lives.

It starts the leader under a pty, passes a duplicate of the master to the supervisor, and from then on only watches:
the channel, SIGCHLD, one deadline. No restart logic: it ends when the tree is vacated, and takes its lock with it.
If the supervisor dies it runs the same stop on its own, and drains the pty meanwhile: a component whose terminal
nobody reads would block in its last words.

Facts: forked, never spawned (6 ms and 2 MB against 60 ms and 13 MB). It keeps its own duplicate of the master,
because otherwise the supervisor's death would be a hang-up to the component before it is a SIGTERM, and gunicorn and
uvicorn take SIGHUP as *reload*.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import signal
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.model.messages import (
    Answer,
    Conclude,
    Down,
    Kill,
    Launch,
    LeaderExited,
    Remark,
    Run,
    Signal,
    Started,
    StartFailed,
    Stop,
    Stuck,
    Up,
    Vacated,
)
from orchestrator.model.spec import Hooks, Scope
from orchestrator.model.stop_sequence import (
    Act,
    Cause,
    KillTree,
    Phase,
    ReportStuck,
    RunCommand,
    SendRest,
    SendStep,
    StopSequence,
    TypeKeys,
)
from orchestrator.process import leftovers, procfs, shell_status, tree
from orchestrator.process.channel import Channel, ChannelClosed
from orchestrator.process.drain import Drain, DrainLog
from orchestrator.process.launch import Pty, as_from_a_shell, cut_loose
from orchestrator.runtime import cgroup, signals
from orchestrator.runtime.lock import InstanceLock, holder
from orchestrator.runtime.loop import READ, Loop, Timer

if TYPE_CHECKING:
    from orchestrator.process.commands import CommandRunner
    from orchestrator.process.hooks import HookRunner
    from orchestrator.process.pipes import Pipes

# Ours alone, so that it cannot be mistaken for a signal that somebody sends to a whole group.
PARENT_DEATH = signal.SIGRTMAX if procfs.LINUX else signal.SIGUSR1

_SIGNAL_ROUNDS = 20  # of looking for processes that were forked while others were being signaled

# A guardian blocks all others, which costs one system call, where ignoring each would be sixty. SIGKILL, SIGSTOP and
# SIGCONT act nevertheless, and so do faults (a crash of a guardian should be one).
_HEARD = (
    PARENT_DEATH,
    signal.SIGCHLD,
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGABRT,
)


def run(
    launch: Launch,
    log: Callable[[], DrainLog | None],
    rescue: Callable[[], None],
    connection: Connection[Up, Down],
    highest: int,
    parent: int,
) -> None:
    """Be the guardian of one incarnation: the target of a forked multiprocessing.Process, all signals blocked.

    `rescue` gives the user's terminal back if the supervisor was killed. `highest` is the highest descriptor that the
    supervisor had open, `parent` its pid. Never returns.
    """
    channel: Channel[Up, Down] = Channel(connection)
    try:
        _isolate(highest, connection.fileno())
        _Watch(launch, log, rescue, channel, parent).run()
    except ChannelClosed:
        pass
    except BaseException as error:  # noqa: BLE001 - this process has no terminal to print it on
        try:
            channel.send(StartFailed(f"its guardian failed: {type(error).__name__}: {error}"))
        except ChannelClosed:
            pass
    finally:
        os._exit(0)


def _isolate(highest: int, channel_fd: int) -> None:
    """Stand alone: adopt what the component orphans. All signals are blocked, and most remain so."""
    cut_loose(highest, channel_fd)
    tree.become_subreaper()


class _Watch:
    """One incarnation, from its start until its tree is vacated."""

    def __init__(
        self,
        launch: Launch,
        log: Callable[[], DrainLog | None],
        rescue: Callable[[], None],
        channel: Channel[Up, Down],
        parent: int,
    ) -> None:
        self._launch = launch
        self._open_log = log
        self._rescue = rescue
        self._drain: Drain | None = None
        self._channel: Channel[Up, Down] | None = channel
        self._parent = parent
        self._loop = Loop()
        self._signals = signals.SignalPipe([signal.SIGCHLD, PARENT_DEATH])
        self._stop_sequence = StopSequence(launch.stop)
        self._timer: Timer | None = None
        self._lock = InstanceLock(launch.lock_path)
        self._leader: Pty | Pipes | None = None
        self._session = 0
        self._runs: CommandRunner | None = None
        self._empty = False
        self._vacated = False
        self._sent: set[int] = set()
        self._told: set[tuple[int, int]] = set()
        self._chain: tuple[int, ...] = ()
        self._statuses: dict[int, int] = {}
        self._exit: LeaderExited | None = None
        self._oom_kills: int | None = None  # in the control group, before this run
        self._conclusion: Conclude | None = None
        self._hooks: HookRunner | None = None
        self._is_over = False

    def run(self) -> None:
        """Start the leader and watch; returns when the tree is empty."""
        try:
            tree.signal_on_parent_death(PARENT_DEATH, self._parent)
        except ProcessLookupError:
            return
        if not self._start():
            if not self._launch.hooks or self._channel is None:
                return
            self._empty = self._vacated = True
        self._loop.add(self._signals.read_fd, READ, self._on_signal)
        if self._channel is not None:
            self._loop.add(self._channel.fileno(), READ, self._on_message)
        signals.block_all_but(_HEARD)
        self._on_signal(READ)  # the leader may have ended while signals were blocked
        while not self._is_over:
            self._loop.turn()
        if self._drain is not None:
            self._drain.finish()

    def _start(self) -> bool:
        launch = self._launch
        if not self._lock.take():
            pid = holder(Path(self._lock.path))
            self._launch = dataclasses.replace(launch, hooks=Hooks())  # they are for the end of that tree
            self._say(StartFailed(f"the tree of an earlier {launch.instance} is still there (guardian {pid or '?'})"))
            return False
        if launch.cgroup:
            self._oom_kills = cgroup.oom_kills(launch.cgroup)
        leftovers.write_record(launch.lock_path)  # before there is anything that could survive us
        try:
            os.chdir(launch.cwd)
            self._leader = _start_leader(launch)
        except OSError as error:
            leftovers.forget_record(launch.lock_path)
            self._say(StartFailed(_reason(error)))
            return False
        os.chdir("/")
        self._session = self._leader.session
        leftovers.write_record(launch.lock_path, self._leader.pid, self._session or self._leader.pid)
        fds = self._leader.output_fds
        self._say(Started(self._leader.pid, errors_apart=len(fds) > 1, session=self._session), *fds)
        return True

    def _say(self, message: Up, *fds: int) -> None:
        if self._channel is None:
            return
        try:
            self._channel.send(message)
            for fd in fds:
                self._channel.send_fd(fd)
        except ChannelClosed:
            self._on_orphaned()

    def _on_message(self, _: int) -> None:
        assert self._channel is not None
        try:
            message = self._channel.receive()
        except ChannelClosed:
            self._on_orphaned()
            return
        match message:
            case Stop():
                self._advance(Cause.STOP)
            case Kill() if self._hooks is not None:
                self._hooks.kill()
            case Kill():
                self._advance(Cause.KILL)
            case Conclude():
                self._conclusion = message
                self._conclude()
            case Signal(number) if self._leader is not None and not self._stop_sequence.leader_gone:
                self._signal_group(self._leader.pid, number)
            case Run(key, argv, timeout):
                self._run(argv, timeout, lambda well, text: self._say(Answer(key, well, text)))

    def _run(self, argv: tuple[str, ...], timeout: float, then: Callable[[bool, str], None]) -> None:
        """Run a command in the tree; `then` is told whether it ended well, and what it last printed."""
        self._commands().start(argv, timeout, then)

    def _commands(self) -> CommandRunner:
        if self._runs is None:
            from orchestrator.process.commands import CommandRunner  # and subprocess: who runs none does not pay for it

            self._runs = CommandRunner(self._loop, self._launch)
        return self._runs

    def _remark(self, well: bool, text: str) -> None:
        if not well:
            self._say(Remark(f"the stop command of {self._launch.instance} failed: {text}"))

    def _on_orphaned(self) -> None:
        """The supervisor has gone: run the stop, and read the pty in its place."""
        if self._channel is None:
            return
        self._loop.remove(self._channel.fileno())
        self._channel.close()
        self._channel = None
        self._rescue()
        if self._leader is not None:
            self._drain = Drain(self._loop, self._leader.output_fds, self._open_log())
        if self._conclusion is None:
            reason = "stopped, because the supervisor was killed"
            self._conclusion = Conclude(failed=False, environment={"ORCHESTRATE_REASON": reason})
        self._advance(Cause.STOP)
        self._conclude()

    def _on_signal(self, _: int) -> None:
        if PARENT_DEATH in self._signals.read() and os.getppid() != self._parent:
            self._on_orphaned()
        ended, empty = tree.reap_all()
        if self._hooks is not None:
            self._hooks.reaped(ended, empty=empty)
            return
        self._vacated |= empty
        self._empty |= self._vacated or (bool(ended) and tree.children_of(os.getpid()) == [self._session])
        cause = Cause.CHILD_GONE
        for pid, status in ended:
            if self._leader is not None and pid == self._leader.pid:
                self._on_leader_exit(status)
                cause = Cause.LEADER_GONE
            elif pid in self._chain:
                self._statuses[pid] = status
            elif pid == self._session:
                self._session = 0
            elif self._runs is not None:
                self._runs.ended(pid, status)
        if ended:  # once for all of them: 500 that are killed together would be looked for 500 times
            self._report_exit()
            self._advance(cause)
        if self._empty and self._session:
            tree.send(self._session, signal.SIGKILL)  # its exit is the last
        if self._vacated:
            leftovers.forget_record(self._launch.lock_path)
            if self._launch.cgroup:
                cgroup.leave(self._launch.cgroup)
            self._conclude()

    def _conclude(self) -> None:
        """The tree is empty: run the hooks as soon as the supervisor has said how the run ended, then end."""
        if not self._vacated or self._hooks is not None or self._is_over:
            return
        if not self._launch.hooks:
            self._finish()
        elif self._conclusion is not None:
            from orchestrator.process.hooks import HookRunner

            self._hooks = HookRunner(self._loop, self._commands(), self._launch.hooks, self._report_hook, self._finish)
            self._hooks.begin(self._conclusion)

    def _report_hook(self, text: str) -> None:
        self._say(Remark(f"{self._launch.instance}: {text}"))

    def _finish(self) -> None:
        self._say(Vacated())
        self._is_over = True

    def _on_leader_exit(self, status: int) -> None:
        assert self._leader is not None
        by_itself = self._stop_sequence.phase is Phase.RUN and -status not in self._sent
        left = []
        if by_itself and not self._empty:
            left = [member.pid for member in self._tree() if not procfs.is_zombie(member.pid)]
        session = self._session or self._leader.pid
        away = any(procfs.session_of(pid) != session for pid in left)
        asked = self._stop_sequence.phase is not Phase.RUN
        self._exit = LeaderExited(status, asked, len(left), daemons=away)
        self._statuses[self._leader.pid] = status
        if len(self._chain) < 2:
            self._chain = (self._leader.pid,)

    def _report_exit(self) -> None:
        """Report the leader's exit, once, as soon as it is known whose status counts."""
        if self._exit is None:
            return
        status = shell_status.status_of(self._chain, self._statuses, self._sent, procfs.exists)
        if status is not None:
            killed = status in (-signal.SIGKILL, 128 + signal.SIGKILL) and signal.SIGKILL not in self._sent
            kills = None
            if self._oom_kills is not None and (count := cgroup.oom_kills(self._launch.cgroup)) is not None:
                kills = count - self._oom_kills
            exited = dataclasses.replace(
                self._exit, status=status, unexplained_kill=killed and not self._exit.asked, oom_kills=kills
            )
            self._say(exited)
            self._exit = None

    def _advance(self, cause: Cause) -> None:
        self._stop_sequence, acts = self._stop_sequence.advance(cause, self._loop.now())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._stop_sequence.deadline is not None:
            self._timer = self._loop.call_at(self._stop_sequence.deadline, lambda: self._advance(Cause.DEADLINE))
        if not self._empty:
            for act in acts:
                self._do(act)

    def _do(self, act: Act) -> None:
        match act:
            case SendStep(number):
                self._send_step(number)
            case TypeKeys(keys):
                self._type(keys)
            case RunCommand(argv, timeout):
                self._run(argv, timeout, self._remark)
            case SendRest(number):
                self._send_rest(number)
            case KillTree():
                tree.kill_tree(os.getpid())
            case ReportStuck():
                left = [m.pid for m in self._tree() if not procfs.is_zombie(m.pid)]
                self._say(Stuck(tuple(left), ", ".join(map(procfs.describe, left[:5]))))

    def _tree(self) -> list[tree.Descendant]:
        """Return the component's process tree, without the session leader."""
        return tree.descendants(os.getpid(), (self._session,))

    def _send_step(self, number: int) -> None:
        """Send a signal of the stop sequence to its scope; once the leader has exited, to all that is left."""
        assert self._leader is not None
        if self._stop_sequence.leader_gone or self._launch.stop.scope is Scope.TREE:
            self._note_sent(number)
            self._signal_members(number, self._tree())
        elif self._launch.stop.scope is Scope.GROUP:
            self._signal_group(self._leader.pid, number)
            tree.send_group(self._leader.pid, signal.SIGCONT)
        else:
            self._note_sent(number)
            self._told.add(_identity(self._leader.pid))
            tree.send(self._leader.pid, number)
            tree.send(self._leader.pid, signal.SIGCONT)

    def _signal_group(self, group: int, number: int) -> None:
        """Signal the leader's process group, and note who is in it: those get no stop signal from the sweep.

        They are listed after kill(2): a process forked before it has got the signal and is listed; one forked in the
        moment between is listed without having got it, which is better than a second SIGTERM, for many servers take
        that as "stop now".
        """
        self._note_sent(number)
        tree.send_group(group, number)
        if number == self._launch.stop.stop_signal:
            self._told.update(_identity(m.pid) for m in self._tree() if procfs.group_of(m.pid) == group)

    def _send_rest(self, number: int) -> None:
        """Signal whoever has got no signal of this stop, also what is forked while they are being signaled."""
        self._sent.add(number)
        for _ in range(_SIGNAL_ROUNDS):
            fresh = [m for m in self._tree() if _identity(m.pid) not in self._told and not procfs.is_zombie(m.pid)]
            if not fresh:
                break
            self._signal_members(number, fresh)

    def _signal_members(self, number: int, members: list[tree.Descendant]) -> None:
        self._told.update(_identity(member.pid) for member in members)
        tree.send_members(os.getpid(), number, members)
        tree.send_members(os.getpid(), signal.SIGCONT, members)

    def _note_sent(self, number: int) -> None:
        """Look, before a signal is sent, whose status counts if the leader is a shell that dies of it."""
        assert self._leader is not None
        self._sent.add(number)
        if not self._stop_sequence.leader_gone:
            self._chain = shell_status.relayed_by(self._leader.pid)

    def _type(self, keys: str) -> None:
        """Type into the component's terminal; one that is full of what nobody reads takes nothing more."""
        if isinstance(self._leader, Pty):
            with contextlib.suppress(OSError):  # EAGAIN; EIO: nobody has the slave open
                os.write(self._leader.master_fd, keys.encode("utf-8", "surrogateescape"))


def _identity(pid: int) -> tuple[int, int]:
    """Return what names one process for as long as the machine runs: its pid and start time."""
    return pid, procfs.start_time(pid)


def _start_leader(launch: Launch) -> Pty | Pipes:
    set_up = partial(as_from_a_shell, launch)
    try:
        if launch.tty:
            return Pty(launch.argv, launch.environment, (launch.rows, launch.columns), set_up)
        from orchestrator.process.pipes import Pipes  # and subprocess: who has terminals only does not pay for it

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


def _reason(error: OSError) -> str:
    # ptyprocess passes on the number and a text of its own, not the three arguments that make a strerror.
    text = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    return f"{text}: {error.filename}" if error.filename else text
