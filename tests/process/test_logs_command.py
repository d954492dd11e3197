"""`orchestrate logs`: with and without a running instance, merged by time, over rotation and restarts."""

import json
import re
import signal
from datetime import datetime, timedelta, timezone

import pytest
from harness import Run, command_under_test, environment, until

from orchestrator.output import run_starts


def at(seconds):
    """A timestamp so many seconds ago."""
    return (datetime.now(timezone.utc) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.fixture
def directory(home):
    place = home.path / ".orchestrate" / "logs"
    place.mkdir(parents=True, mode=0o700)
    return place


def logs(home, *options, **run):
    return Run([*command_under_test(), "logs", "--home", home.path, *options], **run)


def printed(home, *options, status=0, **run):
    one = logs(home, *options, **run)
    assert one.wait() == status, str(one)
    return one.text.splitlines()


def write(path, *lines):
    path.write_text("".join(f"{stamp} {text}\n" for stamp, text in lines))


@pytest.fixture
def three(directory):
    """Three instances, the lines of which alternate in time; web in three files."""
    write(directory / "web.1.log.2", (at(600), "web 1"), (at(500), "web 2"))
    write(directory / "web.1.log.1", (at(400), "web 3"))
    write(directory / "web.1.log", (at(300), "web 4"), (at(10), "web 5"))
    write(directory / "web.2.log", (at(350), "second"))
    write(directory / "api.log", (at(550), "api 1"), (at(450), "api 2"), (at(5), "\x1b[31mapi\x1b[m 3"))


ALL = [
    "web.1 | web 1",
    "api   | api 1",
    "web.1 | web 2",
    "api   | api 2",
    "web.1 | web 3",
    "web.2 | second",
    "web.1 | web 4",
    "web.1 | web 5",
    "api   | api 3",
]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ([], ALL),
        (["web.1"], [line for line in ALL if "web.1" in line]),
        (["web"], [line for line in ALL if "web" in line]),
        (["web*", "api"], ALL),
        (["-n", "3"], ALL[-3:]),
        (["-n", "0"], []),
        (["-n", "100"], ALL),
        (["-n", "1", "web.1"], ["web.1 | web 5"]),
        (["--since", "7m"], ALL[4:]),
        (["--since", "20"], ALL[-2:]),
        (["--until", "7m"], ALL[:4]),
        (["--since", "8m", "--until", "320s"], ALL[3:6]),
        (["--grep", "api [23]"], ["api   | api 2", "api   | api 3"]),
        (["--grep", "^web", "-n", "2"], ["web.1 | web 4", "web.1 | web 5"]),
        (["--since", "1m", "-n", "1"], ["api   | api 3"]),
        (["--since", (datetime.now() - timedelta(days=1)).isoformat()], ALL),
    ],
)
def test_what_is_asked_for_is_printed(options, lines, home):
    found = printed(home, *options)
    width = max(map(len, (line.split(" |")[0].rstrip() for line in lines)), default=0)
    if len({line.split()[0] for line in found}) == 1 or "web" in options:
        assert [re.sub(r" +\|", " |", line) for line in found] == [re.sub(r" +\|", " |", line) for line in lines], width
    else:
        assert found == lines


@pytest.mark.usefixtures("three")
def test_as_json_it_is_what_the_live_stream_gives(home):
    entries = [json.loads(line) for line in printed(home, "--json", "web")]
    assert [(e["component"], e["instance"], e["text"]) for e in entries][-2:] == [
        ("web", "web.1", "web 4"),
        ("web", "web.1", "web 5"),
    ]
    assert all(datetime.fromisoformat(e["time"].replace("Z", "+00:00")) for e in entries)
    assert [list(e) for e in entries] == [["time", "component", "instance", "text"]] * 6


@pytest.mark.usefixtures("three")
def test_each_instance_has_a_color_of_its_own_and_our_messages_are_bold(home, directory):
    write(directory / "orchestrate.log", (at(1), "web.1 stopped"))
    run = logs(home, env=environment(FORCE_COLOR="1"))
    run.wait()
    prefixes = dict(re.findall(rb"^(\x1b\[[0-9;]*m)([a-z.0-9]+) *\| ", run.out, re.MULTILINE))
    assert prefixes.pop(b"\x1b[1m") == b"orchestrate"
    assert sorted(prefixes.values()) == [b"api", b"web.1", b"web.2"]


