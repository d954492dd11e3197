"""Floor 7: argv to one request; one small module a command, imported only when that command runs.

This is the one place that wires rooms together, and the one that turns errors into a line and an exit status.
"""

from __future__ import annotations

import codecs
import io
import os
import signal
import sys
from importlib import import_module
from typing import NoReturn

from orchestrator.cli import parser, settings
from orchestrator.config.diagnostics import folded
from orchestrator.model.errors import FAILED_STATUS, ConfigError, OrchestrateError
from orchestrator.terminal.escapes import printable_lines


def main(argv: list[str]) -> NoReturn:
    """Run one command; never returns.

    Ends in os._exit in any case: multiprocessing would wait for guardians at exit, and they wait for our end.
    """
    _ensure_standard_descriptors()
    _write_any_text()
    try:
        _look_where_we_are()
        options = settings.with_defaults(parser.parse(argv))
        status = import_module(f"orchestrator.cli.commands.{options.module}").run(options)
    except ConfigError as error:
        for problem in folded(error.problems):
            print(f"orchestrate: {printable_lines(problem)}", file=sys.stderr)
        if error.hint:
            print(f"hint: {printable_lines(error.hint)}", file=sys.stderr)
        status = error.status
    except OrchestrateError as error:
        print(f"orchestrate: {printable_lines(str(error))}", file=sys.stderr)
        status = error.status
    except BrokenPipeError:
        status = 128 + signal.SIGPIPE
    except SystemExit as error:  # argparse has printed its help
        status = int(error.code or 0)
    except BaseException:  # noqa: BLE001 - a fault of ours: without os._exit multiprocessing would wait for guardians
        sys.excepthook(*sys.exc_info())
        status = FAILED_STATUS
    _flush()
    os._exit(status)


def _ensure_standard_descriptors() -> None:
    """Give 0-2 something where they are closed: a pipe of ours under such a number would be taken for the screen."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def _write_any_text() -> None:
    """Let print show what the encoding of standard output does not have; bytes that came as they are leave as such."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            is_utf8 = codecs.lookup(stream.encoding).name == "utf-8"
            stream.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")


def _look_where_we_are() -> None:
    """Raise OrchestrateError where the working directory has been deleted: every path would be a riddle."""
    try:
        os.getcwd()
    except OSError as error:
        raise OrchestrateError(f"cannot use the working directory: {error.strerror}", "cd to another") from None


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            pass
