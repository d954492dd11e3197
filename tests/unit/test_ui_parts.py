"""The parts of the view that need no terminal: keys, styled text, the list, the layout, and what floods leave out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.ui.component_list import ComponentList, Sample, percent, size, sparkline
from orchestrator.ui.help_text import help_lines
from orchestrator.ui.keys import KeyReader, Mouse, Paste, Press
from orchestrator.ui.layout import layout_of
from orchestrator.ui.status_line import LIST_KEYS, StatusLine
from orchestrator.ui.styled_text import BOLD, REVERSE, cut, encoded, marked, padded, plain, runs_of, width_of, wrapped

pyte = pytest.importorskip("pyte")

from orchestrator.terminal.emulator import Emulator  # noqa: E402
from orchestrator.ui.pane import LinesPane, last_screenful  # noqa: E402


def typed(*chunks):
    reader = KeyReader()
    return [one for chunk in chunks for one in reader.feed(chunk)] + reader.expire()


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"jK?"], [Press("j"), Press("K"), Press("?")]),
        ([b"\x1b[A\x1bOB\x1b[6~"], [Press("up"), Press("down"), Press("page down")]),
        ([b"\x1b", b"[", b"A"], [Press("up")]),
        ([b"\x1b"], [Press("escape")]),
        ([b"\r\t\x7f\x0c"], [Press("enter"), Press("tab"), Press("backspace"), Press("ctrl-l")]),
        ([b"\xc3", b"\xa9"], [Press("é")]),
        ([b"\x1b[<0;12;3M\x1b[<0;12;3m"], [Mouse("press", 2, 11)]),
        ([b"\x1b[<64;1;1M\x1b[<65;1;1M"], [Mouse("wheel up", 0, 0), Mouse("wheel down", 0, 0)]),
        ([b"\x1b[200~rm", b" -rf\x1b[20", b"1~q"], [Paste("rm -rf"), Press("q")]),
    ],
)
def test_keys_in_any_chunks(chunks, expected):
    assert typed(*chunks) == expected


@given(st.lists(st.binary(max_size=12), max_size=8))
def test_any_bytes_are_keys_or_nothing(chunks):
    for one in typed(*chunks):
        assert isinstance(one, Press | Mouse | Paste)


@given(st.text(), st.integers(1, 40))
def test_padded_rows_are_exactly_as_wide(text, columns):
    text = "".join(c for c in text if c.isprintable())
    assert width_of(padded([(text, b"")], columns)) == columns
    assert width_of(cut([(text, b"")], columns)) <= columns


@given(st.text(alphabet="ab é名", max_size=60), st.integers(2, 20))
def test_wrapping_loses_nothing(text, columns):
    rows = wrapped([(text, BOLD)], columns)
    assert "".join(piece for row in rows for piece, _ in row) == text
    assert all(width_of(row) <= columns for row in rows)


def test_matches_are_marked_over_runs():
    row = marked(runs_of(b"an \x1b[31mErr\x1b[mor"), "error")
    assert [(text, REVERSE in style) for text, style in row] == [("an ", False), ("Err", True), ("or", True)]


def test_a_text_never_steers_the_terminal():
    assert encoded([("a\x1b[2Jb\x9b", b"")]) == "a�[2Jb�".encode()


def row(name, state="running", **more):
    usual = {"component": name, "waiting": None, "waits_for": [], "restarts": 0, "port": "5000", "tags": [], "pid": 7}
    return {**usual, "instance": name, "state": state, "last_exit": None, **more}


def listed(*rows):
    shown = ComponentList()
    for one in rows:
        shown.update(one)
    shown.set_order(one["instance"] for one in rows)
    return shown


def lines(shown, columns=60, height=9):
    return [plain(line) for line in shown.draw(columns, height, is_focused=False)]


def test_the_list_shows_what_runs_and_why_others_do_not():
    shown = listed(
        row("web"),
        row("api", "waiting", waits_for=["db"]),
        row("job", "failed", last_exit="exited with status 3"),
        row("ask", waiting="Password: "),
    )
    shown.samples = {"web": Sample(0.123, 45_600_000, (5000,), (0, 100, 4000))}
    assert lines(shown)[:5] == [
        "  NAME                       OUTPUT   RST  PORT   CPU    MEM",
        "▌● web                             ▂▅      5000 12.3%  45.6M",
        " ○ api  waiting for db",
        " ✗ job  failed: exited with status 3",
        " ? ask  asks Password:",
    ]
    assert shown.waiting == ["ask"]


def test_filter_failed_first_and_groups():
    shown = listed(row("web", tags=["front"]), row("api", tags=["back"]), row("job", "failed", tags=["back"]))
    shown.failed_first = True
    assert shown.names == ["job", "web", "api"]
    shown.by_tag = True
    assert [line.split("  ")[0].strip("▌ ") for line in lines(shown)[1:6]] == [
        "back",
        "✗ job",
        "● api",
        "front",
        "● web",
    ]
    shown.set_filter("back fail")
    assert shown.names == ["job"]
    assert shown.selected == "job"
    shown.set_filter("nothing like it")
    assert "nothing matches; Esc shows all" in lines(shown)[1]


def test_the_selection_stays_visible_and_follows_a_rename():
    shown = listed(*(row(f"c{n}") for n in range(200)))
    shown.move(150)
    assert shown.selected == "c150"
    assert sum("▌" in line for line in lines(shown)) == 1
    shown.move(-1000)
    assert lines(shown)[1].startswith("▌● c0")
    assert shown.top == 0
    two = listed(row("web"), row("api"))
    two.update(row("web.1"))
    two.update(row("web.2"))
    two.set_order(["web.1", "web.2", "api"])
    assert two.selected == "web.1"
    two.update(row("web"))
    two.set_order(["web", "api"])
    assert two.selected == "web"


@pytest.mark.parametrize(
    ("columns", "list_columns", "pane_columns"), [(300, 46, 253), (100, 40, 59), (80, 32, 47), (79, 79, 0)]
)
def test_layout(columns, list_columns, pane_columns):
    layout = layout_of(24, columns, 46, zoom=False, shows_pane=False)
    assert (layout.list_columns, layout.pane_columns) == (list_columns, pane_columns)
    assert layout_of(24, columns, 46, zoom=True, shows_pane=False).pane_columns == columns


def test_a_narrow_status_line_keeps_help_and_quit():
    status = StatusLine()
    assert plain(status.draw(30, keys=LIST_KEYS)) == " ? help  q quit  Enter attach"
    status.say("web\nrestarted")
    assert plain(status.draw(30, keys=LIST_KEYS)) == " web restarted"


@pytest.mark.parametrize("columns", [40, 47, 60, 100])
def test_the_help_is_wrapped_at_words(columns):
    narrow = [line.decode() for line in help_lines("Ctrl-\\ d", columns, owned=True)]
    wide = [line.decode() for line in help_lines("Ctrl-\\ d", 500, owned=True)]
    assert max(map(width_of, ([(line, b"")] for line in narrow))) <= columns
    assert " ".join(narrow).split() == " ".join(wide).split()


def test_small_texts():
    assert sparkline((0, 10, 1 << 20)) == "      ▁█"
    assert [percent(0.0), percent(0.123), percent(1.5)] == ["0.0%", "12.3%", "150%"]
    assert [size(300_000), size(1_500_000_000)] == ["0.3M", "1.5G"]


colored = st.sampled_from([b"\x1b[31m", b"\x1b[m", b"\x1b[1;44m", b"\x1b[0m", b"\x1b[39m", b"\x1b[38;5;200m"])
words = st.sampled_from([b"a", b"word ", "é名".encode(), b"\t", b"\r"])
ends = st.sampled_from([b"\r\n", b"\r\n", b"\r\n\r\n"])


@settings(max_examples=60, deadline=None)
@given(st.lists(colored | words | ends, min_size=30, max_size=60), st.lists(colored | words | ends, max_size=10))
def test_what_a_flood_leaves_out_changes_nothing_on_the_screen(data, before):
    whole, short = Emulator(12, 4), Emulator(12, 4)
    for one in (whole, short):
        one.feed(b"".join(before))
    flood = b"".join(data)
    whole.feed(flood)
    short.feed(last_screenful(flood, 4))
    assert short.screen() == whole.screen()


def test_a_pane_of_lines_scrolls_and_searches():
    pane = LinesPane([b"line %d" % n for n in range(100)])
    assert [plain(r) for r in pane.draw(20, 3)] == ["line 97", "line 98", "line 99"]
    pane.scroll(10)
    pane.add([b"new"])
    assert plain(pane.draw(20, 3)[-1]) == "line 89"
    assert pane.find("line 1") == "match 1 of 11 for 'line 1', from the end"
    assert plain(pane.draw(20, 3)[-1]) == "line 19"
    assert pane.find_next(1) == "match 2 of 11 for 'line 1', from the end"
    assert pane.find_next(-1) == "match 1 of 11 for 'line 1', from the end"
    assert pane.find_next(-1) == "no newer match for 'line 1'"
    assert pane.find("x") == "no match for 'x'"
    pane.go_to_top()
    assert plain(pane.draw(20, 3)[0]) == "line 0"