@pytest.mark.usefixtures("three")
def test_colors_are_as_asked_for(home):
    colored = logs(home, "api", env=environment(FORCE_COLOR="1"))
    colored.wait()
    assert b"\x1b[31mapi\x1b[m 3" in colored.out
    plain = logs(home, "api", "--no-color", env=environment(FORCE_COLOR="1"))
    plain.wait()
    assert b"\x1b" not in plain.out


@pytest.mark.usefixtures("three")
def test_timestamps(home):
    clock = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"
    for option in ("-t", "-T", "--timestamps"):
        found = printed(home, option, "-n", "2", env=environment(TZ="Asia/Kolkata"))
        assert all(re.match(clock + r"\+05:30 (web\.1|api  ) \| ", line) for line in found), found
        utc = printed(home, option, "--utc", "-n", "2", env=environment(TZ="Asia/Kolkata"))
        assert all(re.match(clock + r"Z (web\.1|api  ) \| ", line) for line in utc), utc
        times = [
            [datetime.fromisoformat(line.split()[0].replace("Z", "+00:00")) for line in each] for each in (found, utc)
        ]
        assert times[0] == times[1]


@pytest.mark.usefixtures("three")
def test_words_of_other_tools(home):
    assert printed(home, "--tail", "3") == ALL[-3:]
    assert printed(home, "--no-prefix", "-n", "2") == ["web 5", "api 3"]
    run = logs(home, "--color", "always", "api")
    assert run.wait() == 0
    assert b"\x1b[31mapi\x1b[m 3" in run.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--since", "soon"], "'soon' is not a time"),
        (["--grep", "("], "'(' is not a valid regular expression"),
        (["nobody"], "cannot find a log of 'nobody': there are: api, web.1, web.2"),
        (["-n", "x"], "invalid --lines 'x'"),
    ],
)
@pytest.mark.usefixtures("three")
def test_what_is_wrong_is_said(options, message, home):
    run = logs(home, *options)
    assert run.wait() in (1, 2)
    assert message.split(": ")[0] in run.err.decode().splitlines()[0]
    assert "Traceback" not in run.messages


def test_without_logs_it_says_so(home):
    run = logs(home)
    assert run.wait() == 1
    assert run.err.decode().startswith("orchestrate: cannot read logs: no such directory: ")


def test_progress_bars_and_odd_bytes_are_one_line_each(home, directory):
    (directory / "web.log").write_bytes(
        f"{at(5)} ".encode() + b"10%\r20%\r100%\x0c\x1c\n" + f"{at(4)} ".encode() + b"caf\xe9\xc2\x85\n" + b"no stamp\n"
    )
    for options in ([], ["-n", "3"]):
        run = logs(home, *options)
        run.wait()
        assert bytes(run.out).split(b"\n")[:3] == [b"web | 100%", b"web | caf\xe9\xc2\x85", b"web | no stamp"]


def test_an_unfinished_last_line_is_printed(home, directory):
    (directory / "web.log").write_text(f"{at(5)} one\n{at(4)} prompt> ")
    assert printed(home) == ["web | one", "web | prompt> "]
    assert printed(home, "-n", "1") == ["web | prompt> "]


def test_a_line_that_goes_on_in_the_next_file_is_one_line(home, directory):
    (directory / "web.log.1").write_text(f"{at(5)} one\n{at(4)} two, ")
    (directory / "web.log").write_text(f"and its end\n{at(3)} three\n")
    for options in ([], ["-n", "3"]):
        assert printed(home, *options) == ["web | one", "web | two, and its end", "web | three"]


def test_a_huge_line_is_printed_in_pieces(home, directory):
    (directory / "web.log").write_text(f"{at(5)} {'x' * 5_000_000}\n{at(4)} after\n")
    lines = printed(home)
    assert len(lines) == 4
    assert sum(line.count("x") for line in lines) == 5_000_000
    assert lines[-1] == "web | after"


