"""A file of figures: what was measured, when, of which versions, on which machine."""

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from benchmarks.contenders import versions
from benchmarks.report import Row

Results = dict[str, list[Row]]
_IDENTITY = ("case", "sink", "contender", "components")  # what tells the rows of a part apart


def write(path: Path, results: Results) -> None:
    """Write the rows of each part; what the file has of other rows, measured before, stays in it."""
    before = read(path) if path.exists() else {"parts": {}}
    document = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "versions": versions(),
        "parts": before["parts"]
        | {part: _merged(before["parts"].get(part, []), rows) for part, rows in results.items()},
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """Return what `write` has written."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def machine() -> dict[str, object]:
    """Return kernel, processor and cores; the load says whether figures can be trusted."""
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg(),
    }


def _merged(before: list[Row], rows: list[Row]) -> list[Row]:
    """Return what was measured before and not again, and the new rows."""
    again = {_identity(row) for row in rows}
    return [*(row for row in before if _identity(row) not in again), *rows]


def _identity(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(key) for key in _IDENTITY)
