"""`orchestrate run`: one command in a component's environment, in the user's own terminal. It replaces this process."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from typing import NoReturn

from orchestrator.cli import planning, settings, sources
from orchestrator.cli.options import LocationOptions, PlanOptions
from orchestrator.cli.settings import CommandSettings
from orchestrator.cli.sources import Sources
from orchestrator.config.definition import SHELL
from orchestrator.config.diagnostics import did_you_mean
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.model.masked import plain
from orchestrator.model.names import listed
from orchestrator.model.spec import Attributes
from orchestrator.process import launch

NOT_EXECUTABLE, NOT_FOUND = 126, 127  # as in sh(1)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of `run`: the words before `--`, and the command after it."""

    location: LocationOptions
    plan: PlanOptions
    words: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


def run(options: RunOptions) -> int:
    """Execute the command; return only by raising an error."""
    here = settings.read()
    read = sources.read(options.location, here, needs_components=False, exact=bool(options.words))
    name, argv = _what(options, read)
    variables = planning.variables_of(options.plan, read, name)
    cwd, attributes = read.definition.directory, Attributes()
    if name is not None:
        spec = planning.instance(options.plan, read, name)
        argv, cwd, attributes = argv or spec.argv, spec.cwd, spec.attributes
    planning.tell(read.report.notes)
    environment = at_terminal(here, {key: plain(variable.value) for key, variable in variables.items()})
    try:
        execute(argv, cwd, environment, attributes)
    except OrchestrateError as error:
        if name is not None or not options.words or error.status != NOT_FOUND:
            raise
        known = [component.name for component in read.definition.components]
        hint = did_you_mean(argv[0], known).removeprefix("; ") or (known and f"components are: {listed(known)}") or ""
        raise OrchestrateError(error.message, hint, NOT_FOUND) from None


def at_terminal(here: CommandSettings, environment: dict[str, str]) -> dict[str, str]:
    """Return the environment with the type of this terminal, not of a pty of ours."""
    others = {name: value for name, value in environment.items() if name != "TERM"}
    return {**others, "TERM": here.term} if here.term else others


def _what(options: RunOptions, read: Sources) -> tuple[str | None, tuple[str, ...]]:
    """Return the component of the environment (None for none), and the command (empty for the component's)."""
    words, command = options.words, options.command
    known = {instance.name for instance in (*read.definition.init, *read.definition.components)}
    if not words and not command:
        raise UsageError("nothing to run", "name a component, or a command after --")
    if words and (words[0] in known or words[0].rpartition(".")[0] in known or words[0].startswith("+")):
        if len(words) > 1:
            raise UsageError(f"{words[1]!r} follows the component {words[0]}", "write a command of your own after --")
        return words[0], command
    if words and command:
        planning.find(options.plan, read, words[0])
    return None, (*words, *command)


def execute(
    argv: tuple[str, ...], cwd: str, environment: dict[str, str], attributes: Attributes | None = None
) -> NoReturn:
    """Become the command, as the user and with the limits of a component. Raises OrchestrateError."""
    try:
        os.chdir(cwd)
        if attributes is not None and attributes != Attributes():
            launch.apply(attributes)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # CPython ignores them, and exec would keep that
            signal.signal(number, signal.SIG_DFL)
        sys.stdout.flush()
        sys.stderr.flush()
        os.execvpe(argv[0], argv, environment)
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        reason = getattr(error, "strerror", None) or str(error)
        what = argv[0] if argv[0] != SHELL[0] else argv[-1]
        status = NOT_FOUND if missing else NOT_EXECUTABLE
        raise OrchestrateError(f"cannot run {what}: {reason.lower()}", status=status) from None
