"""Floor 7: converts argv to one command; a module of `cli.commands` is imported only when its command runs.

This is the only place that connects folders, and the only one that turns errors into a line and an exit status.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TextIO

from orchestrator.cli import invocation, links, parser, settings
from orchestrator.config.diagnostics import folded
from orchestrator.model.errors import FAILED_STATUS, ConfigError, OrchestrateError
from orchestrator.terminal.escapes import printable_lines

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def main(argv: list[str]) -> NoReturn:
    """Run one command; never returns.

    Always ends with os._exit: otherwise multiprocessing would wait at exit for the guardians, which wait for our exit.
    """
    _ensure_standard_descriptors()
    _open_standard_streams()
    _write_any_text()
    status = _status_of(lambda: _run(argv))
    unprinted = _status_of(_flush)
    os._exit(status or unprinted)


def _run(argv: list[str]) -> int:
    _check_working_directory()
    return invocation.run(parser.values(argv, settings.defaults))


def _status_of(act: Callable[[], int]) -> int:
    """Return the status of `act`; report its error."""
    try:
        return act()
    except ConfigError as error:
        for problem in folded(error.problems):
            _complain(f"orchestrate: {problem}")
        if error.hint:
            _complain(f"hint: {error.hint}")
        return error.status
    except OrchestrateError as error:
        _complain(f"orchestrate: {error}")
        return error.status
    except BrokenPipeError:
        return 128 + signal.SIGPIPE
    except SystemExit as error:  # argparse has printed the help
        return int(error.code or 0)
    except BaseException:  # noqa: BLE001 - a fault of ours: without os._exit multiprocessing would wait for guardians
        sys.excepthook(*sys.exc_info())
        return FAILED_STATUS


def _complain(text: str) -> None:
    print(links.linked(printable_lines(text), sys.stderr), file=sys.stderr)


def _ensure_standard_descriptors() -> None:
    """Open 0-2 if they are closed: otherwise a pipe of ours could get such a number and be mistaken for the screen."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


class _StandardOutput(io.FileIO):
    """Standard output. Raises OrchestrateError for the first write that fails, and drops what is printed after it.

    An OSError could be reported by a command as a failure of its own, as of a file that it writes. BrokenPipeError
    remains one.
    """

    _has_failed = False

    def write(self, data: ReadableBuffer, /) -> int:
        """Write bytes; return how many."""
        if self._has_failed:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            self._has_failed = True
            raise OrchestrateError(f"cannot write to standard output: {error.strerror}") from None


class _StandardError(io.FileIO):
    """Standard error. Drops what cannot be written: a message that is lost must not end a command."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write bytes; return how many."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _open_standard_streams() -> None:
    """Replace the streams of Python, which are None for descriptors that were closed."""
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
    sys.stdout = _text_stream(_StandardOutput(1, "w", closefd=False), sys.stdout)
    sys.stderr = _text_stream(_StandardError(2, "w", closefd=False), sys.stderr)


def _text_stream(raw: io.FileIO, replaced: TextIO | None) -> io.TextIOWrapper:
    """Return a stream with the encoding (default: that of the locale) and line buffering of the one it replaces."""
    if not isinstance(replaced, io.TextIOWrapper):
        return io.TextIOWrapper(io.BufferedWriter(raw))
    at_once = replaced.line_buffering or replaced.write_through
    return io.TextIOWrapper(io.BufferedWriter(raw), replaced.encoding, line_buffering=at_once)


def _write_any_text() -> None:
    """Let print escape characters that standard output cannot encode; bytes that are not text pass unchanged."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            is_utf8 = codecs.lookup(stream.encoding).name == "utf-8"
            stream.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")


def _check_working_directory() -> None:
    """Raise OrchestrateError if the working directory has been deleted: no path could be resolved."""
    try:
        os.getcwd()
    except OSError as error:
        raise OrchestrateError(f"cannot use the working directory: {error.strerror}", "cd to another") from None


def _flush() -> int:
    sys.stderr.flush()
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    return 0
