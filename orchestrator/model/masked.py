"""Text that contains secrets, and how it may be shown.

A program is given the text itself; messages, which are made with f-strings and `str`, get the text without the secrets.
So a message that forgets about secrets does not print one.
"""

from __future__ import annotations


class Masked(str):
    """A text with secrets. It equals, encodes and splits as the text; `str`, `repr` and f-strings give `shown`."""

    __slots__ = ("shown",)

    shown: str

    def __new__(cls, text: str, shown: str) -> Masked:
        """Make one. Both must be plain strings."""
        made = super().__new__(cls, text)
        made.shown = shown
        return made

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return repr(self.shown)

    def __format__(self, spec: str) -> str:
        return format(self.shown, spec)

    def __reduce__(self) -> tuple[type[Masked], tuple[str, str]]:
        return Masked, (plain(self), self.shown)


def plain(text: str) -> str:
    """Return the text itself, with its secrets."""
    return str.__str__(text)


def masked(text: str, shown: str) -> str:
    """Return a text with a different shown form; the text itself if the two are equal."""
    return text if text == shown else Masked(text, shown)
