"""Whether every line of a soak's components arrived: what they say they have written, against what was read.

A component (soaker.py) notes in a ledger, a file a run, up to which number it has written; a run that was killed has
written that at least. What arrives is numbered, so a gap, a line twice and an order turned round are seen as well. The
last line of a run that was killed may be cut short.
"""

from collections.abc import Iterable
from pathlib import Path


class Account:
    """Fed with the lines of all components from one place, the log files or the merged stream."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._next: dict[bytes, int] = {}  # of each run: the number that has to follow; its END has one too
        self._over: set[bytes] = set()  # nothing may follow
        self.lines = 0
        self.wrong: list[str] = []

    def take(self, lines: Iterable[bytes]) -> None:
        """Take lines without their prefix, in the order in which they stand there."""
        for words in map(bytes.split, lines):
            if len(words) == 2 and words[0] == b"BEGIN":
                if words[1] in self._next:
                    self.wrong.append(f"{self._place}: {words[1].decode()} begins twice")
                self._next[words[1]] = 1
            elif len(words) == 3 and words[0] == b"END":
                self._expect(words[1], words[2], 1)
                self._over.add(words[1])
            elif len(words) == 2 and words[1].isdigit():
                self._expect(words[0], words[1], 0)
                self.lines += 1

    def _expect(self, run: bytes, text: bytes, more: int) -> None:
        number, wanted = int(text) + more, self._next.get(run, -1)
        if run not in self._over and number == wanted:
            self._next[run] = number + 1
        elif run not in self._over and wanted > 0 and str(wanted - more).encode().startswith(text):
            self._over.add(run)  # cut short
        else:
            self.wrong.append(f"{self._place}: {run.decode()}: {number} instead of {wanted}")
            self._next[run] = number + 1

    @property
    def runs(self) -> int:
        """How many have begun."""
        return len(self._next)

    def close(self, ledger: Path) -> None:
        """Compare with what was written."""
        for path in ledger.iterdir():
            text, following = path.read_bytes(), self._next.get(path.name.encode(), 0)
            if text and following <= int(text):
                self.wrong.append(f"{self._place}: {path.name} wrote up to {int(text)}, next would be {following}")
