"""`orchestrate logs`: with and without a running instance, merged by time, over rotation and restarts."""

import json
import re
import signal
from datetime import datetime, timedelta, timezone

import pytest
from harness import Run, command_under_test, environment, until


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
def test_each_instance_has_a_colour_of_its_own_and_our_messages_are_bold(home, directory):
    write(directory / "orchestrate.log", (at(1), "web.1 stopped"))
    run = logs(home, env=environment(FORCE_COLOR="1"))
    run.wait()
    prefixes = dict(re.findall(rb"^(\x1b\[[0-9;]*m)([a-z.0-9]+) *\| ", run.out, re.MULTILINE))
    assert prefixes.pop(b"\x1b[1m") == b"orchestrate"
    assert sorted(prefixes.values()) == [b"api", b"web.1", b"web.2"]


@pytest.mark.usefixtures("three")
def test_colours_are_as_asked_for(home):
    coloured = logs(home, "api", env=environment(FORCE_COLOR="1"))
    coloured.wait()
    assert b"\x1b[31mapi\x1b[m 3" in coloured.out
    plain = logs(home, "api", "--no-color", env=environment(FORCE_COLOR="1"))
    plain.wait()
    assert b"\x1b" not in plain.out


@pytest.mark.usefixtures("three")
def test_timestamps(home):
    lines = printed(home, "-T", "-n", "2")
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (web\.1|api  ) \| ", line) for line in lines), lines


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--since", "soon"], "'soon' is no time"),
        (["--grep", "("], "'(' is no regular expression"),
        (["nobody"], "unable to find a log of 'nobody': there are: api, web.1, web.2"),
        (["-n", "x"], "invalid number of lines 'x'"),
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
    assert run.err.decode().startswith("orchestrate: unable to read logs: there is no ")


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
    assert full.err.decode() == "orchestrate: unable to print logs: No space left on device\n"


def test_our_own_messages_are_in_a_log_of_their_own(home):
    run = home.write(web="echo one; exit 3").up()
    assert run.wait() == 3
    assert until(lambda: printed(home, "orchestrate"))
    assert any(re.fullmatch(r"orchestrate \| web exited with status 3 after [\d.]+ s", line) for line in printed(home))
