"""The keys of orchestrate.toml for the user of a component and its resource limits."""

from __future__ import annotations

import re

from orchestrator.config.schema.fields import ByType, Made, Number, SchemaKey, Size, Table, Text
from orchestrator.model.spec import Limits

_ID = ByType({str: Text("a name or a number"), int: Made(Number(0, 2**32 - 2, whole=True), str)})


def _umask(text: str) -> int:
    if not re.fullmatch(r"(0o)?[0-7]{1,4}", text) or (mask := int(text.removeprefix("0o"), 8)) > 0o777:
        raise ValueError(f'must be octal digits, "000" to "777", such as "027", not {text!r:.40}')
    return mask


_LIMITS = Made(
    Table(
        {
            "memory": SchemaKey(
                Size(1 << 20),
                'Memory, such as "512M" or "1G" (1 G is 1024 M): of the whole instance in a control group, else of the'
                " data of each process (RLIMIT_DATA).",
            ),
            "files": SchemaKey(Number(3, 1 << 30, whole=True), "Open files of each process (RLIMIT_NOFILE)."),
            "processes": SchemaKey(
                Number(1, 1 << 22, whole=True),
                "Processes and threads: of the instance in a control group, else of its user (RLIMIT_NPROC).",
            ),
        },
        {
            "mem": "'memory'",
            "memory_max": "'memory'",
            "memorymax": "'memory'",
            "mem_limit": "'memory'",
            "as": "'memory'",
            "nofile": "'files'",
            "open_files": "'files'",
            "limitnofile": "'files'",
            "nproc": "'processes'",
            "pids": "'processes'",
            "pids_limit": "'processes'",
            "tasksmax": "'processes'",
        },
    ),
    lambda read: Limits(**read),
)

IDENTITY = {
    "user": SchemaKey(
        _ID,
        "The user that it runs as: a name or a number. Only root can change it. HOME, USER, LOGNAME and SHELL are set.",
    ),
    "group": SchemaKey(_ID, "The group that it runs as: a name or a number (the user's)."),
    "umask": SchemaKey(Made(Text("octal digits"), _umask), 'Permissions that its new files do not get: "027".'),
    "nice": SchemaKey(
        Number(-20, 19, whole=True),
        "Its scheduling priority, from -20 (most time) to 19; below 0 only root can set it.",
    ),
    "limits": SchemaKey(_LIMITS, 'Limits of its resources: { memory = "1G", files = 1024, processes = 200 }.'),
}
