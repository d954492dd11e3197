"""The preset inside a definition: its components as keys of orchestrate.toml, overridden and beside others."""

import codecs
import json
from dataclasses import replace

import pytest
from airflow_fake import Fake
from airflow_reports import VERSIONS, facts
from airflow_rest import free_port
from definitions import STAY, Directory

from orchestrator.config import component_dump, dump, selection, toml
from orchestrator.config.definition import Document, merge
from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.environment import Layers, Variable
from orchestrator.config.loading import read
from orchestrator.config.resolve import Settings, resolve
from orchestrator.config.validate import validate
from orchestrator.model.spec import RestartPolicy
from orchestrator.presets.airflow import components as airflow_components
from orchestrator.presets.airflow import network
from orchestrator.presets.airflow.workers import Programs

SHELL = {"PATH": "/v/bin:/bin", "ODD": "$HOME ${x} $$", "PORT": "1234"}


def components_of(version, bind=None, **options):
    found = facts(version, options)
    request = airflow_components.AirflowRequest(
        command="/v $x/bin/airflow",
        directory="/p $$",
        private="/h $$/run",
        task_call=("/v/bin/python", "/t $.py"),
        programs=Programs(worker=(), call=(), airflow="/v $x/bin/airflow"),
        environment=SHELL,
        processors=2,
        bind=bind,
    )
    changed = {**SHELL, "OWN": "a $HOME ${x:-y} $$"}
    made = airflow_components.components(
        found, airflow_components.names(found, frozenset(), frozenset()), request, network.ports(found, 81)
    )
    return tuple(replace(c, environment={**c.environment, "OWN": changed["OWN"]}) for c in made)


def document_of(components):
    trees = {c.name: component_dump.of_component(c, SHELL) for c in components}
    return Document(Place("preset", 0, "/"), {"components": trees})


def resolved(document):
    report = Report()
    definition = read(document, "x.toml", report)
    validate(definition, report)
    chosen, _ = selection.select(definition.components, selection.SelectionRequest())
    found = resolve(definition, chosen, Layers(SHELL), Settings(port=Variable("5000", "")), None, report)
    assert report.problems == []
    return definition, {c.name: c for c in found.system.components}


def comparable(component):
    own = ("PS", "ORCHESTRATE_COMPONENT", "ORCHESTRATE_INSTANCE", "PORT")
    environment = {name: value for name, value in component.environment.items() if name not in own}
    return replace(component, environment=environment, source="", component="")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("bind", [None, "::1"])
def test_the_keys_of_a_component_give_the_component_again(version, bind):
    before = components_of(version, bind)
    _, after = resolved(document_of(before))
    assert list(map(comparable, after.values())) == list(map(comparable, before))
    web = after[next(name for name in after if name in ("webserver", "api-server"))]
    assert web.environment["PORT"] == "81", "which ps shows"


@pytest.mark.parametrize("version", VERSIONS)
def test_what_config_prints_gives_the_components_again(version):
    before = components_of(version)
    definition, _ = resolved(document_of(before))
    report = Report()
    tree = {
        "components": {
            instance.name: dump.trim(
                dump.of_instance(instance, instance.port or 0, Layers(SHELL), None, definition.names, report)
            )
            for instance in definition.components
        }
    }
    text = toml.write(tree)
    _, after = resolved(toml.parse(codecs.encode(text), Place("pasted", 0, "/"), report))
    assert list(map(comparable, after.values())) == list(map(comparable, before))
    assert report.problems == []


def test_a_table_of_the_user_overrides_keys_and_leaves_the_others():
    mine = """
        [components.scheduler]
        restart = { max = 20 }
        environment = { MINE = "1" }
        [components.api-server]
        ready = { tcp = 81 }
        [components.docs]
        command = "true"
        depends_on = { api-server = "ready" }
    """
    report = Report()
    user = toml.parse(mine.encode(), Place("orchestrate.toml", 0, "/"), report)
    before = {c.name: c for c in components_of("3.3.2")}
    _, after = resolved(merge([document_of(before.values()), user]))
    assert after["scheduler"].restart == replace(before["scheduler"].restart, max=20)
    assert after["scheduler"].restart.policy is RestartPolicy.ALWAYS
    assert after["scheduler"].environment["MINE"] == "1"
    assert after["scheduler"].environment["AIRFLOW_HOME"] == before["scheduler"].environment["AIRFLOW_HOME"]
    assert len(after["api-server"].ready) == 1
    assert comparable(after["triggerer"]) == comparable(before["triggerer"])
    assert [d.name for d in after["docs"].depends_on] == ["api-server"]


