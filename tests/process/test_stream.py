"""What comes out when stdout is a pipe: every byte that matters, in whole lines, under the right name.

And what a component finds around it.
"""

import fcntl
import os
import re
import signal
from pathlib import Path

import pytest
from facts import LIBC_SIGNALS, PATIENCE
from harness import environment, plain, pump, tree, until, voice
from lateness import in_time

LINE = re.compile(rb"^([\w.-]+) *\| ?(.*)$")


def lines_of(run, name, sink="out"):
    """The lines of one component, as bytes, without the prefix."""
    found = []
    for line in bytes(getattr(run, sink)).split(b"\n"):
        match = LINE.match(line.rstrip(b"\r"))
        if match and match.group(1) == name.encode():
            found.append(match.group(2))
    return found


def test_every_line_has_a_prefix_as_wide_as_the_longest_name(home):
    home.write(a="seq 3; cat", a_much_longer_name="seq 3; cat")
    run = home.up()
    run.wait_for(r"^a +\| 3$")
    run.wait_for(r"^a-much-longer-name \| 3$")
    run.stop()
    lines = run.text.splitlines()
    assert lines
    for line in lines:
        assert re.match(r"(a|a-much-longer-name|orchestrate)\b", line), run.text
        assert line.index(" | ") == len("a-much-longer-name"), run.text


def test_our_own_name_counts_for_the_width(home):
    run = home.write(a="echo hello").up()
    run.wait()
    assert "a           | hello" in run.text.splitlines()


def test_indentation_and_empty_lines_are_kept(home):
    run = home.write(web=voice("indented")).up()
    run.wait_for(r"^web +\|   end")
    run.stop()
    assert [line.rstrip(b" ") for line in lines_of(run, "web")][:5] == [
        b"def f():",
        b"    if x:",
        b"\treturn 1",
        b"",
        b"  end",
    ]


def test_a_burst_just_before_the_exit_is_shown_to_its_last_line_in_order(home):
    run = home.write(web=voice("burst"), other=tree("plain")).up()
    assert run.wait() == 1, run.text[-500:]
    assert lines_of(run, "web") == [b"line %d" % number for number in range(20_000)]


def test_bursts_of_several_components_are_not_mixed(home):
    names = [f"c{number}" for number in range(5)]
    home.write(**{name: voice("interleaved", name) for name in names})
    run = home.up()
    run.wait_ready(*names)
    run.stop()
    for name in names:
        assert lines_of(run, name)[:300] == [
            b"<%s %d %s>" % (name.encode(), number, name.encode()) for number in range(300)
        ]


def test_a_partial_line_at_the_exit_is_shown(home):
    run = home.write(web=voice("partial"), other=tree("plain")).up()
    run.wait()
    assert lines_of(run, "web") == [b"a whole line", b"no line end"]
    assert run.out.endswith(b"\n")


def test_last_words_in_a_term_handler_are_shown(home):
    run = home.write(web=voice("lastwords")).up()
    run.wait_ready("web")
    run.stop()
    assert lines_of(run, "web") == [b"ready", *(b"goodbye %d" % number for number in range(50)), b"the end"]


def test_invalid_bytes_and_nuls_go_through_and_no_control_sequence_does(home):
    run = home.write(web=voice("binary")).up()
    run.wait_for(r"^web +\| still here")
    run.stop()
    shown = lines_of(run, "web")
    assert shown[0] == b"latin \xe9\xff\xfe line"
    assert shown[1].startswith(b"nul ")
    assert shown[1].endswith(b" line")
    assert shown[2:4] == [b"escape ", b" line"], "a motion to another row ends the line"
    assert b"\x1b" not in run.out


def test_a_line_of_ten_megabytes_kills_nobody(home):
    run = home.write(web="head -c 10000000 /dev/zero | tr '\\0' x; echo; echo after; cat", other=tree("plain")).up()
    assert pump(lambda: b"| after" in run.out[-200:], PATIENCE)
    run.stop()
    assert run.out.count(b"x") >= 1_000_000


def test_no_escape_goes_into_a_pipe(home):
    run = home.write(web=voice("colored")).up()
    run.wait_ready("web")
    run.stop()
    assert b"\x1b" not in run.out + run.err
    assert lines_of(run, "web")[0] == b"red and green"


