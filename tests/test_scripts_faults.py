"""scripts/faults, and that scripts/break-safety would still find what it takes out."""

import importlib.machinery
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs child subreapers")


def test_a_fault_leaves_nothing_of_orchestrate_and_something_of_standalones_way(tmp_path):
    figures = tmp_path / "faults.json"
    for only in ("orchestrate", "standalone"):
        command = [sys.executable, SCRIPTS / "faults", "--only", only, "--death", "SIGQUIT", "--json", figures]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done
        (result,) = json.loads(figures.read_text())["results"]
        assert result["death"] == "SIGQUIT"
        if only == "orchestrate":
            assert (result["left"], result["wrong"], result["status"]) == ({}, "", 131)
        else:
            assert {"daemon", "deaf", "plain"} <= result["left"].keys()


def test_every_safety_that_is_broken_is_still_where_it_is_looked_for(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    loader = importlib.machinery.SourceFileLoader("break_safety", str(SCRIPTS / "break-safety"))
    spec = importlib.util.spec_from_loader("break_safety", loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["break_safety"] = module
    loader.exec_module(module)
    for each in module.BREAKS:
        text = (SCRIPTS.parent / "orchestrator" / each.file).read_text(encoding="utf-8")
        assert text.count(each.old) == 1, each
        file, _, name = each.tests.partition("::")
        assert name.partition("[")[0] in (SCRIPTS.parent / file).read_text(encoding="utf-8"), each


WHOLE = [b"BEGIN r", b"r 1", b"r 2", b"r 3", b"END r 3"]


@pytest.mark.parametrize(
    ("lines", "written", "right"),
    [
        (WHOLE, 4, True),
        (WHOLE[:3], 2, True),
        (WHOLE[:1], None, True),
        ([*WHOLE[:3], b"r"], 2, True),
        ([b"BEGIN r", *(b"r %d" % number for number in range(1, 12)), b"r 1"], 11, True),
        *((WHOLE[:gap] + WHOLE[gap + 1 :], 4, False) for gap in range(5)),
        (WHOLE[:3], 3, False),
        ([], 0, False),
        ([*WHOLE, b"r 3"], 4, False),
        ([*WHOLE[:3], b"r 2"], 2, False),
        ([*WHOLE, *WHOLE], 4, False),
    ],
)
def test_a_soak_accounts_for_every_line(monkeypatch, tmp_path, lines, written, right):
    """Of a run that was killed the last line may be cut short; what it says it has written has to be there."""
    monkeypatch.syspath_prepend(SCRIPTS)
    from faultmatrix.account import Account

    (tmp_path / "r").write_text("" if written is None else f"{written:8}")
    account = Account("logs")
    account.take(lines)
    account.close(tmp_path)
    assert (account.wrong == []) is right, account.wrong


def test_a_minute_of_soak_leaks_nothing_and_loses_no_line():
    done = subprocess.run([sys.executable, SCRIPTS / "soak", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