def test_a_closed_reader_ends_it(home, directory):
    write(directory / "web.log", *((at(1), f"line {number}") for number in range(100_000)))
    words = " ".join(map(str, command_under_test()))
    run = Run(["bash", "-c", f"{words} logs --home {home.path} | head -1; echo ${{PIPESTATUS[0]}}"])
    run.wait()
    assert run.text.splitlines() == ["web | line 0", str(128 + signal.SIGPIPE)]
    full = Run(["bash", "-c", f"{words} logs --home {home.path} > /dev/full"])
    assert full.wait() == 1
    assert full.err.decode() == "orchestrate: cannot write to standard output: No space left on device\n"


def test_our_own_messages_are_in_a_log_of_their_own(home):
    run = home.write(web="echo one; exit 3").up()
    assert run.wait() == 3
    assert until(lambda: printed(home, "orchestrate"))
    assert any(re.fullmatch(r"orchestrate \| web exited with status 3 after [\d.]+ s", line) for line in printed(home))


def test_colors_go_by_the_definition_in_up_and_logs_and_stay(home):
    """Also if not all are started, and with those that come later."""
    (home.path / "orchestrate.toml").write_text(
        "".join(f"[components.{name}]\ncommand = 'echo x; exec sleep 1000'\n{more}" for name, more in COLORED)
    )
    words = ["up", "--color", "always", "-f", home.path / "orchestrate.toml"]
    seen = []
    for names in ((), ("four", "two")):
        run = Run([*command_under_test(), *words, *names], env=environment(TERM="xterm-256color"))
        for name in names or ("one", "two", "three", "four"):
            run.wait_for(rf"^{name} +\| x$")
        if names:
            scale = Run([*command_under_test(), "scale", "four=2"], cwd=home.path)
            assert scale.wait() == 0, str(scale)
            run.wait_for(r"^four\.2 +\| x$")
        reader = logs(home, "--color", "always", env=environment(TERM="xterm-256color"))
        assert reader.wait() == 0
        run.stop()
        for out in (run.out, reader.out):
            seen.append(dict(re.findall(rb"^(?:\x1b\[K|\r)*(\x1b\[[0-9;]*m)([\w.]+) +\| \x1b\[mx", out, re.MULTILINE)))
            seen[-1] = {name: color for color, name in seen[-1].items()}
    assert set(seen[0]) == {b"one", b"two", b"three", b"four"}
    assert seen[0][b"three"] == b"\x1b[31m"
    assert seen[1] == seen[0]
    for found in seen[2:]:
        assert {b"two", b"four", b"four.2"} <= set(found)
        assert all(seen[0].get(name, color) == color for name, color in found.items()), seen
    assert seen[2][b"four.2"] == seen[3][b"four.2"] not in seen[0].values()


COLORED = (("one", ""), ("two", ""), ("three", "color = 'red'\n"), ("four", ""))


def test_standard_error_is_marked_everywhere(home):
    text = "[components.web]\ncommand = 'echo out; echo err >&2; exec sleep 1000'\ntty = false\n"
    (home.path / "orchestrate.toml").write_text(text)
    for options in ([], ["--json"]):
        run = home.up(*options, file="orchestrate.toml")
        assert until(lambda run=run: b"out" in run.out and b"err" in run.out)
        run.stop()
        shown = [line for line in run.text.splitlines() if re.search(r"(out|err)\"?\}?$", line)]
        printed_too = printed(home, "-n", "2", *options, "web")
        for lines in (shown, printed_too):
            if options:
                entries = {entry["text"]: entry for entry in map(json.loads, lines)}
                assert entries["err"]["stream"] == "stderr"
                assert "stream" not in entries["out"]
            else:
                assert {re.sub(" +", " ", line) for line in lines} == {"web | out", "web ! err"}
    log = (home.path / ".orchestrate/logs/web.log").read_text()
    assert re.search(r"^\S+Z out$", log, re.MULTILINE)
    assert re.search(r"^\S+Z! err$", log, re.MULTILINE)


