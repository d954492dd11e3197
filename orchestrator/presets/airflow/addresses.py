"""Tells addresses that only this host can use: loopback, unix sockets, "any". Pure.

Names are not resolved. Another host may resolve the same name to another address: Debian's /etc/hosts maps the host's
own name to 127.0.1.1, but DNS does not.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import parse_qsl

_NETWORKED = (  # for these an empty host means this host; others, such as sqs, have no host
    *("redis", "rediss", "amqp", "amqps", "pyamqp", "py-amqp", "librabbitmq", "sentinel", "mongodb", "rpc"),
    *("postgresql", "postgres", "mysql", "mariadb", "http", "https"),
)
_HERE = ("sqlite", "unix", "redis+socket", "filesystem", "memory", "cache+memory", "file", "sqla+sqlite")


def is_loopback(host: str) -> bool:
    """Return whether a host is a loopback address, or a name of one."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost") or name == "localhost.localdomain":
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_any(host: str) -> bool:
    """Return whether a server that listens on this host listens on all interfaces."""
    name = host.strip("[]")
    if name in ("", "*"):
        return True
    try:
        return ipaddress.ip_address(name).is_unspecified
    except ValueError:
        return False


def in_url(host: str) -> str:
    """Return a host for a URL: IPv6 addresses get brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def fault(url: str) -> str:
    """Return why another host cannot use a URL; empty if it may be able to. Semicolons separate several URLs, as in
    Celery's list of brokers."""
    return next(filter(None, map(_fault, url.split(";"))), "")


def _fault(url: str) -> str:
    scheme, _, rest = url.strip().partition("://")
    scheme = scheme.lower().removeprefix("db+")
    transport = scheme.partition("+")[0]
    if scheme in _HERE or transport in _HERE:
        return f"is a {'socket or file' if transport != 'memory' else 'queue in memory'} of this host"
    authority, query = _parts(rest)
    socket = next((value for key, value in parse_qsl(query) if key in ("host", "unix_socket", "unix_sock")), "")
    if socket.startswith("/"):
        return f"is the unix socket {socket}"
    hosts = [_host(part) for part in authority.split(",")]
    if socket:
        hosts = [_host(part) for part in socket.split(",")]
    for host in hosts:
        if is_loopback(host) or (is_any(host) and (host or transport in _NETWORKED)):
            return f"is {host}" if host else "names no host"
    return ""


def _parts(rest: str) -> tuple[str, str]:
    """Return the hosts with their ports, and the query, of a URL without its scheme. In SQLAlchemy's URLs a password
    may contain characters that end the host in other URLs."""
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    if "@" not in authority and "@" in rest:
        rest = rest.partition("@")[2]
        authority = re.split("[/?#]", rest, maxsplit=1)[0]
    return authority.rpartition("@")[2], rest.partition("?")[2]


def _host(text: str) -> str:
    """Return the host of HOST:PORT; IPv6 addresses are in brackets."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def masked(url: str) -> str:
    """Return a URL without its password and its query, which may contain a password."""
    return ";".join(map(_masked, url.split(";")))


def example(url: str) -> str:
    """Return an example of a URL that other hosts can use in place of this one, without a password."""
    scheme, _, rest = url.split(";")[0].strip().partition("://")
    if scheme.removeprefix("db+").partition("+")[0] == "sqlite":
        prefix = "db+" if scheme.startswith("db+") else ""
        return f"{prefix}postgresql+psycopg2://USER:PASSWORD@ADDRESS:5432/NAME"
    if scheme in _HERE:
        return "redis://:PASSWORD@ADDRESS:6379/0"
    host, _ = _parts(rest)
    port = re.search(r":\d+$", host)
    place = re.split("[/?#]", rest.rpartition("@")[2], maxsplit=1)
    path = re.split("[?#]", place[1])[0] if len(place) > 1 else ""
    return f"{scheme}://{'USER:PASSWORD@' if '@' in rest else ''}ADDRESS{port[0] if port else ''}/{path}"


def _masked(url: str) -> str:
    head, mark, rest = url.strip().partition("://")
    login, at, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    return f"{head}{mark}{user}{':***' if colon else ''}{at}{place.partition('?')[0]}"
