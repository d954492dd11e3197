"""`orchestrate up`: a Procfile, run in the foreground."""

from __future__ import annotations

import argparse
from pathlib import Path

from orchestrator.cli import foreground, surroundings
from orchestrator.config import commands, procfile
from orchestrator.model.errors import ConfigError, OrchestrateError
from orchestrator.model.spec import Component, StopPlan, System


def run(options: argparse.Namespace) -> int:
    """Run the system to its end; returns the exit status."""
    here = surroundings.read(options)
    path = Path(options.directory or ".") / (options.file or "Procfile")
    system = load(path, here.environment, options.timeout)
    return foreground.run(system, Path(options.home) if options.home else path.absolute().parent, here)


def load(path: Path, environment: dict[str, str], timeout: float | None) -> System:
    """Read a Procfile into a system. Raises ConfigError with everything that is wrong in it."""
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        raise ConfigError([f"unable to read {path}: no such file"], "name one with -f FILE") from None
    except OSError as error:
        raise ConfigError([f"unable to read {path}: {error.strerror}"]) from None
    entries, problems = procfile.parse(text, str(path))
    directory = str(path.absolute().parent)
    stop = StopPlan() if timeout is None else StopPlan().with_grace(timeout)
    for entry in entries:
        if word := commands.missing_command(entry.command, directory, environment.get("PATH")):
            problems.append(f"{path}:{entry.line}: {entry.name}: command not found: {word}")
    if problems:
        raise ConfigError(problems)
    components = tuple(
        Component(
            name=entry.name,
            argv=("/bin/sh", "-c", entry.command),
            cwd=directory,
            environment=environment,
            source=f"{path}:{entry.line}",
            stop=stop,
        )
        for entry in entries
    )
    return System(title=path.name, components=components, labels=tuple(c.name for c in components))


__all__ = ["OrchestrateError", "load", "run"]
