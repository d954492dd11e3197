"""Points in time as users write them. Pure: the present is passed in."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_AGO = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII)
_CLOCK = re.compile(r"\d\d?:\d\d(?::\d\d)?", re.ASCII)


def parse_time(text: str, now: datetime) -> datetime | None:
    """Return the time that `text` means, in UTC; None if it is not a time.

    `5m`, `1h30m`, `45` (seconds) are ago; `14:05` is today, local time; anything else is ISO 8601, local time if it has
    no zone. `now` is aware.
    """
    if text and (match := _AGO.fullmatch(text)):
        days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return (now - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)).astimezone(timezone.utc)
    if _CLOCK.fullmatch(text):
        text = f"{now.astimezone().date().isoformat()}T{text.zfill(5)}"
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)
    except ValueError:
        return None
