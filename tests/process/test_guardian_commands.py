"""What a guardian runs beside its component: exec probes; and stops by keys and by command."""

import os
import signal

import pytest
from test_guardian import GENTLE, STAY, guard  # noqa: F401 - the fixture

from orchestrator.model.messages import Answer, Execute, Kill, LeaderExited, Remark, Stop, Vacated
from orchestrator.model.spec import StopPlan, StopStep
from orchestrator.process import procfs, tree

HUP_SAYS = "trap 'echo hup; exit 3' HUP; echo ready; while :; do sleep 0.01; done"


def sh(line, key=1, timeout=30.0):
    return Execute(("web", key), ("/bin/sh", "-c", line), timeout)


@pytest.mark.parametrize(
    ("line", "holds", "text"),
    [
        ("echo fine", True, "fine"),
        ("echo one; echo two >&2; echo; exit 3", False, "two"),
        ("exit 3", False, "exited with status 3"),
        ("kill -TERM $$", False, "killed by SIGTERM"),
        ("true", True, "exited with status 0"),
        ("pwd", True, "{tmp}"),
        ("echo $NAME; tty", False, "not a tty"),
        ("printf '\\377\\n'", True, "\ufffd"),
        ("yes | head -c 300000", True, "y"),
        ("printf %01000d 7", True, "0" * 200),
        ("(sleep 60 & ) ; echo left one", True, "left one"),
    ],
)
def test_what_a_command_came_to(guard, tmp_path, line, holds, text):  # noqa: F811
    guarded = guard(STAY, NAME="web").started(b"ready")
    guarded.channel.send(sh(line))
    assert guarded.next() == Answer(("web", 1), holds, text.format(tmp=tmp_path))


def test_a_command_that_cannot_be_run(guard):  # noqa: F811
    guarded = guard(STAY).started()
    guarded.channel.send(Execute(("web", 7), ("/nothere/tool",), 1.0))
    assert guarded.next() == Answer(("web", 7), False, "no such file or directory: /nothere/tool")


def test_one_that_takes_too_long_is_killed_and_told_once(guard):  # noqa: F811
    guarded = guard(STAY).started(b"ready")
    guarded.channel.send(sh("sleep 60.125; echo never", key=1, timeout=0.1))
    assert guarded.next() == Answer(("web", 1), False, "took longer than 0.1 s")
    guarded.channel.send(sh("echo next", key=2))
    assert guarded.next() == Answer(("web", 2), True, "next")
    left = [m.pid for m in tree.descendants(guarded.pid) if not procfs.is_zombie(m.pid)]
    assert not [pid for pid in left if "60.125" in procfs.describe(pid)]


def test_nothing_of_it_outlives_the_component(guard):  # noqa: F811
    guarded = guard(STAY).started(b"ready")
    guarded.channel.send(sh("setsid sleep 60.25 & setsid sleep 60.25 & wait"))
    guarded.channel.send(sh("echo both", key=2))
    assert guarded.next() == Answer(("web", 2), True, "both")
    guarded.channel.send(Kill())
    said = guarded.rest()
    assert said[-2:] == [Vacated(), "end"]


def test_many_at_once_are_each_answered(guard):  # noqa: F811
    guarded = guard(STAY).started(b"ready")
    for key in range(20):
        guarded.channel.send(sh(f"echo {key}; exit {key % 2}", key=key))
    answers = {answer.key[1]: answer for answer in (guarded.next() for _ in range(20))}
    assert answers == {key: Answer(("web", key), key % 2 == 0, str(key)) for key in range(20)}


def test_stop_by_keys(guard):  # noqa: F811
    plan = StopPlan((StopStep(0, 30.0, keys="quit\n"),))
    guarded = guard("echo ready; read word; echo got $word; exit 5", stop=plan).started(b"ready")
    guarded.channel.send(Stop())
    assert guarded.next() == LeaderExited(5, asked=True)
    assert b"got quit" in guarded.reads(b"got")


def test_keys_may_be_a_control_character(guard):  # noqa: F811
    plan = StopPlan((StopStep(0, 30.0, keys="\x03"),))
    guarded = guard("echo ready; exec sleep 60", stop=plan).started(b"ready")
    guarded.channel.send(Stop())
    assert guarded.next() == LeaderExited(-signal.SIGINT, asked=True)


def test_keys_that_nobody_heeds_are_followed_by_the_kill(guard):  # noqa: F811
    plan = StopPlan((StopStep(0, 0.2, keys="quit\n"),))
    guarded = guard(STAY, stop=plan).started(b"ready")
    guarded.channel.send(Stop())
    assert guarded.next() == LeaderExited(-signal.SIGKILL, asked=True)


def test_stop_by_command(guard, tmp_path):  # noqa: F811
    pid_file = tmp_path / "pid"
    stop = StopPlan((StopStep(0, 30.0, command=("/bin/sh", "-c", f"kill -HUP $(cat {pid_file})")),))
    guarded = guard(f"echo $$ > {pid_file}; {HUP_SAYS}", stop=stop).started(b"ready")
    guarded.channel.send(Stop())
    said = guarded.rest()
    assert LeaderExited(3, asked=True) in said
    assert not [message for message in said if isinstance(message, Remark)]


def test_a_stop_command_that_fails_is_told_and_the_next_step_follows(guard):  # noqa: F811
    steps = (StopStep(0, 0.3, command=("/bin/sh", "-c", "echo cannot; exit 1")), StopStep(signal.SIGHUP, 30.0))
    guarded = guard(HUP_SAYS, stop=StopPlan(steps)).started(b"ready")
    guarded.channel.send(Stop())
    assert guarded.next() == Remark("the stop command of web failed: exited with status 1: cannot")
    assert guarded.next() == LeaderExited(3, asked=True)


def test_what_is_left_gets_a_signal_also_where_the_plan_has_none(guard):  # noqa: F811
    plan = StopPlan((StopStep(0, 30.0, keys="quit\n"),))
    left = "sh -c 'trap \"exit 0\" TERM; echo child; while :; do sleep 0.01; done' & read word; exit 0"
    guarded = guard(left, stop=plan).started(b"child")
    os.write(guarded.master_fd, b"by itself\n")
    assert guarded.rest()[-2:] == [Vacated(), "end"]
    assert GENTLE.steps[0].signal == signal.SIGTERM