# With the fake Airflow

TABLE = """
[airflow]
airflow = "{fake.bin}/../"
port = "${{WEB_PORT}}"
any_port = true
home = "airflow"
"""
DOCS = f"""
[components.docs]
command = '''{STAY}'''
depends_on = {{ api-server = "ready" }}
"""


@pytest.fixture
def fake(tmp_path):
    return Fake(tmp_path / "fake")


@pytest.fixture
def here(tmp_path, fake):
    path = tmp_path / "project"
    path.mkdir()
    place = Directory(path)
    place.variables = fake.variables(AIRFLOW_HOME=None, WEB_PORT=str(free_port()))
    return place


def start(here, text, fake, *words):
    run = here.write(TABLE.format(fake=fake) + text).run("up", "--color", "never", *words, env=here.variables)
    run.wait_for(r"Do not use this in production!$")
    return run


def ask(here, *words, status=0, **changes):
    run = here.run(*words, env={**here.variables, **changes})
    assert run.wait() == status, str(run)
    return run.err.decode() if status else run.text


def test_the_presets_components_stand_beside_others(here, fake, tmp_path):
    run = start(here, DOCS + "[components.scheduler]\nenvironment = { MINE = '1' }\nreplicas = 2\n", fake)
    order = ("Uvicorn running", "docs          | ready", "Airflow is ready")
    assert sorted(order, key=run.text.index) == list(order)
    rows = {row["instance"]: row for row in map(json.loads, ask(here, "ps", "--json").splitlines())}
    assert list(rows) == ["scheduler.1", "scheduler.2", "api-server", "dag-processor", "triggerer", "docs"]
    assert rows["api-server"]["port"] == here.variables["WEB_PORT"]
    assert ask(here, "scale", "docs=2").startswith("docs.2 started")
    told = json.loads(ask(here, "airflow", "info", "--json", "--home", "airflow"))
    assert (told["pid"], told["home"]) == (run.pid, str(here.path / "airflow"))
    assert "executor = LocalExecutor" in ask(here, "airflow", "run", "--", "print-configuration")
    elsewhere = Directory(tmp_path)
    elsewhere.variables = here.variables
    assert "triggerer" in ask(elsewhere, "airflow", "ps", AIRFLOW_HOME=str(here.path / "airflow"))
    refused = ask(here, "airflow", "--home", "airflow", "--airflow", str(fake.bin.parent), status=75)
    assert f"another orchestrate holds {here.path}/airflow (pid {run.pid}" in refused
    ask(elsewhere, "airflow", "down", AIRFLOW_HOME=str(here.path / "airflow"))
    assert run.wait() == 0
    assert not (here.path / "airflow" / ".orchestrate" / "state.json").exists()


def test_an_env_file_an_initial_step_and_a_second_start(here, fake):
    here.write(dot_env="AIRFLOW__CORE__EXECUTOR=KubernetesExecutor\n")
    text = "[init.load]\ncommand = 'test -e airflow/airflow.db && echo loaded'\n"
    first = start(here, text, fake)
    assert "Forcing executor to LocalExecutor: KubernetesExecutor is not local" in first.text
    order = ("Database ready", "loaded", "scheduler  started with executor LocalExecutor", "Airflow is ready")
    assert sorted(order, key=first.text.index) == list(order)
    assert "executor = LocalExecutor" in ask(here, "airflow", "run", "--", "print-configuration")
    first.stop()
    second = start(here, text, fake)
    assert "Database ready: nothing has changed since the last start" in second.text
    second.stop()


