"""What the supervisor shows and records: event lines, and for each instance a painter and a log."""

from __future__ import annotations

import enum
import functools
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.model.names import is_meant
from orchestrator.model.spec import ComponentSpec
from orchestrator.output import log_index, run_starts
from orchestrator.output.console import OutputKind
from orchestrator.output.labels import Labels
from orchestrator.output.log_file import KEPT, SIZE, Faults, LineLog, LogFile
from orchestrator.output.screen import MergedScreen
from orchestrator.output.stream import Stream
from orchestrator.runtime.loop import Loop
from orchestrator.terminal.hyperlinks import linked
from orchestrator.terminal.line_painter import (
    ERROR_SEPARATOR,
    OWN_NAME,
    SEPARATOR,
    JsonPainter,
    Painter,
    PrefixPainter,
    PrefixStyle,
)
from orchestrator.terminal.width import padded, width

WITHOUT_TERMINAL = (40, 120)  # rows and columns of a pty if stdout is not a terminal
ERRORS = "bright_red"  # the mark before a line of standard error, if that is separate
NARROWEST = 20  # columns that a component gets however long the prefix is
CLOCK_WIDTH = len("00:00:00.000 ")  # and one more for the Z of UTC

BELL = b"\a"

Wrap = Callable[[str, str], bytes]


@dataclass(frozen=True, slots=True)
class Presentation:
    """How the stream is shown. `quiet` names components whose lines are not; `logs` is the directory of the log files,
    None for none, each of `log_size` bytes and `log_files` for each instance. `bell` rings the terminal's bell
    when something fails."""

    style: PrefixStyle
    prefix: bool = True
    timestamps: bool = False
    utc: bool = False
    json: bool = False
    quiet: frozenset[str] = frozenset()
    bell: bool = False
    logs: Path | None = None
    log_size: int = SIZE
    log_files: int = KEPT
    link_host: str = ""  # the machine's name, if URLs and paths in event lines become hyperlinks; else empty


class Tone(enum.Enum):
    """The severity of an event line: its color on a terminal."""

    PLAIN = ""
    WARNING = "yellow"
    FAILURE = "red"


