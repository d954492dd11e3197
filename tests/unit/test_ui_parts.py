"""The parts of the view that need no terminal: keys, styled text, the list, the layout, and what floods leave out."""

import re
from unittest import mock

import pytest
from examples import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.model.frames import Frame, FrameKind, format_size
from orchestrator.terminal.row import replay
from orchestrator.ui.component_list import ComponentList, Sample, percent, size, sparkline
from orchestrator.ui.drawing import layout_of
from orchestrator.ui.help_text import help_lines
from orchestrator.ui.keys import KeyReader, Mouse, Paste, Press
from orchestrator.ui.status_line import LIST_KEYS, StatusLine
from orchestrator.ui.styled_text import BOLD, REVERSE, cut, encoded, marked, padded, plain, runs_of, width_of, wrapped

pyte = pytest.importorskip("pyte")

from orchestrator.terminal.emulator import Emulator  # noqa: E402
from orchestrator.ui import log_lines  # noqa: E402
from orchestrator.ui.log_lines import LogLines  # noqa: E402
from orchestrator.ui.pane import LINES_MAX, LinesPane, TerminalPane, last_screenful  # noqa: E402


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


def test_a_row_that_is_cut_behind_a_joiner_ends_before_it():
    assert encoded([("👩\u200d👩\u200d", b"\x1b[1m")]) == "\x1b[1m👩\u200d👩\x1b[m".encode()


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
    shown.update(row("a-long-name", "restarting", last_exit="exited with status 3"))
    shown.set_order(["a-long-name", "job", "api"])
    assert lines(shown, 32)[1:4] == [
        "▌↻ a-long-name restarting: sta…",
        " ✗ job         failed: status 3",
        " ○ api         waiting for db",
    ]


def test_a_full_screen_program_does_not_ask():
    shown = listed(row("edit", waiting="(no prompt)", full_screen=True), row("cat", waiting="(no prompt)"))
    assert [line.split()[:2] for line in lines(shown)[1:3]] == [["▌●", "edit"], ["?", "cat"]]
    assert lines(shown)[2] == " ? cat  waits for input"
    assert shown.waiting == ["cat"]


def test_the_selected_row_has_one_color():
    shown = listed(row("web"), row("job", "failed"))
    shown.samples = {"web": Sample(0.9, 45_600_000, (5000,), (0, 100, 4000))}
    assert {style for _, style in shown.draw(60, 3, is_focused=True)[1]} == {REVERSE, REVERSE + BOLD}
    assert len({style for _, style in shown.draw(60, 3, is_focused=False)[1]}) > 3


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
    shown.update(row("job", tags=["back"]))  # it was restarted, and the filter hides it
    assert shown.names == []
    shown.set_filter("back")
    shown.set_filter("")
    shown.selected, shown.filter_text = "job", "web"
    shown.move(1)
    assert shown.selected == "web"
    shown.set_filter("nothing like it")
    assert "nothing matches; Esc shows all" in lines(shown)[1]


@pytest.mark.parametrize("text", ["wait", "input", "asks", "your name", "waiting for input", "running", "prompts"])
def test_the_filter_matches_the_state_as_shown_and_as_ps_prints_it(text):
    shown = listed(row("web"), row("ask", waiting="Your name: ", tags=["prompts"]), row("edit", "ready"))
    shown.set_filter(text)
    assert "ask" in shown.names
    assert ("web" in shown.names) == (text == "running")
    assert "edit" not in shown.names


def test_the_filter_matches_what_an_instance_waits_for_and_its_exit():
    shown = listed(
        row("api", "waiting", waits_for=["db"]),
        row("job", "failed", last_exit="exited with status 3"),
        row("vim", waiting="(no prompt)", full_screen=True),
    )
    shown.set_filter("for db")
    assert shown.names == ["api"]
    shown.set_filter("status 3")
    assert shown.names == ["job"]
    shown.set_filter("input")
    assert shown.names == []


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
    ("columns", "list_columns", "pane_columns"), [(300, 46, 253), (100, 43, 56), (80, 32, 47), (79, 79, 0)]
)
def test_layout(columns, list_columns, pane_columns):
    layout = layout_of(24, columns, 46, zoom=False, shows_pane=False)
    assert (layout.list_columns, layout.pane_columns) == (list_columns, pane_columns)
    assert layout_of(24, columns, 46, zoom=True, shows_pane=False).pane_columns == columns


