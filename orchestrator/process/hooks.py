"""Runs the hooks of a run, one after another, once its process tree is empty.

They run below the guardian, like the component: processes that a hook leaves are killed when it exits or times out.
"""

from __future__ import annotations

import collections
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from orchestrator.model.messages import Conclude
from orchestrator.model.spec import HOOK_TIMEOUT, Hooks
from orchestrator.process import tree
from orchestrator.runtime.loop import Loop, Timer

if TYPE_CHECKING:
    from orchestrator.process.command_runner import CommandRunner

_AGAIN = 0.1  # seconds until the processes that a hook left are killed again
_ATTEMPTS = 50


class HookRunner:
    """The hooks of one run. `failed` is called for each that fails, `finished` once, after the last one."""

    def __init__(
        self,
        loop: Loop,
        runner: CommandRunner,
        hooks: Hooks,
        failed: Callable[[str], None],
        finished: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._runner = runner
        self._hooks = hooks
        self._failed = failed
        self._finished = finished
        self._waiting: collections.deque[tuple[str, tuple[str, ...], Mapping[str, str]]] = collections.deque()
        self._name = ""  # of the hook that runs
        self._timer: Timer | None = None
        self._attempts = 0

    def begin(self, end: Conclude) -> None:
        """Run the hooks that apply to this exit."""
        hooks = [("failed", "on_failure", self._hooks.on_failure)] if end.failed else []
        for event, name, argv in (*hooks, ("exited", "after_exit", self._hooks.after_exit)):
            if argv:
                self._waiting.append((name, argv, {**end.environment, "ORCHESTRATE_EVENT": event}))
        self._next()

    def reaped(self, ended: Iterable[tuple[int, int]], *, empty: bool) -> None:
        """Take note of children that have exited, with their statuses, and of whether none is left."""
        for pid, status in ended:
            self._runner.ended(pid, status)
        if empty:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._next()
        elif not self._name:
            tree.kill_tree(os.getpid())

    def kill(self) -> None:
        """Kill the running hook, and run no other."""
        self._waiting.clear()
        tree.kill_tree(os.getpid())

    def _next(self) -> None:
        while self._waiting:
            self._name, argv, environment = self._waiting.popleft()
            self._runner.start(argv, HOOK_TIMEOUT, self._end, environment, with_status=True)
            if self._name:
                return
        self._finished()

    def _end(self, well: bool, text: str) -> None:
        name, self._name = self._name, ""
        if not well:
            self._failed(f"{name} failed: {text}")
        self._attempts = 0
        self._sweep()

    def _sweep(self) -> None:
        """Kill the processes that the hook has left, until none remain."""
        tree.kill_tree(os.getpid())
        self._attempts += 1
        if self._attempts < _ATTEMPTS:
            self._timer = self._loop.call_in(_AGAIN, self._sweep)
        else:
            self._failed("what a hook has started cannot be killed")
            self._waiting.clear()
            self._next()
