"""Which values are kept off the screen: by the name of their variable, or a password inside a URL. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

MASK = "********"
SHORTEST = 4  # characters of a secret that is looked for in other text: a shorter one stands in too many words

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


def conceal(text: str, environment: Mapping[str, str]) -> str:
    """Return `text` without the secrets of `environment` that were expanded into it, and without passwords in URLs."""
    secrets = {value for name, value in environment.items() if len(value) >= SHORTEST and mask(name, value) == MASK}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return mask("", text)
