"""The keys that leave an attached terminal, picked out of what is typed; everything else is passed on.

The first key is a prefix: typed twice it is passed on once, followed by another key both are passed on. It is written
as docker writes it: `ctrl-\\,d`. Keys may arrive in any chunks.
"""

from __future__ import annotations

DEFAULT = "ctrl-\\,d"


class DetachKeys:
    """Watches one keyboard. `typed` is fed with what it sends."""

    def __init__(self, keys: bytes, name: str) -> None:
        """`keys` are the bytes of the sequence, one a key; `name` is how it is said."""
        self.name = name
        self._keys = keys
        self._matched = 0

    def typed(self, data: bytes) -> tuple[bytes, bool]:
        """Return what of `data` is for the component, and whether the keys to leave were among it.

        What follows them is for nobody.
        """
        passed = bytearray()
        for position in range(len(data)):
            key = data[position]
            if key == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    self._matched = 0
                    return bytes(passed), True
            elif self._matched:
                begun, self._matched = self._keys[: self._matched], 0
                if len(begun) == 1 and key == begun[0]:  # twice: once is for the component
                    passed += begun
                else:
                    rest, _ = self.typed(data[position : position + 1])
                    passed += begun + rest
            else:
                passed.append(key)
        return bytes(passed), False


def parse(text: str) -> DetachKeys:
    """Read `ctrl-\\,d`; raises ValueError with what is wrong with it."""
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
            raise ValueError(f"{word!r} is no key; write a character, or ctrl- and one of a-z @ [ \\ ] ^ _")
    if len(keys) > 1 and keys[1] == keys[0]:
        raise ValueError("the second key is the first one again, which is how that one is typed")
    if keys[0] >= 0x20:
        raise ValueError("the first key has to be ctrl- and another: it cannot be typed any more otherwise")
    return DetachKeys(bytes(keys), " ".join(names))
