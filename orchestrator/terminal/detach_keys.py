"""The keys that end an attach, found in what is typed; everything else is passed on.

The first key is a prefix: typed twice, it is passed on once; followed by another key, or by none for ALONE seconds, it
is passed on. The sequence is written as docker writes it: `ctrl-\\,d`. Keys may arrive in any chunks and in any
encoding (key_encoding.py). Releases, the mouse, the focus, modifier keys and answers to queries do not interrupt a
sequence.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.terminal.key_encoding import ESC, Key, KeyEvent, begun_at, split_keys

DEFAULT = "ctrl-\\,d"
ALONE = 1.0  # seconds after which an unfinished sequence of keys is passed on
CUT = 0.3  # seconds in which the rest of an escape sequence arrives, also over a slow line
ESCAPE = 0.05  # the same after ESC alone, which may be the key
CTRL_C = 0x03


class DetachKeys:
    """Watches one keyboard. Pass its input to `typed`, and call `expire` after `wait` seconds without a key."""

    def __init__(self, keys: bytes, name: str, text: str = "") -> None:
        """`keys` has one byte for each key; `name` is how messages write them, and `text` how they were given."""
        self.text = text
        self.name = name
        self._keys = keys
        self._held: list[Key] = []  # the keys that have matched, with releases and repeats
        self._matched = 0
        self._cut = b""  # the beginning of an escape sequence

    def typed(self, data: bytes, *, encoded: bool = False) -> tuple[bytes, bool]:
        """Return the part of `data` that is for the component, and whether the detach keys were in it.

        Input after them is dropped. `encoded` says that the terminal sends keys as escape sequences, so the beginning
        of a sequence is kept until its end arrives.
        """
        data, self._cut = self._cut + data, b""
        if encoded:
            begin = begun_at(data)
            data, self._cut = data[:begin], data[begin:]
        if not self._matched and ESC not in data and self._keys[0] not in data:
            return data, False
        return self._take(split_keys(data))

    @property
    def wait(self) -> float | None:
        """Seconds until `expire` is due; None if nothing is held."""
        if self._cut:
            return ESCAPE if len(self._cut) == 1 else CUT
        return ALONE if self._matched else None

    def expire(self) -> tuple[bytes, bool]:
        """Return what is held, as `typed` does, because nothing more was typed."""
        if self._cut:
            cut, self._cut = self._cut, b""
            return self._take(Key(cut[i : i + 1], cut[i]) for i in range(len(cut)))
        return self._give_up(), False

    def _take(self, keys: Iterable[Key]) -> tuple[bytes, bool]:
        passed = bytearray()
        for key in keys:
            if self._matches(key, passed):
                return bytes(passed), True
        return bytes(passed), False

    def _matches(self, key: Key, passed: bytearray) -> bool:
        """Add the keys for the component to `passed`; return whether the sequence is complete."""
        if self._matched and self._is_more_of_the_same(key):
            self._held.append(key)
        elif key.event is KeyEvent.OTHER or key.event is KeyEvent.RELEASE:
            passed += key.raw
        elif key.byte == self._keys[self._matched]:
            self._matched += 1
            self._held.append(key)
            if self._matched == len(self._keys):
                self._give_up()
                return True
        elif self._matched == 1 and key.byte == self._keys[0]:  # typed twice: pass one on to the component
            self._give_up()
            passed += key.raw
        elif self._matched:
            passed += self._give_up()
            return self._matches(key, passed)
        else:
            passed += key.raw
        return False

    def _is_more_of_the_same(self, key: Key) -> bool:
        if key.event is KeyEvent.REPEAT:
            return key.byte == self._keys[self._matched - 1]
        return key.event is KeyEvent.RELEASE and key.byte in set(self._keys[: self._matched])

    def _give_up(self) -> bytes:
        held, self._held, self._matched = self._held, [], 0
        return b"".join(key.raw for key in held)


def has_ctrl_c(data: bytes) -> bool:
    """Return whether Ctrl-C was pressed in `data`, in any encoding."""
    return any(key.byte == CTRL_C and key.event is not KeyEvent.RELEASE for key in split_keys(data))


def parse(text: str) -> DetachKeys:
    """Read `ctrl-\\,d`. Raise ValueError with the fault."""
    keys = bytearray()
    names: list[str] = []
    for word in text.split(","):
        control = word.lower().removeprefix("ctrl-")
        if len(word) == 1 and "!" <= word <= "~":
            keys.append(ord(word))
            names.append(word)
        elif len(control) == 1 and control != word.lower() and "@" <= control.upper() <= "_":
            keys.append(ord(control.upper()) & 0x1F)
            names.append(f"Ctrl-{control}")
        else:
            raise ValueError(f"unknown key {word!r}; expected a character, or ctrl- and one of a-z @ [ \\ ] ^ _")
    if len(keys) > 1 and keys[1] == keys[0]:
        raise ValueError("the second key repeats the first one; that types the first key")
    if keys[0] >= 0x20:
        raise ValueError("the first key must be ctrl- and a character, so that the character can still be typed")
    return DetachKeys(bytes(keys), " ".join(names), text)
