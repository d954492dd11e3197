"""What killed guardians leave is stopped for all of them together."""

import os
from types import SimpleNamespace

import pytest
from facts import children

from orchestrator.model.run import Run
from orchestrator.model.spec import StopPlan
from orchestrator.runtime.loop import Loop
from orchestrator.supervisor.reaper import LostGuardians


class Instance:
    def __init__(self):
        self.name, self.is_gone = "web", False
        self.pid, self.was_told_to_stop = 4711, False
        self.run = Run(1, 0.0, 0.0, 4711, 4710)
        self.spec = SimpleNamespace(stop=StopPlan())


def gone(instance):
    instance.is_gone = True


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


@pytest.mark.parametrize("count", [1, 200])
def test_what_is_left_is_looked_for_as_often_for_one_as_for_many(count, loop):
    """Each look at it asks for the pids of our own children, which are no orphans."""
    looks = []

    def own():
        looks.append(1)
        return set(children(os.getpid()))

    lost_guardians = LostGuardians(loop, own, lambda name, why: pytest.fail(why), list, lambda instances: None, gone)
    instances = [Instance() for _ in range(count)]
    for instance in instances:
        lost_guardians.add(instance)
    assert lost_guardians
    loop.turn()
    assert all(instance.is_gone for instance in instances)
    assert not lost_guardians
    assert len(looks) == 2, "to signal, and to see whether anything is left"


def test_a_kill_reaches_what_was_added_just_now(loop):
    lost_guardians = LostGuardians(
        loop, lambda: set(children(os.getpid())), lambda name, why: pytest.fail(why), list, lambda instances: None, gone
    )
    instance = Instance()
    lost_guardians.add(instance)
    lost_guardians.kill()
    assert instance.is_gone