def test_the_run_before_the_current_one(home, directory):
    write(directory / "web.log", (at(900), "zero"), (at(700), "one"), (at(600), "and more"), (at(400), "two"))
    write(directory / "api.log", (at(600), "api"))
    for instance, times in (("web", (800, 500, 300)), ("api", (800,))):
        (directory / f"{instance}.runs").write_text("".join(f"{at(seconds)}\n" for seconds in times))
    assert printed(home, "--previous") == ["web | two"]
    assert printed(home, "--previous", "-n", "5") == ["web | two"]
    (directory / "web.runs").write_text(f"{at(800)}\n{at(500)}\n")
    assert printed(home, "--previous", "web") == ["web | one", "web | and more"]
    assert printed(home, "--previous", "-n", "1", "web") == ["web | and more"]
    refused = logs(home, "--previous", "api")
    assert refused.wait() == 1
    assert refused.err.decode() == "orchestrate: cannot print the previous run of api: there was only one run\n"
    refused = logs(home, "--previous", "-f")
    assert refused.wait() == 2


@pytest.mark.parametrize(
    ("begun", "lines"),
    [
        ((100, 800, 500), ["two"]),
        ((100, 800), ["one", "more"]),
        ((100, 800, 500, 450), []),  # the third printed nothing
        ((900, 100, 800, 500), ["two"]),
    ],
)
def test_the_run_before_the_current_one_though_the_clock_was_set_back(home, directory, begun, lines):
    write(directory / "web.log", (at(90), "one"), (at(80), "more"), (at(700), "two"), (at(400), "three"))
    (directory / "web.runs").write_text("".join(f"{at(seconds)}\n" for seconds in begun))
    assert printed(home, "--previous") == [f"web | {line}" for line in lines]
    assert printed(home, "--previous", "--grep", "^[a-z]") == [f"web | {line}" for line in lines]
    assert printed(home, "--previous", "-n", "1") == [f"web | {line}" for line in lines[-1:]]


def test_runs_are_kept_and_bounded(tmp_path):
    for _ in range(400):
        run_starts.begin(tmp_path, "web")
    found = run_starts.starts(tmp_path, "web")
    assert found == sorted(set(found))
    assert 50 <= len(found) < 400
    (tmp_path / "web.runs").write_bytes(b"nonsense\n" + found[-1] + b"\n")
    assert run_starts.starts(tmp_path, "web") == [found[-1]]
    assert (tmp_path / "web.runs").stat().st_mode & 0o777 == 0o600
    assert run_starts.starts(tmp_path, "api") == []
    run_starts.begin(tmp_path / "nowhere", "web")


def test_a_restart_begins_a_run(home):
    run = home.write(web="echo $$; exec sleep 1000").up()
    run.wait_for(r"^web +\| \d+$")
    first = re.search(r"^web +\| (\d+)", run.text, re.MULTILINE).group(1)
    again = Run([*command_under_test(), "restart", "--home", home.path, "web"])
    assert again.wait() == 0
    assert until(lambda: len(set(re.findall(r"^web +\| (\d+)", run.text, re.MULTILINE))) == 2)
    assert printed(home, "--previous", "web") == [f"web | {first}"]
    run.stop()


def test_what_is_positioned_is_shown_as_in_the_stream(home, directory):
    texts = [
        "row 1\x1b[?1049hvalue",
        "\x1b[2;1Hvalue\x1b[?1049lafter",
        "",
        "",
        "\x1b[H\x1b[Jtop\x1b[5;1Hdown",
        "\x1b(0lqk\x1b(B",
    ]
    (directory / "web.log").write_text("".join(f"{at(9)} {text}\n" for text in texts))
    expected = [f"web | {text}" for text in ("row 1after", "top", "down", "┌─┐")]
    assert printed(home) == expected
    assert printed(home, "-n", "3") == expected[-3:]
    texts = [json.loads(line)["text"] for line in printed(home, "--json")]
    assert texts == ["row 1after", "top", "down", "┌─┐"]


def test_the_last_matches_may_be_far_back(home, directory):
    stamp = at(300)
    write(directory / "web.log.1", *((stamp, f"line {n}") for n in range(20_000)))
    write(directory / "web.log", *((stamp, f"line {n}") for n in range(20_000, 40_000)))
    with (directory / "web.log").open("a") as log:
        log.write(f"{stamp} line 5 unfinished")
    assert printed(home, "--grep", "line [57]( |$)") == ["web | line 5", "web | line 7", "web | line 5 unfinished"]
    assert printed(home, "-n", "2", "--grep", "line [57]( |$)") == ["web | line 7", "web | line 5 unfinished"]
    assert printed(home, "-n", "1", "--grep", "line 7$", "web") == ["web | line 7"]
