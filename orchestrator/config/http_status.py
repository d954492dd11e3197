"""HTTP statuses as a definition writes them: 204, "2xx", "200-299", or a list of these. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

LOW, HIGH = 100, 599


def read_status(value: int | str) -> range:
    """Return the statuses that a number or text such as 2xx means. Raises ValueError."""
    if isinstance(value, int):
        return range(value, value + 1)
    if match := re.fullmatch(r"([1-5])xx", value.strip().lower()):
        return range(int(match[1]) * 100, int(match[1]) * 100 + 100)
    if match := re.fullmatch(r"([1-5]\d\d)(?:\s*-\s*([1-5]\d\d))?", value.strip(), re.ASCII):
        first, last = int(match[1]), int(match[2] or match[1])
        if first <= last:
            return range(first, last + 1)
    raise ValueError(f'must be a status such as 204, "2xx" or "200-299", not {value!r:.20}')


def write_status(statuses: Iterable[range]) -> list[int | str]:
    """Return them as a definition writes them."""
    return [_written(those) for those in statuses]


def _written(those: range) -> int | str:
    if len(those) == 1:
        return those.start
    if len(those) == 100 and those.start % 100 == 0:
        return f"{those.start // 100}xx"
    return f"{those.start}-{those.stop - 1}"
