"""Two on one home: the second is refused before anything starts.

After a death the next one waits for what is still dying, and no longer.
"""

import os
import re
import signal
import time

import pytest
from harness import PATIENCE, Run, children, command_under_test, environment, pump, tree
from lateness import in_time

IN_USE = 75


def own_lines(run):
    """What is on stderr; our refusals stand there and nowhere else."""
    return [line for line in run.err.decode().splitlines() if line]


@pytest.fixture
def first(home):
    run = home.write(web=tree("plain")).up("--color", "never")
    run.wait_ready("web")
    yield run
    run.stop()


def test_a_second_start_is_refused_before_anything_starts(first, home, tmp_path, record_property):
    home.write(name="Second", web=f"touch {tmp_path}/started; {tree('plain')}")
    began = time.monotonic()
    second = home.up(file="Second")
    assert second.wait() == IN_USE, str(second)
    took = second.exited_at - began
    record_property("refused_after_seconds", took)
    print(f"refused after {took:.3f} s")
    in_time(took, 3)
    assert second.survivors(1) == []
    assert not (tmp_path / "started").exists()
    assert second.out == b""


def test_the_refusal_says_who_holds_the_home_since_when_and_how_to_end_it(first, home):
    second = home.up()
    assert second.wait() == IN_USE
    line, hint = own_lines(second)
    assert line.startswith("orchestrate: ")
    assert hint.startswith("hint: ")
    assert str(home.path) in line
    assert re.search(rf"\b{first.pid}\b", line), line  # the pid
    assert re.search(r"\d\d:\d\d", line), line  # since when
    assert f"up -f {home.path}/Procfile" in line  # the command line
    assert re.search(rf"kill( -\w+)? {first.pid}\b", hint), hint  # what to type


def test_the_home_and_not_the_procfile_is_what_is_locked(first, home, homes):
    elsewhere = homes("elsewhere").write(web=tree("plain"))
    other_home = elsewhere.up("--home", home.path)
    own_home = elsewhere.up("--color", "never")
    assert other_home.wait() == IN_USE, str(other_home)
    own_home.wait_ready("web")
    own_home.stop()


@pytest.mark.parametrize("way", ["bare", "-C"])
def test_every_way_of_starting_asks_for_the_lock(way, first, home):
    command = home.command()[:-3]  # less `up -f FILE`
    other = {"bare": [], "-C": ["-C", home.path, "up"]}[way]
    before = ["env", "-C", "/" if way == "-C" else home.path]
    second = Run([*before, *command, *other])
    assert second.wait() == IN_USE, str(second)


def test_after_a_stop_the_home_is_free(home):
    home.write(web=tree("plain"))
    for _ in range(3):
        run = home.up("--color", "never")
        run.wait_ready("web")
        assert "wait" not in run.messages
        run.stop()


def test_after_kill_9_the_next_start_waits_for_the_dying_trees_says_so_and_starts(home):
    home.write(deaf=tree("deaf"), web=tree("plain"))
    first = home.up("-t", 2, "--color", "never")
    first.wait_ready("deaf", "web")
    home.write(name="Next", again=tree("plain"))
    first.signal(signal.SIGKILL)
    second = home.up("--color", "never", file="Next")
    waiting_at = second.wait_for(r"wait.*deaf|deaf.*wait")
    assert first.vacant_at is None, "it was not yet gone when the next start said that it waits"
    ready_at = second.wait_for(r"^again +\| ready")
    assert first.survivors(1) == []
    assert waiting_at < first.vacant_at < ready_at
    in_time(ready_at - first.vacant_at, 2)  # it waits for exactly that, and no longer
    second.stop()


def test_an_interrupt_ends_the_wait(home):
    home.write(deaf=tree("deaf"))
    first = home.up("-t", 3, "--color", "never")
    first.wait_ready("deaf")
    first.signal(signal.SIGKILL)
    second = home.up("--color", "never")
    second.wait_for(r"wait.*deaf|deaf.*wait")
    second.signal(signal.SIGINT)
    assert second.wait() == -signal.SIGINT
    assert first.vacant_at is None
    assert first.survivors(6) == []