class Presenter:
    """Prefixes lines. `palette` returns the function that colors a prefix; it is called at the first line, after the
    components have been forked, because it imports blessed."""

    def __init__(
        self,
        screen: MergedScreen,
        presentation: Presentation,
        names: Iterable[str],
        palette: Callable[[], Wrap],
        colors: Mapping[str, str] | None = None,
    ) -> None:
        """`colors` has the color of each name, or nothing for the next one, in an order in which `names` may be
        missing; the prefix has room for `names`."""
        self.screen = screen
        self._how = presentation
        self._palette = palette
        self._labels = Labels(colors or {}, presentation.logs)
        self._names: list[str] = []
        self._width = 0
        self._wrap: Wrap | None = None
        self._own: Painter | None = None
        self._faults = Faults(lambda text: self.tell(text, tone=Tone.WARNING))
        self._logs: dict[str, LogFile] = {}  # by file name; the log of the last run of each instance
        self._own_log = self._kept_log(OWN_NAME)
        self.make_room(names)
        screen.console.skipped_note = self._skipped_note

    def make_room(self, names: Iterable[str]) -> None:
        """Pad all prefixes from now on to the longest of these names too; new ones get the next colors."""
        self._names = list(dict.fromkeys([*self._names, *names]))
        self._labels.add(self._names)
        self._width = max(map(width, [OWN_NAME, *self._names]))
        self._own = None

    @property
    def pty_size(self) -> tuple[int, int]:
        """Rows and columns for a component's pty: those of the terminal, without the prefix."""
        size = self.screen.console.size() if self.screen.console.kind is OutputKind.TERMINAL else None
        if size is None:
            return WITHOUT_TERMINAL
        columns, rows = size
        taken = self._width + len(SEPARATOR) if self._how.prefix else 0
        if self._how.timestamps:
            taken += CLOCK_WIDTH + self._how.utc
        return rows, max(NARROWEST, columns - taken)

    def stream(self, component: ComponentSpec, instance: str, master_fd: int) -> Stream:
        """Return the stream of a new run, painted in its configured color or the next one of the cycle.

        `instance` is the name in the prefix; the log file is named after the component's own, which never changes.
        """
        if self._how.logs is not None:
            run_starts.begin(self._how.logs, component.name)
        log = self._kept_log(component.name)
        stream = Stream(
            master_fd,
            self._painter(component.component or component.name, instance, component.color),
            log=log,
            shown=not is_meant(self._how.quiet, (component.name, component.component, instance), component.tags),
            on_full_screen=lambda: self._report_full_screen(component),
        )
        if log is not None and component.tty:
            log.keep_index(functools.partial(os.get_terminal_size, master_fd))
        return stream

    def _report_full_screen(self, component: ComponentSpec) -> None:
        where = (
            f"view it with: orchestrate attach {component.name}" if component.tty else "its screen is not shown here"
        )
        self.tell(f"{component.name} runs a full-screen program; {where}")

    def errors(self, component: ComponentSpec, instance: str, output: Stream, error_fd: int) -> Stream:
        """Return the stream of a component's standard error, beside `output`: a mark, the same log, line by line."""
        log = None
        if isinstance(output.log, LogFile):
            log, output.log = LineLog(output.log, is_error=True), LineLog(output.log)
        painter = self._painter(component.component or component.name, instance, component.color, is_error=True)
        output.terminal = False
        return Stream(error_fd, painter, log=log, shown=output.shown, terminal=False)

    def rename(self, before: str, instance: str) -> None:
        """Give a new name the color of the one that it replaces."""
        self._names = [instance if name == before else name for name in self._names]
        self._labels.rename(before, instance)
        self.make_room([instance])

    def repaint(self, stream: Stream, component: ComponentSpec, instance: str, *, errors: bool = False) -> None:
        """Put another name before the lines of a stream; styles that its lines left open stay open."""
        painter = self._painter(component.component or component.name, instance, component.color, is_error=errors)
        stream.painter.take_name_of(painter)

    def watch_logs(self, loop: Loop) -> None:
        """From now on begin a new log file immediately if the present one is moved away."""
        if self._how.logs is not None:
            from orchestrator.runtime.inotify import MoveWatch  # imports ctypes, which must not delay the first fork

            MoveWatch(loop, self._how.logs, self._renew_log)

    def _renew_log(self, name: str) -> None:
        for log in [self._logs[name]] if name in self._logs else [] if name else list(self._logs.values()):
            log.renew()

    def _kept_log(self, instance: str) -> LogFile | None:
        log = self._log_file(instance, self._faults)
        if log is not None:
            self._logs[log.path.name] = log
        return log

    def drain_log(self, instance: str) -> LogFile | None:
        """Return the log for a guardian that has lost the supervisor: it continues where we stopped."""
        log = self._log_file(instance, Faults(lambda text: None), continues=True)
        if log is not None and log_index.path_of(log.path).exists():
            log.keep_index(lambda: (0, 0))
        return log

    def log_path(self, instance: str) -> str:
        """Return the path of an instance's log file; empty without logs."""
        return "" if self._how.logs is None else str(self._how.logs / f"{instance}.log")

    def blank(self) -> None:
        """Show an empty line; not between objects of JSON."""
        if not self._how.json:
            self.screen.show(b"\n")

    def note(self, text: str) -> None:
        """Show a line that concerns only the reader of this screen: it is not logged, so no other terminal shows it."""
        self.screen.show(self._paint_own(f"{text}\n", Tone.PLAIN), may_skip=False)

    def tell(self, text: str, secret: str = "", *, tone: Tone = Tone.PLAIN, here: str = "") -> None:
        """Show event lines, which are never skipped; `secret` is kept out of the log, and so is `here`, an addition for
        this screen."""
        lines = "".join(f"{line}\n" for line in text.split("\n"))
        bell = BELL if self._how.bell and tone is Tone.FAILURE else b""
        self.screen.show(bell + self._paint_own(f"{lines[:-1]}{here}\n", tone), may_skip=False)
        if self._own_log is not None:
            self._own_log.write((lines.replace(secret, "…") if secret else lines).encode())

    def _painter(self, name: str, instance: str, color: str, *, is_error: bool = False) -> Painter:
        if self._how.json:
            return JsonPainter(name, instance, time.time, is_error=is_error)
        prefix = self._prefix(instance, color, is_error=is_error) if self._how.prefix else b""
        stamp = time.time if self._how.timestamps else None
        is_terminal = self.screen.console.kind is OutputKind.TERMINAL
        return PrefixPainter(
            prefix,
            self._how.style,
            stamp,
            utc=self._how.utc,
            expand_tabs=is_terminal,
            columns=lambda: self.pty_size[1],
        )

    def _log_file(self, instance: str, faults: Faults, *, continues: bool = False) -> LogFile | None:
        how = self._how
        if how.logs is None:
            return None
        path = how.logs / f"{instance}.log"
        return LogFile(path, faults, continues=continues, size=how.log_size, kept=how.log_files)

    def _paint_own(self, lines: str, tone: Tone) -> bytes:
        if self._own is None:
            self._own = self._painter(OWN_NAME, OWN_NAME, "")
        if self._how.link_host and self._how.style is PrefixStyle.COLORS:
            lines = linked(lines, self._how.link_host)
        if tone is Tone.PLAIN or self._how.json or self._how.style is not PrefixStyle.COLORS:
            return self._own.paint(lines.encode())
        if self._wrap is None:
            self._wrap = self._palette()
        colored = (self._wrap(tone.value, line) for line in lines.split("\n")[:-1])
        return self._own.paint(b"".join(line + b"\n" for line in colored))

    def _skipped_note(self, lines: int, size: int) -> bytes:
        who = "the terminal" if self.screen.console.kind is OutputKind.TERMINAL else "the reader of this"
        where = f"; {self._how.logs} has them" if self._how.logs else ""
        note = f"{who} did not keep up: skipped {lines:,} lines ({size:,} bytes){where}\n"
        return self._paint_own(note, Tone.WARNING)

    def _prefix(self, name: str, color: str, *, is_error: bool) -> bytes:
        label = padded(name, self._width)
        separator = ERROR_SEPARATOR if is_error else SEPARATOR
        color = self._labels.color(name, color)
        if self._how.style is not PrefixStyle.COLORS:
            return (label + separator).encode()
        if self._wrap is None:
            self._wrap = self._palette()
        if is_error:
            return self._wrap(color, label) + self._wrap(ERRORS, separator)
        return self._wrap(color, label + separator)