@pytest.mark.parametrize(
    ("options", "variables", "colored"),
    [
        (["--color", "always"], {}, True),
        ([], {"FORCE_COLOR": "1"}, True),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
        (["--color", "auto"], {}, False),
    ],
)
def test_colors_into_a_pipe_are_as_asked_for(options, variables, colored, home):
    run = home.write(web=voice("colored"), api=tree("plain")).up(*options, env=environment(**variables))
    run.wait_for(r"web +\| ready")
    run.wait_for(r"api +\| ready")
    run.stop()
    prefixes = {
        name: re.search(rb"^((?:\x1b\[[0-9;]*m)+)%s" % name, run.out, re.MULTILINE) for name in (b"web", b"api")
    }
    if colored:
        assert b"\x1b[31mred" in run.out
        assert re.search(rb"\x1b\[1;38;5;42mgreen", run.out)
        assert all(prefixes.values()), bytes(run.out)
        assert prefixes[b"web"].group(1) != prefixes[b"api"].group(1)
    else:
        assert b"\x1b" not in run.out


# What a component finds.


SURROUNDED = {"COLUMNS": "33", "LINES": "7", "NOTIFY_SOCKET": "/run/x", "ORCHESTRATE_COLOR": "never", "MINE": "kept"}


def found_by(run):
    run.wait_ready("web")
    run.stop()
    return [line.decode() for line in lines_of(run, "web")]


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "no terminal"])
def test_a_component_has_a_terminal_of_its_own_on_0_1_and_2(terminal, home):
    found = found_by(home.write(web=voice("surroundings")).up("--color", "never", terminal=terminal))
    assert "terminals [True, True, True]" in found
    assert "leader False foreground True" in found, "another process leads the session (process/session.py)"


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "no terminal"])
def test_a_component_inherits_no_fd_beyond_2(terminal, home):
    before = ["sh", "-c", 'exec 7</dev/null 9>/dev/null; exec "$@"', "sh"]
    found = found_by(
        home.write(web=voice("surroundings"), other=tree("plain")).up(
            "--color", "never", terminal=terminal, before=before
        )
    )
    assert "fds [0, 1, 2]" in found


def test_a_guardian_holds_nothing_of_its_siblings_or_of_the_supervisor(home):
    names = [f"c{number}" for number in range(6)]
    home.write(**{name: tree("plain") for name in names})
    run = home.up("--color", "never", before=["sh", "-c", 'exec 9</dev/zero; exec "$@"', "sh"])
    run.wait_ready(*names)
    fds = [[os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()] for pid, _ in run.guardians()]
    assert len(fds) == len(names)
    assert len(set(map(len, fds))) == 1, fds
    for held in fds:
        assert held.count("/dev/null") == 3
        assert "/dev/zero" not in held
    run.stop()


@pytest.mark.parametrize(
    "ignored", ["", "trap '' INT QUIT PIPE XFSZ USR1; "], ids=["plain start", "started with ignored signals"]
)
def test_a_components_signals_are_at_default(ignored, home):
    found = found_by(
        home.write(web=voice("surroundings")).up("--color", "never", before=["sh", "-c", ignored + 'exec "$@"', "sh"])
    )
    assert [line for line in found if line.startswith("SigBlk")] == ["SigBlk:\t" + "0" * 16]
    # Python, which the program is, ignores SIGPIPE and SIGXFSZ by itself.
    theirs = (1 << signal.SIGPIPE - 1) | (1 << signal.SIGXFSZ - 1)
    (line,) = [line for line in found if line.startswith("SigIgn")]
    assert int(line.split()[1], 16) & ~theirs & ~LIBC_SIGNALS == 0


def test_a_c_program_finds_not_one_signal_ignored(home):
    home.write(web="exec grep -E '^Sig(Blk|Ign)' /proc/self/status", other=tree("plain"))
    run = home.up(before=["sh", "-c", "trap '' INT QUIT PIPE XFSZ USR1; exec \"$@\"", "sh"])
    run.wait()
    assert [int(line.split()[1], 16) & ~LIBC_SIGNALS for line in lines_of(run, "web")] == [0, 0]


def test_the_environment_is_passed_on_less_what_would_lie(home):
    found = found_by(home.write(web=voice("surroundings")).up("--color", "never", env=environment(**SURROUNDED)))
    variables = dict(line[4:].split("=", 1) for line in found if line.startswith("env "))
    assert variables["MINE"] == "kept"
    assert variables["TERM"]
    assert not {"COLUMNS", "LINES", "NOTIFY_SOCKET", "ORCHESTRATE_COLOR"} & set(variables)


@pytest.mark.parametrize("term", [None, "dumb", ""])
def test_a_component_gets_a_usable_term_without_a_terminal(term, home):
    found = found_by(home.write(web=voice("surroundings")).up("--color", "never", env=environment(TERM=term)))
    assert "env TERM=xterm-256color" in found


