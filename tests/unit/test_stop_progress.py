"""What is reported about a stop that takes long."""

from types import SimpleNamespace

import pytest

from orchestrator.supervisor.stop_progress import in_words


def stopping(**kill_at):
    return [SimpleNamespace(name=name, kill_at=at) for name, at in kill_at.items()]


@pytest.mark.parametrize("late", [-0.4, 0.0, 0.4])
def test_the_seconds_do_not_depend_on_the_moment_of_the_report(late):
    """The loop reports a little late, and the first request to exit may come a little before the others."""
    assert in_words(stopping(db=108.0), 100.0 + late, "Ctrl-C again to kill now") == (
        "waiting for db to stop; killing it in 8 s (Ctrl-C again to kill now)"
    )


def test_those_that_are_killed_together_are_listed_together():
    assert in_words(stopping(web=105.0, db=110.0, api=105.1), 100.0).splitlines() == [
        "waiting for web, api to stop; killing them in 5 s (`orchestrate kill NAME` to kill now)",
        "waiting for db to stop; killing it in 10 s (`orchestrate kill db` to kill now)",
    ]


def test_one_that_is_being_killed_needs_no_command():
    assert in_words(stopping(web=99.0), 100.0) == "waiting for web to stop; killing it"
