"""The guardian: the process that monitors one run of one instance, until its tree is empty.

It starts the leader under a pty, passes a duplicate of the master to the supervisor, and from then on only waits for
events: the channel, SIGCHLD, one deadline. It has no restart logic: it exits when the tree is empty, which releases its
lock. If the supervisor dies, the guardian runs the same stop by itself and drains the pty meanwhile: a component whose
terminal is not read would block while printing its last lines.

Facts: forked, never spawned (6 ms and 2 MB against 60 ms and 13 MB). It keeps a duplicate of the master, because
otherwise the supervisor's death would hang up the component before the guardian sends SIGTERM, and gunicorn and uvicorn
take SIGHUP as *reload*.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.model.messages import (
    Answer,
    Conclude,
    Down,
    Execute,
    Kill,
    Launch,
    Remark,
    Signal,
    Started,
    StartFailed,
    Stop,
    Stuck,
    Up,
    Vacated,
)
from orchestrator.model.spec import Hooks
from orchestrator.model.stop_sequence import (
    Act,
    Cause,
    KillTree,
    Phase,
    ReportStuck,
    RunCommand,
    SendRest,
    SendStep,
    TypeKeys,
)
from orchestrator.process import leftovers, procfs, tree
from orchestrator.process.channel import Channel, ChannelClosed
from orchestrator.process.component_tree import ComponentTree
from orchestrator.process.drain import Drain, DrainLog
from orchestrator.process.exit_report import ExitReport
from orchestrator.process.launch import Pty, cut_loose, reason_of, start_leader
from orchestrator.process.stop_driver import StopDriver
from orchestrator.runtime import cgroup, signals
from orchestrator.runtime.lock import InstanceLock, holder
from orchestrator.runtime.loop import READ, Loop

if TYPE_CHECKING:
    from orchestrator.process.command_runner import CommandRunner
    from orchestrator.process.hooks import HookRunner
    from orchestrator.process.pipes import Pipes

# Used only for this, so that it cannot be mistaken for a signal that is sent to a whole group.
PARENT_DEATH = signal.SIGRTMAX if procfs.LINUX else signal.SIGUSR1

# A guardian blocks all others, which costs one system call; ignoring each would cost sixty. SIGKILL, SIGSTOP and
# SIGCONT act nevertheless, and so do faults (a crash of a guardian should be visible).
_UNBLOCKED = (
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
    """Be the guardian of one run: the target of a forked multiprocessing.Process, all signals blocked.

    `rescue` gives the user's terminal back if the supervisor was killed. `highest` is the highest descriptor that the
    supervisor had open, `parent` its pid. Never returns.
    """
    channel: Channel[Up, Down] = Channel(connection)
    try:
        _isolate(highest, connection.fileno())
        Guardian(launch, log, rescue, channel, parent).run()
    except ChannelClosed:
        pass
    except BaseException as error:  # noqa: BLE001 - this process has no terminal to print it on
        try:
            reason = reason_of(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            channel.send(StartFailed(f"its guardian failed: {reason}"))
        except ChannelClosed:
            pass
    finally:
        os._exit(0)


def _isolate(highest: int, channel_fd: int) -> None:
    """Become independent: adopt what the component orphans. All signals are blocked, and most remain so."""
    cut_loose(highest, channel_fd)
    tree.become_subreaper()


class Guardian:
    """The guardian of one run, from its start until its tree is empty."""

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
        self._stop_driver = StopDriver(self._loop, launch.stop, self._do)
        self._lock = InstanceLock(launch.lock_path)
        self._leader: Pty | Pipes | None = None
        self._tree: ComponentTree | None = None
        self._exit_report: ExitReport | None = None
        self._runner: CommandRunner | None = None
        self._empty = False
        self._vacated = False
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
        signals.block_all_but(_UNBLOCKED)
        self._on_signal(READ)  # the leader may have ended while signals were blocked
        while not self._is_over:
            self._loop.turn()
        if self._drain is not None:
            self._drain.finish()

    def _start(self) -> bool:
        launch = self._launch
        if not self._lock.take():
            pid = holder(Path(self._lock.path))
            self._launch = dataclasses.replace(launch, hooks=Hooks())  # those hooks run when that tree ends
            self._send(StartFailed(f"the tree of an earlier {launch.instance} is still there (guardian {pid or '?'})"))
            return False
        oom_kills = cgroup.oom_kills(launch.cgroup) if launch.cgroup else None
        leftovers.write_record(launch.lock_path)  # before any process exists that could outlive us
        try:
            os.chdir(launch.cwd)
            self._leader = start_leader(launch)
        except OSError as error:
            leftovers.forget_record(launch.lock_path)
            self._send(StartFailed(reason_of(error)))
            return False
        os.chdir("/")
        pid, session, fds = self._leader.pid, self._leader.session, self._leader.output_fds
        self._exit_report = ExitReport(pid, launch.cgroup, oom_kills)
        self._tree = ComponentTree(launch.stop, pid, session, self._exit_report)
        leftovers.write_record(launch.lock_path, pid, session or pid)
        self._send(Started(pid, errors_apart=len(fds) > 1, session=session), *fds)
        return True

    def _send(self, message: Up, *fds: int) -> None:
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
                self._stop_driver.advance(Cause.STOP)
            case Kill() if self._hooks is not None:
                self._hooks.kill()
            case Kill():
                self._stop_driver.advance(Cause.KILL)
            case Conclude():
                self._conclusion = message
                self._conclude()
            case Signal(number) if self._tree is not None and not self._stop_driver.leader_gone:
                self._tree.signal_group(number)
            case Execute(key, argv, timeout):
                self._commands().start(argv, timeout, lambda well, text: self._send(Answer(key, well, text)))

    def _commands(self) -> CommandRunner:
        if self._runner is None:
            from orchestrator.process.command_runner import (
                CommandRunner,  # imports subprocess, which most runs do not need
            )

            self._runner = CommandRunner(self._loop, self._launch)
        return self._runner

    def _remark(self, well: bool, text: str) -> None:
        if not well:
            self._send(Remark(f"the stop command of {self._launch.instance} failed: {text}"))

    def _on_orphaned(self) -> None:
        """Run the stop and read the pty in place of the supervisor, which has exited."""
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
        self._stop_driver.advance(Cause.STOP)
        self._conclude()

    def _on_signal(self, _: int) -> None:
        if PARENT_DEATH in self._signals.read() and os.getppid() != self._parent:
            self._on_orphaned()
        ended, empty = tree.reap_all()
        if self._hooks is not None:
            self._hooks.reaped(ended, empty=empty)
            return
        self._vacated |= empty
        session = 0 if self._tree is None else self._tree.session
        self._empty |= self._vacated or (bool(ended) and tree.children_of(os.getpid()) == [session])
        if ended:
            self._on_exits(ended)
        if self._empty and self._tree is not None and self._tree.session:
            tree.send(self._tree.session, signal.SIGKILL)  # its exit is the last one
        if self._vacated:
            leftovers.forget_record(self._launch.lock_path)
            if self._launch.cgroup:
                cgroup.leave(self._launch.cgroup)
            self._conclude()

    def _on_exits(self, ended: list[tuple[int, int]]) -> None:
        """Take the exits of children. The search for others is done once for all of them: 500 that are killed together
        would be searched for 500 times."""
        cause = Cause.CHILD_GONE
        for pid, status in ended:
            if self._leader is not None and pid == self._leader.pid:
                self._on_leader_exit(status)
                cause = Cause.LEADER_GONE
            elif self._exit_report is not None and self._exit_report.other_exited(pid, status):
                continue
            elif self._tree is not None and pid == self._tree.session:
                self._tree.session = 0
            elif self._runner is not None:
                self._runner.ended(pid, status)
        if self._exit_report is not None and (exited := self._exit_report.message()):
            self._send(exited)
        self._stop_driver.advance(cause)

    def _on_leader_exit(self, status: int) -> None:
        assert self._tree is not None
        assert self._exit_report is not None
        asked = self._stop_driver.phase is not Phase.RUN
        by_itself = not asked and -status not in self._exit_report.sent
        left = self._tree.living() if by_itself and not self._empty else []
        self._exit_report.leader_exited(status, asked=asked, left=len(left), daemons=self._tree.has_daemon(left))

    def _conclude(self) -> None:
        """Run the hooks as soon as the supervisor has reported how the run ended, then exit: the tree is empty."""
        if not self._vacated or self._hooks is not None or self._is_over:
            return
        if not self._launch.hooks:
            self._finish()
        elif self._conclusion is not None:
            from orchestrator.process.hooks import HookRunner

            self._hooks = HookRunner(self._loop, self._commands(), self._launch.hooks, self._report_hook, self._finish)
            self._hooks.begin(self._conclusion)

    def _report_hook(self, text: str) -> None:
        self._send(Remark(f"{self._launch.instance}: {text}"))

    def _finish(self) -> None:
        self._send(Vacated())
        self._is_over = True

    def _do(self, act: Act) -> None:
        if self._empty or self._tree is None:
            return
        match act:
            case SendStep(number):
                self._tree.send_step(number, leader_gone=self._stop_driver.leader_gone)
            case TypeKeys(keys):
                self._type(keys)
            case RunCommand(argv, timeout):
                self._commands().start(argv, timeout, self._remark, with_status=True)
            case SendRest(number):
                self._tree.send_rest(number)
            case KillTree():
                tree.kill_tree(os.getpid())
            case ReportStuck():
                left = self._tree.living()
                self._send(Stuck(tuple(left), ", ".join(map(procfs.describe, left[:5]))))

    def _type(self, keys: str) -> None:
        """Type into the component's terminal. If its input buffer is full, the keys are dropped."""
        if isinstance(self._leader, Pty):
            with contextlib.suppress(OSError):  # EAGAIN; EIO: no process has the slave open
                os.write(self._leader.master_fd, keys.encode("utf-8", "surrogateescape"))
