"""A request for many instances at once: its order, and that it takes neither a deep stack nor quadratic time."""

import pytest
from examples import flood

from orchestrator.model.lifecycle import Desired, Event, State, StopOrigin
from orchestrator.model.run import Run
from orchestrator.model.spec import ComponentSpec, Dependency
from orchestrator.supervisor.change_requests import ChangeRequests
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.registry import Registry

MANY = flood(3000)


class Prompt(Instance):
    """An instance that is down as soon as it is asked to stop, and ready as soon as it is started."""

    def __init__(self, spec, system):
        super().__init__(spec)
        self._system = system

    def handle(self, event):
        self._system.actions.append((event, self.key))
        self.stop_origin = StopOrigin.DOWN if event is Event.STOP else StopOrigin.NONE
        if event is Event.START:
            self.want(Desired.UP)
            self.run = Run(self.run.number + 1, 0.0, 0.0)
        for self.state in (State.STOPPING, State.DOWN) if event is Event.STOP else (State.STARTING, State.READY):
            self._system.registry.note(self)
            self._system.go_on()


class System:
    def __init__(self, specs):
        self.actions, self.is_going_on = [], False
        self.registry = Registry((), lambda instance: "")
        self.registry.fill(tuple(specs))
        self.registry.instances = [Prompt(spec, self) for spec in specs]
        self.registry._by_key = {instance.key: instance for instance in self.registry.instances}
        self.registry._recount()
        self.requests = ChangeRequests(self.registry, lambda instance, event: instance.handle(event), self.go_on)

    def go_on(self):
        if not self.is_going_on:
            self.is_going_on = True
            while action := self.registry.next_action():
                action[0].handle(action[1])
            self.is_going_on = False

    def request(self, verb):
        self.actions.clear()
        getattr(self.requests, verb)(self.registry.instances)
        return self.actions


def specs(needs):
    return [ComponentSpec(name=name, argv=("true",), cwd="/", depends_on=need) for name, need in needs.items()]


NAMES = [f"c{number}" for number in range(MANY)]
SHAPES = {
    "apart": dict.fromkeys(NAMES, ()),
    "a chain": {name: (Dependency(f"c{number - 1}"),) if number else () for number, name in enumerate(NAMES)},
    "one that needs all": {**dict.fromkeys(NAMES[:-1], ()), NAMES[-1]: tuple(map(Dependency, NAMES[:-1]))},
    "all need one": {name: (Dependency("c0"),) if number else () for number, name in enumerate(NAMES)},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_thousands_start_and_stop_in_their_order(shape):
    """Each change used to go on with the next one from within: 250 were too many for the stack."""
    needs = SHAPES[shape]
    system = System(specs(needs))
    started = [name for event, name in system.request("restart") if event is Event.START]
    stopped = [name for event, name in system.request("stop") if event is Event.STOP]
    assert sorted(started) == sorted(stopped) == sorted(NAMES)
    at, gone = ({name: number for number, name in enumerate(names)} for names in (started, stopped))
    assert all(at[d.name] < at[name] and gone[d.name] > gone[name] for name, need in needs.items() for d in need)