def test_two_that_wait_for_the_same_dying_tree_do_not_both_start(home):
    home.write(deaf=tree("deaf"))
    first = home.up("-t", 2, "--color", "never")
    first.wait_ready("deaf")
    home.write(name="Next", again=tree("plain"))
    first.signal(signal.SIGKILL)
    others = [home.up("--color", "never", file="Next") for _ in range(2)]
    assert pump(lambda: any("| ready" in run.text for run in others), PATIENCE), "\n".join(map(str, others))
    (winner,) = [run for run in others if "| ready" in run.text]
    (loser,) = [run for run in others if run is not winner]
    assert loser.wait() == IN_USE, str(loser)
    assert first.survivors(1) == []
    winner.stop()


@pytest.mark.parametrize("rounds", [3, pytest.param(10, marks=pytest.mark.exhaustive)])
def test_of_twenty_starts_at_one_instant_exactly_one_wins_every_time(rounds, home):
    home.write(web=tree("plain"))
    for number in range(rounds):
        hold_fd, go_fd = os.pipe()
        runs = [home.up("--color", "never", hold_fd=hold_fd) for _ in range(20)]
        os.close(hold_fd)
        os.close(go_fd)
        assert pump(lambda runs=runs: sum(run.returncode is not None for run in runs) >= 19, PATIENCE), "\n\n".join(
            map(str, runs)
        )
        winners = [run for run in runs if run.returncode is None]
        assert len(winners) == 1, "\n\n".join(map(str, runs))
        winners[0].wait_ready("web")
        for loser in runs:
            if loser is not winners[0]:
                assert (loser.wait(), len(own_lines(loser))) == (IN_USE, 2), f"round {number}: {loser}"
                assert loser.survivors(2) == []
        assert len(children(winners[0].pid)) >= 1
        winners[0].stop()


def test_a_lock_file_that_nobody_holds_does_not_hinder(home):
    home.write(web=tree("plain"))
    first = home.up("--color", "never")
    first.wait_ready("web")
    first.signal(signal.SIGKILL)
    assert first.survivors(5) == []
    assert home.lock.exists()
    second = home.up("--color", "never")
    second.wait_ready("web")
    second.stop()


def test_every_command_goes_to_the_directory_first(tmp_path):
    """`-C DIR --home HOME --log-dir LOGS`: what is relative counts from DIR, for the system and for who asks it."""
    (tmp_path / "sub" / "own").mkdir(parents=True)
    (tmp_path / "sub" / "Procfile").write_text("web: echo hello; exec sleep 1000\n")
    there = ["-C", "sub", "--home", "own"]

    def command(*words):
        return Run([*command_under_test(), *words], cwd=tmp_path)

    run = command("up", *there, "--log-dir", "lines")
    run.wait_for("hello")
    assert (tmp_path / "sub" / "own" / ".orchestrate" / "lock").exists()
    for words, answer in (
        (["status"], "running: Procfile"),
        (["logs", "--log-dir", "lines", "web"], "hello"),
        (["attach"], "hello"),
        (["down"], ""),
    ):
        asked = command(words[0], *there, *words[1:])
        asked.wait_for(answer)
        if words == ["attach"]:
            asked.signal(signal.SIGINT)
        assert asked.wait() in (0, -signal.SIGINT), str(asked)
    assert run.wait() == 0


def test_every_command_knows_the_file_that_the_environment_names(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "Procfile").write_text("web: echo hello; exec sleep 1000\n")

    def command(*words):
        return Run([*command_under_test(), *words], cwd=tmp_path, env=environment(ORCHESTRATE_FILE="sub/Procfile"))

    run = command("up")
    run.wait_for("hello")
    for words in (["status"], ["logs", "web"], ["down"]):
        asked = command(*words)
        assert asked.wait() == 0, str(asked)
    assert run.wait() == 0
