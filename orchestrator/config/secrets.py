"""Which values are kept off the screen: by the name of their variable, or a password inside a URL. Pure."""

from __future__ import annotations

import re

MASK = "********"

_NOT = frozenset({"PWD", "OLDPWD"})
_NAME = re.compile(
    r"passw|passphrase|passcode|(?:^|_)pass$|pwd$|secret|token|credential|fernet|private|signature|salt|cookie"
    r"|(?:^|_)(?:api|access|auth|encryption|signing|account|aws)?_?keys?$|(?:^|_)(?:auth|pat|jwt|dsn)$",
    re.IGNORECASE,
)
_IN_URL = re.compile(r"(?P<before>[\w+.-]{1,30}://[^:/@\s]*:)(?P<secret>[^@/\s]+)(?=@)")


def mask(name: str, value: str) -> str:
    """Return the value as it may be shown."""
    if value and name not in _NOT and _NAME.search(name) and "://" not in value:
        return MASK
    return _IN_URL.sub(lambda match: match["before"] + MASK, value)