def test_what_is_selected_decides_which_part_of_airflow_runs(here, fake):
    run = start(here, DOCS, fake, "scheduler", "api-server")
    assert "triggerer" not in run.text
    assert json.loads(ask(here, "airflow", "info", "--json", "--home", "airflow"))["components"] == [
        "scheduler",
        "api-server",
    ]
    run.stop()
    alone = here.run("up", "--color", "never", "--no-deps", "docs", env=here.variables)
    alone.wait_ready("docs")
    assert "Checking database" not in alone.text
    alone.stop()


def test_orchestrate_airflow_equals_an_empty_table(here, fake):
    home = str(here.path / "home")
    variables = {"AIRFLOW_HOME": home, "PATH": f"{fake.bin}:{here.variables['PATH']}"}
    here.write("[airflow]\n")
    for words in (["config"], ["config", "--json"], ["graph", "--dot"]):
        assert ask(here, *words, **variables) == ask(here, "airflow", *words, **variables)
    names = "4 components: scheduler, api-server, dag-processor, triggerer"
    assert ask(here, "airflow", "check", **variables) == f"Airflow is valid: {names}\n"
    assert "scheduler      at once\n" in ask(here, "airflow", "graph", **variables)
    shown = ask(here, "airflow", "env", "scheduler", "--executor", "KubernetesExecutor", **variables)
    assert "AIRFLOW__CORE__EXECUTOR=LocalExecutor " in shown, "the one that it is replaced by"
    one = ask(here, "airflow", "config", "--only", "triggerer", "--port", "9191", "--home", "other", **variables)
    assert "[components.scheduler]" not in one
    assert f'AIRFLOW_HOME = "{here.path}/other"' in one


def test_leaving_the_preset_is_a_paste(here, fake):
    here.write(TABLE.format(fake=fake) + DOCS)
    printed = ask(here, "config")
    here.write(printed)
    assert ask(here, "config").partition("[components")[2] == printed.partition("[components")[2]
    run = here.run("up", "--color", "never", env=here.variables)
    run.wait_for(r"docs +\| ready$")
    rows = {row["instance"]: row["state"] for row in map(json.loads, ask(here, "ps", "--json").splitlines())}
    assert set(rows) == {"scheduler", "api-server", "dag-processor", "triggerer", "docs"}
    assert ask(here, "wait", "--ready", "--timeout", "30") == ""
    run.stop()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[airflow]\nprot = 1\n", "orchestrate.toml:2: airflow.prot: unknown key; did you mean 'port'?"),
        ("[airflow]\nport = 'x'\n", "orchestrate.toml:2: airflow.port: must be 1 to 65535, not 'x'"),
        ("[airflow]\nport = 0\n", "orchestrate.toml:2: airflow.port: must be"),
        (
            "[airflow]\nonly = ['shceduler']\n",
            "orchestrate.toml:2: airflow.only: 'shceduler' is not a component of Airflow; did you mean 'scheduler'?",
        ),
        ("[airflow]\nonly = ['webserver']\n", "cannot choose webserver: Airflow 3.3.2 has no such component"),
        (
            "[airflow]\n[components.webserver]\nrestart = 'never'\n",
            "orchestrate.toml:2: components.webserver: Airflow 3.3.2 runs scheduler, api-server, dag-processor,"
            " triggerer here, so this one needs a command",
        ),
        ("[airflow]\nairflow = 'v'\n", "cannot find Airflow: no such file: "),
        (
            "[airflow]\n[components.scheduler]\nrestrat = 'never'\n",
            "components.scheduler.restrat: unknown key; did you",
        ),
        ("[airflow]\n[components.x]\ncommand = 'true'\ndepends_on = ['schedule']\n", "did you mean 'scheduler'?"),
        ("airflow = 1\n", "orchestrate.toml:1: airflow: must be a table, not 1"),
    ],
)
def test_a_mistake_is_one_clear_line(here, fake, text, words):
    here.write(text)
    said = ask(here, "check", status=2, PATH=f"{fake.bin}:{here.variables['PATH']}")
    assert words in said
    assert said.count("\n") == 1 + ("\nhint: " in said)
    assert not (here.path / ".orchestrate").exists()
