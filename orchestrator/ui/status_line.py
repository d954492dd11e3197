"""The bottom row of the view: its keys, a message, a question, or a text that is being typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.terminal.width import width
from orchestrator.ui.keys import Paste, Press
from orchestrator.ui.styled_text import BOLD, DIM, RED, REVERSE, YELLOW, Row, cut, padded, width_of

# Keys and what they do, the most important ones first: a narrow terminal shows fewer.
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
    """`message` is shown until the next key; `question` and `prompt` replace it. `leave` has the keys that end the
    view."""

    leave: tuple[tuple[str, str], ...] = (("q", "quit"),)
    message: str = ""
    is_error: bool = False
    question: str = ""
    prompt: str | None = None
    typed: str = ""
    _answered: Callable[[str], None] | None = None
    _finished: Callable[[str], None] | None = None
    _changed: Callable[[str], None] | None = None

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Show a message."""
        self.message, self.is_error = text.replace("\n", " "), is_error

    @property
    def is_asking(self) -> bool:
        """Whether the next key answers a question or is typed into a text."""
        return bool(self.question) or self.prompt is not None

    def ask(self, question: str, answered: Callable[[str], None]) -> None:
        """Ask a question; `answered` gets the key."""
        self.question, self._answered = question, answered

    def answer(self, key: str) -> None:
        """Pass a key on as the answer to the question."""
        answered, self._answered, self.question = self._answered, None, ""
        if answered is not None:
            answered(key)

    def read_text(
        self, prompt: str, finished: Callable[[str], None], changed: Callable[[str], None] | None = None
    ) -> None:
        """Prompt for a text. `finished` gets it at Enter, `changed` after each key, and an empty text at Esc."""
        self.prompt, self.typed = prompt, ""
        self._finished, self._changed = finished, changed

    def type(self, typed: Press | Paste) -> None:
        """Take a key or pasted text for the text that is being typed."""
        key = typed.name if isinstance(typed, Press) else ""
        if key in ("enter", "escape"):
            self.prompt = None
            done = self._finished if key == "enter" else self._changed
            if done is not None:
                done(self.typed if key == "enter" else "")
            return
        if isinstance(typed, Paste):
            self.typed += "".join(c for c in typed.text if c.isprintable())
        elif key == "backspace":
            self.typed = self.typed[:-1]
        elif len(key) == 1:
            self.typed += key
        if self._changed is not None:
            self._changed(self.typed)

    def draw(self, columns: int, *, keys: tuple[tuple[str, str], ...], waiting: tuple[str, ...] = ()) -> Row:
        """Return the row; `waiting` are instances that wait for input."""
        if self.prompt is not None:
            room = columns - width(self.prompt) - 2
            return padded([(f" {self.prompt}", BOLD), (_end_of(self.typed, room), b""), (" ", REVERSE)], columns)
        if self.question:
            return padded([(f" {self.question}", YELLOW + BOLD)], columns)
        if self.message:
            return padded([(f" {self.message}", RED + BOLD if self.is_error else BOLD)], columns)
        always, *others = keys
        shown = [_key(*one) for one in (always, *self.leave)]
        row: Row = []
        if waiting:
            who = waiting[0] if len(waiting) == 1 else f"{len(waiting)} components"
            row = [(f" {who} wait{'s' if len(waiting) == 1 else ''} for input: p ", YELLOW + BOLD)]
            row = cut(row, max(0, columns - sum(map(width_of, shown))))
        for more in (*shown, *(_key(*one) for one in others)):
            if width_of(row) + width_of(more) > columns:
                break
            row += more
        return padded(row, columns)


def _end_of(text: str, columns: int) -> str:
    """Return the end of a text that is being typed, if it has no room for all."""
    if width(text) <= columns:
        return text
    text = text[-columns:]
    while text and width(text) >= columns:
        text = text[1:]
    return "…" + text


def _key(key: str, what: str) -> Row:
    return [(f" {key}", BOLD), (f" {what} ", DIM)]
