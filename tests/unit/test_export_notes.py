"""Each key of a definition is exported or noted, for each target: a changed key changes a file, or a note names it."""

import dataclasses

import pytest

from orchestrator.export import compose, kubernetes, simple, systemd
from orchestrator.export.source import Source
from orchestrator.model.prompt_rules import Rule
from orchestrator.model.spec import (
    Account,
    Attributes,
    ComponentSpec,
    Condition,
    Dependency,
    ExecProbe,
    Hooks,
    HttpProbe,
    Limits,
    LogProbe,
    OnExit,
    RestartPlan,
    RestartPolicy,
    Scope,
    StopPlan,
    StopStep,
)

TARGETS = {
    "systemd": lambda source: systemd.services(source, lambda program: f"/bin/{program}", "/out", user=False),
    "systemd --user": lambda source: systemd.services(source, lambda program: f"/bin/{program}", "/out", user=True),
    "compose": lambda source: compose.export(source, "i"),
    "kubernetes": lambda source: kubernetes.export(source, "i"),
    "procfile": simple.procfile,
    "supervisord": lambda source: simple.supervisord(source, "/out"),
}
HTTP = HttpProbe("http://127.0.0.1:80/", interval=2, timeout=3, start_period=40, retries=4)
BASE = ComponentSpec(
    name="web",
    argv=("serve",),
    cwd="/app",
    depends_on=(Dependency("db", Condition.STARTED),),
    ready=(HTTP,),
    alive=(ExecProbe(("check",)),),
    restart=RestartPlan(RestartPolicy.ON_FAILURE),
    stop=StopPlan((StopStep(15, 5.0),)),
)
OFTEN = RestartPlan(RestartPolicy.ALWAYS)
# Of each key: another value than that of BASE.
OTHER = {
    "argv": {"argv": ("serve", "x")},
    "cwd": {"cwd": "/app/sub"},
    "environment": {"environment": {"A": "b"}},
    "tty": {"tty": False},
    "autostart": {"autostart": False},
    "depends_on": {"depends_on": ()},
    "depends_on.condition": {"depends_on": (Dependency("db", Condition.COMPLETED),)},
    "depends_on.restart": {"depends_on": (Dependency("db", restart=True),)},
    "depends_on.required": {"depends_on": (Dependency("db", required=False),)},
    "stop_before": {"stop_before": ("db",)},
    "start_after": {"start_after": ("db",)},
    "failed": {"failed": (LogProbe("x"),)},
    "expect": {"expect": (Rule("x"),)},
    "on_exit": {"on_exit": OnExit.IGNORE},
    "success_exit_codes": {"success": frozenset({0, 3})},
    "hooks": {"hooks": Hooks(on_failure=("x",))},
    "restart.policy": {"restart": OFTEN},
    "stop.signal": {"stop": StopPlan((StopStep(2, 5.0),))},
    "stop.timeout": {"stop": StopPlan((StopStep(15, 6.0),))},
    "stop.scope": {"stop": StopPlan((StopStep(15, 5.0),), Scope.LEADER)},
    "stop.keys": {"stop": StopPlan((StopStep(0, 3.0, keys="q"), StopStep(15, 2.0)))},
    "stop.command": {"stop": StopPlan((StopStep(0, 3.0, command=("q",)), StopStep(15, 2.0)))},
    "stop.sequence": {"stop": StopPlan((StopStep(15, 3.0), StopStep(15, 2.0)))},
    "user": {"attributes": Attributes(Account("u", 7, 8))},
    "group": {"attributes": Attributes(Account("", 0, 9))},
    "umask": {"attributes": Attributes(umask=7)},
    "nice": {"attributes": Attributes(nice=7)},
    "limits.memory": {"attributes": Attributes(limits=Limits(memory=7 << 20))},
    "limits.files": {"attributes": Attributes(limits=Limits(files=7))},
    "limits.processes": {"attributes": Attributes(limits=Limits(processes=7))},
    **{
        f"restart.{key}": {"restart": dataclasses.replace(BASE.restart, **change)}
        for key, change in {
            "max": {"max": 7},
            "within": {"within": 7.0},
            "backoff": {"first": 7.0},
            "same_exits": {"same_exits": 7},
        }.items()
    },
    "restart.backoff of always": {"restart": dataclasses.replace(OFTEN, cap=61.0)},
    "ready": {"ready": ()},
    "alive": {"alive": ()},
    **{
        f"ready.{key}": {"ready": (dataclasses.replace(HTTP, **change),), "alive": ()}
        for key, change in {
            "http": {"url": "http://127.0.0.1:81/"},
            "interval": {"interval": 7.0},
            "timeout": {"timeout": 7.0},
            "start_period": {"start_period": 47.0},
            "retries": {"retries": 7},
            "status": {"status": (range(204, 205),)},
            "request_headers": {"request_headers": (("a", "b"),)},
            "header": {"headers": (("a", "b"),)},
            "body": {"body": "x"},
            "healthy": {"healthy": ("/a",)},
            "fresh": {"fresh": ("/a",)},
        }.items()
    },
}
# Fields that are no part of what another tool has to do.
INTERNAL = {"name", "component", "source", "on_exit_is_set"}
SHOWN = {"color", "tags"}  # only for the output and the options of orchestrate
OF_STEPS = {"unless", "timeout"}


