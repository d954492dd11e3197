"""Procfile: text in, entries and problems out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config.procfile import ProcfileEntry, parse


def problems(text):
    return parse(text, "Procfile")[1]


def entries(text):
    found, faults = parse(text, "Procfile")
    assert faults == []
    return [(entry.name, entry.command, entry.line) for entry in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web: python -m http.server", [("web", "python -m http.server", 1)]),
        ("web:cmd", [("web", "cmd", 1)]),
        ("web:\tcmd\t", [("web", "cmd", 1)]),
        ("  web : cmd", [("web", "cmd", 1)]),
        ("b: 1\na: 2\n", [("b", "1", 1), ("a", "2", 2)]),
        ("# note\n\n   # another\nweb: cmd # kept, the shell's\n", [("web", "cmd # kept, the shell's", 4)]),
        ("web: cmd\r\nworker: cmd\r\n", [("web", "cmd", 1), ("worker", "cmd", 2)]),
        ("web: a: b: c", [("web", "a: b: c", 1)]),
        ("web: PORT=80 ./serve --url http://x:80", [("web", "PORT=80 ./serve --url http://x:80", 1)]),
        ("web_1-x.y: cmd", [("web_1-x.y", "cmd", 1)]),
        ("9lives: cmd", [("9lives", "cmd", 1)]),
        ("büro: cmd", [("büro", "cmd", 1)]),
        ("web: echo \udcff", [("web", "echo \udcff", 1)]),  # a byte that is no UTF-8 (surrogateescape)
        (f"{'n' * 64}: cmd", [("n" * 64, "cmd", 1)]),
    ],
)
def test_entries(text, expected):
    assert entries(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["Procfile: no components in it: write lines like `web: python -m http.server`"]),
        ("# only\n\n", ["Procfile: no components in it: write lines like `web: python -m http.server`"]),
        ("web python", ["Procfile:1: not a `name: command` line: 'web python'"]),
        (": cmd", ["Procfile:1: not a `name: command` line: ': cmd'"]),
        ("my web: cmd", ["Procfile:1: not a `name: command` line: 'my web: cmd'"]),
        ("\n\nweb:\n", ["Procfile:3: 'web' has no command"]),
        ("web:   ", ["Procfile:1: 'web' has no command"]),
        ("web: a\nx: b\nweb: c", ["Procfile:3: 'web' is already defined on line 1"]),
        (
            "-web: cmd",
            [
                "Procfile:1: '-web' is not a valid component name: a name starts with a letter, digit or underscore"
                " and continues with those, dots and hyphens"
            ],
        ),
        (
            "a/b: cmd",
            [
                "Procfile:1: 'a/b' is not a valid component name: a name starts with a letter, digit or underscore"
                " and continues with those, dots and hyphens"
            ],
        ),
        (
            "web.2: cmd",
            [
                "Procfile:1: 'web.2' is not a valid component name: a name does not end in a dot and digits, as"
                " instances do"
            ],
        ),
        (
            "orchestrate: cmd",
            ["Procfile:1: 'orchestrate' is not a valid component name: it names the messages of orchestrate itself"],
        ),
        (f"{'n' * 65}: cmd", [f"Procfile:1: '{'n' * 65}' is not a valid component name: a name has at most 64 bytes"]),
        (f"{'ü' * 33}: cmd", [f"Procfile:1: '{'ü' * 33}' is not a valid component name: a name has at most 64 bytes"]),
    ],
)
def test_problems(text, expected):
    assert problems(text) == expected


def test_every_problem_is_told_with_its_line_and_the_rest_still_read():
    found, faults = parse("nonsense\nweb: a\nweb: b\nworker: c\n../x: d\n", "dir/Procfile")
    assert [fault.split(": ")[0] for fault in faults] == ["dir/Procfile:1", "dir/Procfile:3", "dir/Procfile:5"]
    assert found == [ProcfileEntry("web", "a", 2), ProcfileEntry("worker", "c", 4)]


def test_a_long_line_is_cut_in_its_message():
    (fault,) = problems("x" * 5000)
    assert len(fault) < 120


@pytest.mark.parametrize("mark", ["\f", "\v", "\x1c", "\x85", "\u2028"])
def test_only_a_line_feed_ends_a_line(mark):
    """str.splitlines knows ten more ends of lines; an editor, and the shell, count line feeds."""
    assert entries(f"web: printf 'a{mark}b'\nworker: cmd") == [("web", f"printf 'a{mark}b'", 1), ("worker", "cmd", 2)]


def test_a_byte_order_mark_is_no_part_of_the_first_name():
    assert entries("\ufeffweb: cmd") == [("web", "cmd", 1)]


@settings(deadline=None)
@given(st.text(st.sampled_from("ab:# \t\n\r-./\udcff$'"), max_size=60) | st.text(max_size=60))
def test_any_text_gives_entries_or_problems(text):
    found, faults = parse(text, "Procfile")
    assert found or faults
    assert all(entry.name and entry.command for entry in found)
    assert len({entry.name for entry in found}) == len(found)
    assert all(fault.startswith("Procfile:") for fault in faults)


NAMES = st.from_regex(r"[a-z_][a-z0-9_-]{0,8}", fullmatch=True).filter(lambda name: name != "orchestrate")
COMMANDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@settings(deadline=None)
@given(st.dictionaries(NAMES, COMMANDS, min_size=1))
def test_what_is_written_is_read_in_its_order(system):
    text = "".join(f"{name}: {command}\n" for name, command in system.items())
    assert [(entry.name, entry.command) for entry in parse(text, "P")[0]] == list(system.items())
