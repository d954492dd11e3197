"""Users, groups, priority and resource limits of a component: which exist, and which this process may set.

Only root may change its user and group, raise a hard limit or its priority (setuid(2), setrlimit(2), setpriority(2)).
"""

from __future__ import annotations

import functools
import grp
import os
import pwd
import resource

from orchestrator.model.spec import Account, Attributes

_SUDO = "start orchestrate as root, for example with sudo"


@functools.lru_cache(maxsize=256)  # a component has up to 1,000 instances
def find_account(user: str, group: str) -> Account | tuple[str, str] | None:
    """Return the account of a user and a group, names or numbers, either empty; None if both are ours already.

    Return the wrong key, `user` or `group`, and the reason, if the user or group does not exist or we may not use it.
    """
    entry, gid = None, os.getegid()
    if user:
        if (entry := _user(user)) is None:
            return "user", f"unknown user {user!r}"
        gid = entry.pw_gid
    if group:
        if (found := _group(group)) is None:
            return "group", f"unknown group {group!r}"
        gid = found
    uid = entry.pw_uid if entry else os.geteuid()
    if os.geteuid():
        if uid != os.geteuid():
            return "user", f"only root can run a component as {user}; {_SUDO}"
        if group and gid != os.getegid():
            return "group", f"only root can run a component with the group {group}; {_SUDO}"
    if entry is None:
        return Account("", uid, gid)
    groups = tuple(os.getgrouplist(entry.pw_name, gid)) if entry.pw_name else (gid,)
    shell = entry.pw_shell or "/bin/sh"
    return Account(entry.pw_name or user, uid, gid, None if os.geteuid() else groups, entry.pw_dir, shell)


def _user(text: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(int(text)) if text.isascii() and text.isdecimal() else pwd.getpwnam(text)
    except (KeyError, OverflowError):
        pass
    if text.isascii() and text.isdecimal() and len(text) < 11:  # a number needs no entry
        return pwd.struct_passwd(("", "", int(text), int(text), "", "/", "/bin/sh"))
    return None


def _group(text: str) -> int | None:
    if text.isascii() and text.isdecimal() and len(text) < 11:
        return int(text)
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        return None


def faults(attributes: Attributes) -> list[tuple[str, str]]:
    """Return the keys of attributes that this process may not set, each with the reason."""
    if not os.geteuid():
        return []
    found = []
    if attributes.nice is not None and attributes.nice < (lowest := _lowest_priority()):
        found.append(("nice", f"only root can set a priority below {lowest}; {_SUDO}"))
    limits = attributes.limits
    for key, value, name, option in (
        ("memory", limits.memory, "RLIMIT_DATA", "d"),
        ("files", limits.files, "RLIMIT_NOFILE", "n"),
        ("processes", limits.processes, "RLIMIT_NPROC", "u"),
    ):
        hard = _hard_limit(name, resource.RLIM_INFINITY)
        if value is not None and hard != resource.RLIM_INFINITY and value > hard:
            found.append(("limits", f"{key} = {value} is above the hard limit {hard} (`ulimit -H{option}`)"))
    return found


def _lowest_priority() -> int:
    present = os.getpriority(os.PRIO_PROCESS, 0)
    if not hasattr(resource, "RLIMIT_NICE"):
        return present
    allowed = resource.getrlimit(resource.RLIMIT_NICE)[0]
    return -20 if allowed == resource.RLIM_INFINITY else min(present, 20 - allowed)


def _hard_limit(name: str, otherwise: int) -> int:
    number = getattr(resource, name, None)
    return otherwise if number is None else resource.getrlimit(number)[1]