def exported(target, component, *, step=False):
    variables = {component.name: {"PORT": "80", **component.environment}}
    db = ComponentSpec(name="db", argv=("db",), cwd="/app")
    system = {"init": (component,), "components": (db,)} if step else {"init": (), "components": (component, db)}
    return TARGETS[target](
        Source(name="app", title="app", directory="/app", variables=variables, path="/bin", **system)
    )


def names(made):
    """The features of all notes."""
    return {name.strip() for loss in made.losses for name in loss.feature.split(",")}


def is_noted(key, notes):
    key = key.partition(" ")[0]
    return any(key == note or key.startswith(f"{note}.") for note in notes)


def test_each_field_of_a_component_is_changed_once():
    changed = {name for change in OTHER.values() for name in change}
    fields = {field.name for field in dataclasses.fields(ComponentSpec)}
    assert fields == changed | INTERNAL | SHOWN | OF_STEPS


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("key", OTHER)
def test_each_key_is_exported_or_noted(target, key):
    other = dataclasses.replace(BASE, **OTHER[key])
    base = BASE
    if key.startswith("ready."):
        base = dataclasses.replace(BASE, alive=())
    if key.endswith("of always"):
        base = dataclasses.replace(BASE, restart=OFTEN)
    one, two = exported(target, base), exported(target, other)
    noted = names(one) | names(two)
    if (target.startswith("systemd"), key) == (True, "tty"):
        key = "attach"  # which says that components have no terminals
    assert one.files != two.files or is_noted(key, noted), f"{key} is neither exported nor noted: {sorted(noted)}"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "change",
    [
        {"unless": ("x",)},
        {"timeout": 7.0},
        OTHER["hooks"],
        OTHER["umask"],
        OTHER["nice"],
        OTHER["limits.files"],
        OTHER["limits.memory"],
        OTHER["stop.command"],
        OTHER["stop.signal"],
        OTHER["user"],
        OTHER["environment"],
    ],
    ids=str,
)
def test_each_key_of_a_step_is_exported_or_noted(target, change):
    step = ComponentSpec(name="seed", argv=("seed",), cwd="/app")
    one, two = exported(target, step, step=True), exported(target, dataclasses.replace(step, **change), step=True)
    whole = target in ("procfile", "supervisord") and "init" in names(two)
    assert one.files != two.files or names(two) - names(one) or whole


@pytest.mark.parametrize("change", [{"ready": (HTTP,)}, {"alive": (HTTP,)}, {"autostart": False}])
def test_a_job_of_kubernetes_has_no_probes_and_may_be_suspended(change):
    job = ComponentSpec(name="seed", argv=("seed",), cwd="/app")
    web = dataclasses.replace(BASE, depends_on=(Dependency("seed", Condition.SUCCEEDED),))

    def made(component):
        return kubernetes.export(
            Source(name="a", title="a", directory="/app", init=(), components=(component, web), variables={}), "i"
        )

    one, two = made(job), made(dataclasses.replace(job, **change))
    assert names(two) - names(one)
    assert (one.files != two.files) == ("autostart" in change)


def test_a_program_of_supervisord_that_is_not_restarted_starts_once():
    """supervisord starts a program that exits within `startsecs` again, whatever `autorestart` is."""
    once = dataclasses.replace(BASE, restart=RestartPlan(RestartPolicy.NEVER), success=frozenset())
    text = exported("supervisord", once).files[0].text
    assert "startsecs=0\n" in text
    assert "startretries=0\n" in text
    assert "exitcodes=\n" in text


def test_quick_exits_that_are_counted_are_the_retries_of_supervisord():
    """So an import that is exported again has the number it had."""
    for plan, retries in (
        (RestartPlan(RestartPolicy.ALWAYS, max=0, same_exits=4), 3),
        (RestartPlan(RestartPolicy.ALWAYS, max=0), 1000),
    ):
        text = exported("supervisord", dataclasses.replace(BASE, restart=plan)).files[0].text
        assert f"startretries={retries}\n" in text
