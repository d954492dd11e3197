"""A stop that is requested for many instances at once."""

from orchestrator.model.lifecycle import State
from orchestrator.model.spec import ComponentSpec, Dependency
from orchestrator.supervisor.change_requests import ChangeRequests
from orchestrator.supervisor.registry import Registry


class Member:
    """An instance that is down as soon as it is asked to stop, or only in BACKOFF and then down at once."""

    def __init__(self, spec, requests, stopped):
        self.spec, self.key, self.name = spec, spec.name, spec.name
        self.state, self.asked, self.due = State.READY, False, False
        self._requests, self._stopped = requests, stopped

    @property
    def runs(self):
        return self.state in (State.READY, State.STOPPING)

    def handle(self, event):
        self.asked = True
        self._stopped.append(self.key)
        for self.state in (State.STOPPING, State.DOWN):
            self._requests().go_on(self)


def stop(specs):
    registry, stopped = Registry((), None), []
    registry.fill(tuple(specs))
    requests = ChangeRequests(registry, lambda: None)
    registry.members = [Member(spec, lambda: requests, stopped) for spec in specs]
    registry._by_key = {member.key: member for member in registry.members}
    requests.stop(registry.members)
    return stopped


def test_thousands_stop_at_once():
    """Each change used to go on with the next one from within: 250 were too many for the stack."""
    names = [f"c{number}" for number in range(3000)]
    assert sorted(stop([ComponentSpec(name=name, argv=("true",), cwd="/") for name in names])) == sorted(names)


def test_a_long_chain_stops_from_its_end():
    names = [f"c{number}" for number in range(3000)]
    needs = [(), *((Dependency(name),) for name in names)]
    specs = [
        ComponentSpec(name=name, argv=("true",), cwd="/", depends_on=need)
        for name, need in zip(names, needs, strict=False)
    ]
    assert stop(specs) == names[::-1]