def test_the_window_without_a_terminal_is_120_by_40(home):
    run = home.write(web=voice("size")).up()
    run.wait_for(r"^web +\| size \d+x40")
    run.stop()
    assert lines_of(run, "web") == [b"size 120x40"]


def test_a_killed_supervisors_reader_sees_the_end_while_the_trees_are_still_dying(home):
    """No guardian holds the supervisor's stdout: `orchestrate | tee` ends."""
    run = home.write(deaf=tree("deaf")).up("-t", 2)
    run.wait_ready("deaf")
    run.signal(signal.SIGKILL)
    assert pump(lambda: run.at_end(run.out_fd), PATIENCE)
    assert run.vacant_at is None
    assert run.survivors(5) == []


def test_a_reader_that_goes_away_stops_the_system(home):
    """As `orchestrate | head -1` does; there is nobody left to tell."""
    run = home.write(web="echo ready; while :; do echo more; sleep 0.05; done", daemon=tree("daemon")).up()
    run.wait_for(r"^web +\| ready")
    run.close_fd(run.out_fd)
    run.wait()
    assert run.survivors(3) == []
    assert "Traceback" not in run.err.decode()


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_a_reader_that_looks_away_delays_no_stop(terminal, home):
    """^S, tmux copy mode, a stalled ssh; or a slow reader of a pipe."""
    flood = f"until [ -e {home.path}/go ]; do sleep 0.05; done; exec yes"
    run = home.write(flood=flood, web=tree("plain"), daemon=tree("daemon")).up("--color", "never", terminal=terminal)
    run.wait_ready("web", "daemon")
    run.look_away(run.out_fd)
    (home.path / "go").touch()
    run.wait_stalled(run.out_fd)
    since = run.signal(signal.SIGTERM)
    assert run.wait() == -signal.SIGTERM, str(run)
    assert run.survivors(3) == []
    in_time(run.exited_at - since, 3)


def test_a_stalled_terminal_stalls_no_component(home):
    marker = home.path / "written"
    home.write(flood=f"head -c 3000000 /dev/zero | tr '\\0' x | fold; touch {marker}; cat")
    run = home.up("--color", "never", terminal=True)
    run.wait_for("^flood")
    run.look_away(run.out_fd)
    assert until(marker.exists), "the component waits for the terminal"
    run.stop()


@pytest.fixture
def unread(home):
    """A system that has ended by itself, while nobody reads the pipe to which it wrote 20,000 lines."""
    run = home.write(web=voice("burst"), other=tree("plain")).up()
    run.wait_for(r"^web +\| line 0$")
    run.look_away(run.out_fd)
    run.wait_stalled(run.out_fd)
    assert until(lambda: lock_is_free(home), 2 * PATIENCE), run
    return run


def lock_is_free(home):
    with open(home.lock, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_slow_reader_of_a_pipe_gets_every_line_after_the_end_too(home, unread):
    assert unread.returncode is None, unread
    unread.look_back(unread.out_fd)
    assert unread.wait() == 1
    assert lines_of(unread, "web") == [b"line %d" % number for number in range(20_000)]
    assert unread.text.endswith("orchestrate | Complete\n")


def test_a_signal_ends_the_wait_for_a_reader_and_what_is_lost_is_reported(home, unread):
    unread.signal(signal.SIGTERM)
    assert unread.wait() == 1
    lost = re.search(
        r"^orchestrate: standard output is not read: ([\d,]+) bytes did not reach it; (\S+) has them$",
        plain(unread.err),
        re.M,
    )
    assert int(lost[1].replace(",", "")) > 100_000
    assert Path(lost[2], "web.log").exists()


def test_a_requested_stop_waits_for_a_reader_but_briefly(home):
    run = home.write(web="seq 100000; sleep 1000").up()
    run.wait_for(r"^web +\| 1$")
    run.look_away(run.out_fd)
    run.wait_stalled(run.out_fd)
    run.signal(signal.SIGTERM)
    assert run.wait() == -signal.SIGTERM
    assert "standard output is not read" in plain(run.err)


def test_nohup_keeps_the_system_through_a_hang_up(home):
    run = home.write(web=tree("plain")).up("--color", "never", before=["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"])
    run.wait_ready("web")
    run.signal(signal.SIGHUP)
    second = home.up()
    assert second.wait() == 75
    assert run.returncode is None
    run.stop()
    assert os.path.exists(home.lock)
