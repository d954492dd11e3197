"""The bottom row of the view: keys, the answer to the last one, a question, or a text that is being typed."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.ui.styled_text import BOLD, DIM, RED, REVERSE, YELLOW, Row, padded, width_of

# Key and what it does, the ones that matter most first: a narrow terminal shows fewer.
LIST_KEYS = (
    ("?", "help"),
    ("Enter", "attach"),
    ("r", "restart"),
    ("s", "stop/start"),
    ("l", "log"),
    ("m", "merged"),
    ("/", "filter"),
    ("w", "why"),
    ("z", "zoom"),
    ("Tab", "pane"),
    ("e", "events"),
    ("y", "copy"),
)
PANE_KEYS = (
    ("?", "help"),
    ("Enter", "attach"),
    ("↑↓", "scroll"),
    ("/", "search"),
    ("n N", "next"),
    ("l", "log"),
    ("m", "merged"),
    ("Tab", "list"),
    ("z", "zoom"),
    ("y", "copy"),
)


@dataclass(slots=True)
class StatusLine:
    """`message` stays until the next key; `question` and `prompt` take its place. `leave` names the keys that leave."""

    leave: tuple[tuple[str, str], ...] = (("q", "quit"),)
    message: str = ""
    is_error: bool = False
    question: str = ""
    prompt: str | None = None
    typed: str = ""

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Show a message."""
        self.message, self.is_error = text.replace("\n", " "), is_error

    def draw(self, columns: int, *, keys: tuple[tuple[str, str], ...], waiting: tuple[str, ...] = ()) -> Row:
        """Return the row; `waiting` are instances that wait for input."""
        if self.prompt is not None:
            return padded([(f" {self.prompt}", BOLD), (self.typed, b""), (" ", REVERSE)], columns)
        if self.question:
            return padded([(f" {self.question}", YELLOW + BOLD)], columns)
        if self.message:
            return padded([(f" {self.message}", RED + BOLD if self.is_error else BOLD)], columns)
        row: Row = []
        if waiting:
            row = [(f" {', '.join(waiting)} waits for input: p ", YELLOW + BOLD)]
        for key, what in (*keys[:1], *self.leave, *keys[1:]):
            more: Row = [(f" {key}", BOLD), (f" {what} ", DIM)]
            if width_of(row) + width_of(more) > columns:
                break
            row += more
        return padded(row, columns)
