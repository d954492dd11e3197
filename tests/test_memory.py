"""What a guardian has for itself alone: a page too many in each is a page too many times two hundred."""

import re
from pathlib import Path
from statistics import median

from facts import PATIENCE, children, pump

LIMIT = 2.5e6  # bytes; 2.2 on CPython 3.11
COUNT = 50


def private(pid):
    """Bytes of the pages that no other process has."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(map(int, re.findall(r"^Private_(?:Clean|Dirty): +(\d+)", rollup, re.MULTILINE)))


def test_a_guardian_shares_nearly_all_its_memory_with_the_others(home):
    home.write(**{f"c{number}": "echo ready; exec sleep 600" for number in range(COUNT)})
    run = home.up("--no-log", "--color", "never")
    assert pump(lambda: run.text.count("| ready\n") == COUNT or run.returncode is not None, PATIENCE), str(run)
    guardians = children(run.pid)
    assert len(guardians) == COUNT
    sizes = [private(pid) for pid in guardians]
    assert median(sizes) <= LIMIT, sorted(sizes)
    run.stop()
