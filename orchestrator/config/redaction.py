"""Masks secret values: by the name of their variable, or by their contents. Pure.

Contents are masked in part: the password of a URL, the value of `password=…` and the like, and the token of `Bearer …`.
A secret that was expanded into another value is masked there too, however short it is: see `environment.expand_at`.
"""

from __future__ import annotations

import re

MASK = "********"

_NOT = frozenset({"PWD", "OLDPWD"})
_NAME = re.compile(
    r"passw|passphrase|passcode|(?<!by)(?<!com)pass$|pwd$|(?:^|_)(?:db)?pw$|secret|token(?!iz)|credential|fernet|private"
    r"|signature|salt|cookie|authorization"
    r"|(?:^|_)(?:api|access|auth|encryption|signing|account|aws)?_?keys?$|(?:^|_)(?:auth|pat|jwt|dsn)$",
    re.IGNORECASE,
)
# PASSWORD_FILE names a file, MAX_TOKENS is a number.
_HARMLESS = re.compile(
    r"_(?:file|filename|path|dir)$|(?:^|_)(?:max|min|num|number|total|count)_(?:\w+_)?tokens?$", re.IGNORECASE
)
_IN_URL = re.compile(r"(?P<before>[\w+.-]{1,30}://[^:/@\s]*:)(?P<secret>[^@/\s]+)(?=@)")
_WORDS = r"password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key"
_ASSIGNED = re.compile(  # password=x, but not --password-file=x and not password=$PASSWORD
    rf"""(?P<before>(?:{_WORDS})(?:=|["']\s*[:=]\s*)["']?)(?P<secret>(?!\$)[^\s&;,"']+)""", re.IGNORECASE
)
_BEARER = re.compile(r"(?P<before>\bbearer\s+)(?P<secret>(?!\$)[\w.~+/=-]+)", re.IGNORECASE)


def mask(name: str, value: str) -> str:
    """Return the value of a variable as it may be shown; an empty name means no variable."""
    if value and is_secret(name) and "://" not in value:
        return MASK
    for pattern in (_IN_URL, _ASSIGNED, _BEARER):
        value = pattern.sub(lambda match: match["before"] + MASK, value)
    return value


def is_secret(name: str) -> bool:
    """Whether the name of a variable suggests that its value is a secret."""
    return name not in _NOT and bool(_NAME.search(name)) and not _HARMLESS.search(name)


def secrets_in(name: str, value: str) -> tuple[str, ...]:
    """Return the secrets of a variable: its value, or the masked parts of it."""
    if value and is_secret(name) and "://" not in value:
        return (value,)
    found = (match["secret"] for pattern in (_IN_URL, _ASSIGNED, _BEARER) for match in pattern.finditer(value))
    return tuple(found)