def test_a_narrow_status_line_keeps_help_and_quit():
    status = StatusLine()
    assert plain(status.draw(30, keys=LIST_KEYS)) == " ? help  q quit  Enter attach"
    assert plain(status.draw(40, keys=LIST_KEYS, waiting=("ask",))) == " ask waits for input: p  ? help  q quit"
    assert plain(status.draw(40, keys=LIST_KEYS, waiting=("a-long-name-indeed",))) == (
        " a-long-name-indeed wai… ? help  q quit"
    )
    assert plain(status.draw(50, keys=LIST_KEYS, waiting=("ask", "vim"))) == (
        " 2 components wait for input: p  ? help  q quit"
    )
    status.read_text("search: ", lambda text: None)
    for typed in ("0123456789", "名前" * 6):
        status.type(Paste(typed))
    assert plain(status.draw(30, keys=LIST_KEYS)) == " search: …前名前名前名前名前"
    status.type(Paste("x" * 100_000))
    assert plain(status.draw(30, keys=LIST_KEYS)) == " search: …" + "x" * 19
    status.type(Press("escape"))
    status.say("web\nrestarted")
    assert plain(status.draw(30, keys=LIST_KEYS)) == " web restarted"


@pytest.mark.parametrize("columns", range(12))
def test_what_is_typed_has_no_room_beside_a_long_prompt_on_a_narrow_screen(columns):
    status = StatusLine()
    status.read_text("a long prompt: ", lambda text: None)
    status.type(Paste("0123456789"))
    assert width_of(status.draw(columns, keys=())) == columns


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


