"""`doctor` as functions: what a number means, and what to do."""

import resource

import pytest

from orchestrator.cli.machine_checks import Finding, disk, open_files, ptys

INFINITY = resource.RLIM_INFINITY
MB = 1 << 20


@pytest.mark.parametrize(
    ("soft", "hard", "found"),
    [
        (1024, 4096, ("ok", "limit 1024, needed 864 for 100 instances", "")),
        (INFINITY, INFINITY, ("ok", "unlimited, needed 864 for 100 instances", "")),
        (256, INFINITY, ("error", "limit 256, needed 864 for 100 instances", "run `ulimit -n 864`")),
        (256, 512, ("error", "limit 256, needed 864 for 100 instances",
                    "raise nofile to 864 in /etc/security/limits.conf")),
    ],
)  # fmt: skip
def test_open_files(soft, hard, found):
    level, text, advice = found
    assert open_files(soft, hard, 100) == Finding(level, "open files", text, advice)


def test_pseudo_terminals():
    assert ptys(4096, 3, 2).level == "ok"
    assert ptys(20, 3, 2) == Finding(
        "error", "terminals", "3 of 20 pseudo-terminals in use, needed 2", "run `sysctl kernel.pty.max=21` as root"
    )


@pytest.mark.parametrize(
    ("free", "is_writable", "level"),
    [(5000 * MB, True, "ok"), (500 * MB, True, "warning"), (50 * MB, True, "error"), (5000 * MB, False, "error")],
)
def test_disk(free, is_writable, level):
    assert disk(free, is_writable, "/srv").level == level
