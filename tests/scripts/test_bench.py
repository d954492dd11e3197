"""scripts/bench, very small: that each part measures what it says, never what it measures."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import harness
import pytest

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"
sys.path.insert(0, str(SCRIPTS))

from benchmarks import airflow, figures, plot, report  # noqa: E402
from benchmarks.contenders import orchestrates  # noqa: E402
from benchmarks.output import CASES  # noqa: E402
from benchmarks.workspace import Workspace  # noqa: E402

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the bench reads /proc"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="the bench compiles its producers and sinks"),
]

FIGURES = {
    "startup": {"components", "orchestrate", "ratio"},
    "memory": {"contender", "components", "guardian", "guardian_max", "supervisor", "together"},
    "idle": {"contender", "components", "processes", "seconds", "wakeups", "switches"},
    "shutdown": {"components", "orchestrate", "ratio"},
    "output": {"case", "sink", "contender", "speed", "ratio", "cpu", "cpu_ratio", "wrong"},
    "latency": {"case", "contender", "p50", "p99", "lines", "late", "lost"},
    "growth": {"case", "contender", "idle", "growth"},
    "view": {"case", "contender", "p50", "p99", "unit", "promise", "cpu", "speed"},
}


@pytest.fixture(scope="module")
def space():
    with Workspace() as space:
        yield space


def bench(*arguments):
    command = [sys.executable, SCRIPTS / "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


def measured(part, tmp_path):
    """The rows of one part, after a run as small as can be."""
    file = tmp_path / "figures.json"
    result = bench(part, "--quick", "--runs", "1", "--json", file)
    assert result.returncode == 0, result.stderr
    document = json.loads(file.read_text())
    assert document["machine"]["cores"] >= 1
    assert document["versions"]["python"] == sys.version.split()[0]
    (rows,) = document["parts"].values()
    heading, _, *lines = result.stdout.splitlines()[2:]
    assert len(lines) == len(rows) + 1  # a blank line follows
    assert heading.split()
    return rows


@pytest.mark.parametrize("part", FIGURES)
def test_a_part_gives_its_figures_and_the_samples_they_come_from(part, tmp_path):
    rows = measured(part, tmp_path)
    assert rows
    for row in rows:
        assert FIGURES[part] | {"samples"} <= set(row)
        assert row["samples"]
    if part == "output":
        check_output(rows)


def check_output(rows):
    """Every case with every contender, and no line lost or changed by any."""
    for case in CASES:
        names = {row["contender"] for row in rows if (row["case"], row["sink"]) == (case.name, case.sink)}
        assert {"C" if case.tty else "C, pipes", "standalone's way", *(c.name for c in orchestrates())} <= names
    assert [row for row in rows if row["wrong"]] == []
    assert all(row["speed"] > 0 for row in rows)


def test_of_output_single_cases_can_be_measured_and_those_of_an_earlier_run_stay(tmp_path):
    file = tmp_path / "figures.json"
    for case in ("4 KB", "20 bytes into a pipe"):
        result = bench("output", "--case", case, "--quick", "--json", file)
        assert result.returncode == 0, result.stderr
    rows = figures.read(file)["parts"]["output"]
    assert list(dict.fromkeys(row["case"] for row in rows)) == ["4 KB", "20 bytes"]


def test_another_orchestrate_is_measured_in_the_same_turns(tmp_path):
    file = tmp_path / "figures.json"
    command = shlex.join(map(str, harness.command_under_test()))
    result = bench("startup", "memory", "--quick", "--against", command, "--json", file)
    assert result.returncode == 0, result.stderr
    parts = figures.read(file)["parts"]
    assert all(row["against"] > 0 and row["ratio_against"] > 0 for row in parts["startup"])
    assert "against" in [row["contender"] for row in parts["memory"]]
    assert re.search(r"^components  orchestrate s .*against s  ratio$", result.stdout, re.M)


def test_the_airflow_part_compares_what_was_measured_in_the_same_turn():
    ours = [airflow.Figures(cold, cold / 2, 50.0, 0.0) for cold in (10.0, 30.0, 12.0)]
    theirs = [airflow.Figures(cold, cold / 2 + 1, 130.0, 0.6) for cold in (10.0, 40.0, 10.0)]
    cold, warm = airflow.rows("3.3.2", ours, theirs)
    assert (cold["start"], cold["orchestrate"], cold["standalone"], cold["ratio"]) == ("cold", 12.0, 10.0, 1.0)
    assert (warm["orchestrate"], warm["standalone"], warm["ratio"]) == (6.0, 6.0, 5 / 6)
    assert (warm["memory"], warm["their_memory"], warm["their_cpu"]) == (50.0, 130.0, 0.6)
    assert report.table(airflow.COLUMNS, [cold, warm])


def test_an_unknown_part_is_a_usage_error():
    result = bench("outptu")
    assert result.returncode == 2
    assert "unknown part 'outptu': available are startup" in result.stderr


# The checker


def payload(number, id_="a", length=40, kind="plain"):
    """A line as flood.c writes it."""
    escapes = {"plain": ("", "", ""), "colored": ("\x1b[32m", "INFO", "\x1b[m"), "stripped": ("", "INFO", "")}
    head = f"{id_}{number:010d} " + "".join(escapes[kind])
    size = length - 1 - len(head) - (8 if kind == "stripped" else 0)
    return head + "".join(chr(ord("!") + (number % 64 + i) % 93) for i in range(size))


def counts(space, *lines, kind="plain", wanted=3, sources=1, options=()):
    """What the sink says of these lines, of which the components `one` and `two` write `wanted` each."""
    patterns = ["own | ", "one ?? | ", "two ?? | "][: 1 + sources]
    command = [space.program("sink"), *options, kind, "40", str(wanted), *patterns]
    text = "\n".join(lines) + "\n"
    result = subprocess.run(command, input=text.encode(), capture_output=True, check=True)
    *said, report_line = result.stdout.decode().splitlines()
    found = {key: value for key, value in json.loads(report_line).items() if value and key not in ("bytes", "last")}
    found.pop("example", None)
    return found | ({"complete": True} if said else {})


ONE = [f"one :) | {payload(n)}" for n in range(3)]
TWO = [f"two :) | {payload(n, 'b')}" for n in range(3)]


def test_the_sink_passes_what_is_right(space):
    assert counts(space, *ONE) == {"good": 3, "complete": True}
    assert counts(space, "own | hello", ONE[0], TWO[0], TWO[1], *ONE[1:], TWO[2], sources=2) == {
        "good": 6,
        "own": 1,
        "complete": True,
    }


def test_the_sink_passes_terminal_line_ends_and_colored_prefixes(space):
    lines = [f"\x1b[0m\x1b[36mone :) | \x1b[m{payload(n)}\r" for n in range(3)]
    assert counts(space, *lines, options=["-t"]) == {"good": 3, "complete": True}
    assert counts(space, *lines)["mangled"] == 3


def test_on_a_terminal_the_sink_passes_over_an_unfinished_line_that_was_erased(space):
    lines = [ONE[0], f"one :) | {payload(1)[:20]}\r\x1b[K{ONE[1]}\r", ONE[2]]
    assert counts(space, *lines, options=["-t"]) == {"good": 3, "complete": True}
    assert counts(space, *lines)["mangled"] == 1


@pytest.mark.parametrize("kind", ["colored", "stripped"])
def test_the_sink_knows_colored_lines_and_what_is_left_of_them(space, kind):
    lines = [f"one :) | {payload(n, kind=kind)}" for n in range(3)]
    other = "stripped" if kind == "colored" else "colored"
    assert counts(space, *lines, kind=kind) == {"good": 3, "complete": True}
    assert counts(space, *lines, kind=other)["mangled"] == 3


@pytest.mark.parametrize(
    ("lines", "faults"),
    [
        (ONE[:2], {"missing": 1}),
        ([ONE[0], ONE[2]], {"missing": 1}),
        ([ONE[0], ONE[2], ONE[1]], {"missing": 1, "disordered": 1}),
        ([*ONE, ONE[1]], {"disordered": 1}),
        ([ONE[0], ONE[1][:-1], ONE[2]], {"missing": 1, "mangled": 1}),
        ([ONE[0], ONE[1] + ONE[1], ONE[2]], {"missing": 1, "mangled": 1}),
        ([ONE[0], ONE[1].replace("a", "b", 1), ONE[2]], {"missing": 1, "mangled": 1}),
        ([*ONE[:2], payload(2)], {"missing": 1, "unprefixed": 1}),
        ([*ONE, ""], {"unprefixed": 1}),
        ([*ONE[:2], ONE[2].replace("one", "two")], {"missing": 1, "unprefixed": 1}),
    ],
)
def test_the_sink_finds_a_fault(space, lines, faults):
    found = counts(space, *lines)
    assert {key: found.get(key, 0) for key in ("missing", "mangled", "disordered", "unprefixed")} == {
        "missing": 0,
        "mangled": 0,
        "disordered": 0,
        "unprefixed": 0,
    } | faults


def test_a_line_under_the_name_of_another_component_is_mangled(space):
    assert counts(space, ONE[0].replace("one", "two"), sources=2)["mangled"] == 1


# The table


def test_a_table_has_words_left_and_figures_right():
    columns = [report.Column("name", "who"), report.Column("speed", "MB/s", ".1f")]
    rows = [{"name": "C", "speed": 12.34}, {"name": "honcho", "speed": None}]
    assert report.table(columns, rows) == "who     MB/s\n------  ----\nC       12.3\nhoncho     –"


def test_ratios_are_between_figures_of_one_turn():
    assert report.paired_ratio([1.0, 10.0, 9.0], [2.0, 20.0, 3.0]) == 0.5
    assert report.paired_ratio([1.0], []) is None


# Figures


def row(case, contender, speed):
    return {"case": case, "sink": "pipe", "contender": contender, "speed": speed, "cpu": 4.5}


def test_a_row_that_is_measured_again_takes_the_place_of_the_old_one(tmp_path):
    file = tmp_path / "figures.json"
    figures.write(file, {"output": [row("a", "C", 1.0), row("a", "honcho", 2.0)]})
    figures.write(file, {"output": [row("a", "C", 3.0), row("b", "C", 4.0)], "idle": []})
    found = figures.read(file)
    assert [(r["case"], r["contender"], r["speed"]) for r in found["parts"]["output"]] == [
        ("a", "honcho", 2.0),
        ("a", "C", 3.0),
        ("b", "C", 4.0),
    ]
    assert found["parts"]["idle"] == []


def test_a_picture_has_a_bar_for_each_row(tmp_path):
    file = tmp_path / "figures.json"
    figures.write(file, {"output": [row("a & b", "C", 80.0), row("a & b", "orchestrate", 40.0)]})
    drawn = ElementTree.fromstring(plot.picture(figures.read(file)))
    bars = [float(e.get("width")) for e in drawn.iter("{http://www.w3.org/2000/svg}rect") if e.get("x") == "190"]
    words = [e.text for e in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert bars[-2] == 2 * bars[-1]
    assert {"a & b, pipe", "80 MB/s, 4.5 CPU s/GB", "orchestrate"} <= set(words)