@settings(max_examples=examples(60), deadline=None)
@example([b"\x1b[1;44m", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n"], [])
@example([b"\x1b[1;44m", *[b"\r\n"] * 8], [])
@example([b"\x1b[39m", *[b"\r\n"] * 6, b"a", b"\r\n", b"\r\n"], [b"\x1b[31m"])
@given(st.lists(colored | words | ends, min_size=30, max_size=60), st.lists(colored | words | ends, max_size=10))
def test_what_a_flood_leaves_out_changes_nothing_on_the_screen(data, before):
    whole, short = Emulator(12, 4), Emulator(12, 4)
    for one in (whole, short):
        one.feed(b"".join(before))
    flood = b"".join(data)
    whole.feed(flood)
    short.feed(last_screenful(flood, 4))
    assert short.screen() == whole.screen()


sequences = st.builds(lambda text, end: b"\x1b[" + text + end, st.from_regex(rb"[?>]?[0-9;:]{0,6}", fullmatch=True),
                      st.binary(min_size=1, max_size=1))  # fmt: skip
sizes = st.builds(lambda rows, columns: Frame(FrameKind.SIZE, format_size(rows, columns).encode()),
                  st.integers(1, 12), st.integers(1, 30))  # fmt: skip
printed = st.builds(
    lambda parts: Frame(FrameKind.OUTPUT, b"".join(parts)),
    st.lists(st.binary(max_size=6) | sequences | words | ends | st.just("日本".encode()), max_size=20),
)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(printed | sizes, max_size=8), st.integers(1, 30), st.integers(1, 12))
def test_any_output_fills_the_pane_exactly_and_steers_nothing(frames, columns, height):
    pane = TerminalPane(5, 20)
    pane.take(frames)
    while pane.advance():
        pass
    rows, cursor = pane.draw(columns, height)
    assert [width_of(row) for row in rows] == [columns] * height
    assert cursor is None or (0 <= cursor[0] < height and 0 <= cursor[1] < columns)
    for row in rows:
        assert not re.search(rb"[\x00-\x1f\x7f]", re.sub(rb"\x1b\[[0-9;:]*m", b"", encoded(row)))


def test_a_flood_is_cut_to_a_screenful_across_skipped_output():
    """The supervisor ends the modes after output that it has skipped: that is no output that moves the cursor."""
    pane = TerminalPane(5, 20)
    lines = b"".join(b"line %d\r\n" % n for n in range(2000))
    for body in (lines, b"\x18\x1b(B\x0f\x1b[m\r\n", lines):
        pane.take([Frame(FrameKind.OUTPUT, body)])
    assert not pane.is_full
    assert not pane.advance(), "one frame emulates it all"
    rows, _ = pane.draw(20, 5)
    assert [plain(row) for row in rows] == ["line 1996", "line 1997", "line 1998", "line 1999", ""]


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


def shown_rows(pane, columns=40, height=4):
    return [plain(row).rstrip() for row in pane.draw(columns, height)]


def test_a_pane_that_has_not_all_lines_reports_that():
    pane = LinesPane([b"line %d" % n for n in range(500)], "orchestrate logs web")
    shown_rows(pane)
    pane.go_to_top()
    assert shown_rows(pane)[0] == "line 0"
    assert pane.find("nothing") == "no match for 'nothing'"
    pane.replace([b"line %d" % n for n in range(5000, 25000)], has_earlier=True)
    assert pane.find("line 3000") == "no match for 'line 3000' in the last 20,000 lines"
    assert pane.find("line 5000").startswith("match 1 of 1 ")
    assert pane.find_next(1) == "no older match for 'line 5000' in the last 20,000 lines"
    pane.go_to_top()
    assert shown_rows(pane)[:2] == ["-- earlier lines: orchestrate logs web -", "-"]
    assert shown_rows(pane, 60)[:2] == ["-- earlier lines: orchestrate logs web --", "line 5000"]
    assert pane.is_at_top
    pane.go_to_top()
    pane.scroll(-1)
    assert shown_rows(pane, 60)[0] == "line 5000"
    pane.replace([b"line"])
    assert shown_rows(pane) == ["line", "", "", ""]


def test_lines_that_a_pane_forgets_are_earlier_ones():
    pane = LinesPane([b"first"], "orchestrate logs web")
    pane.add([b"line %d" % n for n in range(20_000)])
    shown_rows(pane)
    pane.go_to_top()
    assert shown_rows(pane, 60)[:2] == ["-- earlier lines: orchestrate logs web --", "line 0"]


def test_the_top_of_a_pane_is_the_first_line_also_if_lines_are_wrapped():
    pane = LinesPane([b"%d" % n + b"x" * 50 for n in range(100)])
    shown_rows(pane)
    pane.go_to_top()
    assert pane.is_at_top
    assert shown_rows(pane)[0].startswith("0x")
    pane.scroll(-1)
    assert not pane.is_at_top
    pane.scroll(1)
    assert shown_rows(pane)[0].startswith("0x")


def test_a_line_that_is_higher_than_the_pane_is_scrolled_by_rows():
    long = [b"".join(b"%s%02d." % (name, n) for n in range(10)) for name in (b"x", b"y")]  # 10 rows of 4 columns
    pane = LinesPane([b"a", long[0], b"b", long[1]])
    every = {"a", "b", *(f"{name}{n:02}." for name in "xy" for n in range(10))}
    assert shown_rows(pane, 4, 3) == ["y07.", "y08.", "y09."]
    seen = {*shown_rows(pane, 4, 3)}
    while not pane.is_at_top:
        pane.scroll(1)
        seen.update(shown_rows(pane, 4, 3))
    assert seen == every
    assert shown_rows(pane, 4, 3)[0] == "a"
    seen = {*shown_rows(pane, 4, 3)}
    while "y09." not in seen:
        pane.scroll(-1)
        seen.update(shown_rows(pane, 4, 3))
    assert seen == every
    pane.page(1)
    assert shown_rows(pane, 4, 3) == ["y05.", "y06.", "y07."]
    pane.page(-1)
    assert shown_rows(pane, 4, 3) == ["y07.", "y08.", "y09."]
    pane.find("y04")
    assert "y04." in shown_rows(pane, 4, 3)
    pane.add([b"new"])
    assert "y04." in shown_rows(pane, 4, 3)


@pytest.mark.parametrize("height", [2, 3, 7])
def test_pages_leave_no_line_out(height):
    every = [b"".join(b"%02d%c" % (n, 97 + part) for part in range(1 + n * 7 % 12)) for n in range(60)]
    pane = LinesPane(every)
    texts = {line[at : at + 9].decode() for line in every for at in range(0, len(line), 9)}
    seen = {*shown_rows(pane, 9, height)}
    while not pane.is_at_top:
        pane.page(1)
        seen.update(shown_rows(pane, 9, height))
    assert texts == seen
    seen = {*shown_rows(pane, 9, height)}
    while shown_rows(pane, 9, height)[-1] != every[-1][-len(every[-1]) % 9 - 9 :].decode():
        pane.page(-1)
        seen.update(shown_rows(pane, 9, height))
    assert texts == seen


@pytest.mark.parametrize(
    ("text", "expected", "replays"),
    [
        (b"caf\xc3\xa9 \x1b[31mred\x1b[m\tx\r", "café red        x", 0),
        (b"10%\r20%", "20%", 1),
        (b"a\x1b[3Cb", "a   b", 1),
        (b"abc\bd", "abd", 1),
    ],
)
def test_only_lines_that_rewrite_themselves_are_replayed(tmp_path, text, expected, replays):
    (tmp_path / "web.log").write_bytes((b"2026-01-31T10:00:00.000000Z " + text + b"\n") * 3)
    with mock.patch.object(log_lines, "replay", side_effect=replay) as replayed:
        lines = LogLines(tmp_path, "web")
        assert [plain(runs_of(line)).rstrip() for line in lines.last(2)] == [expected] * 2
        assert replayed.call_count == 2 * replays
    assert lines.has_earlier
    lines.last(3)
    assert not lines.has_earlier
    lines.close()


def test_the_merged_stream_begins_with_the_start(tmp_path):
    (tmp_path / "old.log").write_bytes(b"2026-01-31T10:00:00.000000Z old\n2026-01-31T10:00:01.000000Z unfinished")
    (tmp_path / "web.log").write_bytes(b"2026-01-31T10:00:00.000000Z before\n2026-01-31T10:00:02.000000Z new\n")
    merged = LogLines(tmp_path, "", since=1769853602.0)
    assert [plain(runs_of(line)) for line in merged.last()] == ["web | new"]
    assert merged.unfinished == ()
    assert not merged.has_earlier
    merged.close()
    web = LogLines(tmp_path, "web")
    assert [plain(runs_of(line)) for line in web.last()] == ["before", "new"]
    web.close()


def test_of_many_logs_only_lines_that_a_pane_keeps_are_converted(tmp_path):
    names = [f"c{number}" for number in range(4)]
    for number, name in enumerate(names):
        line = b"2026-01-31T10:00:0%d.000000Z line\n" % number
        (tmp_path / f"{name}.log").write_bytes(line * (LINES_MAX // 2))
    merged = LogLines(tmp_path, "")
    with mock.patch.object(log_lines, "keep_colors", side_effect=lambda text: text) as converted:
        lines = merged.last(LINES_MAX)
    assert converted.call_count == len(lines) == LINES_MAX
    assert {plain(runs_of(line)).split()[0] for line in lines} == {"c2", "c3"}
    assert merged.has_earlier
    merged.last(10)
    assert merged.has_earlier
    merged.close()
    few = LogLines(tmp_path, "", names[1:])
    assert len(few.last(LINES_MAX)) == LINES_MAX // 2
    assert not few.has_earlier
    few.close()
