"""The preset inside a definition: its components as keys of orchestrate.toml, overridden and beside others."""

import codecs
from dataclasses import replace

import pytest
from airflow_reports import VERSIONS, facts

from orchestrator.config import component_tree, plain, selection, toml, writer
from orchestrator.config.document import Document, merge
from orchestrator.config.environment import Layers, Variable
from orchestrator.config.reader import read
from orchestrator.config.report import Place, Report
from orchestrator.config.resolve import Settings, resolve
from orchestrator.config.validate import validate
from orchestrator.model.spec import RestartPolicy
from orchestrator.presets.airflow import network, plan

SHELL = {"PATH": "/v/bin:/bin", "ODD": "$HOME ${x} $$", "PORT": "1234"}


def components_of(version, bind=None, **options):
    found = facts(version, options)
    request = plan.Request(
        command="/v $x/bin/airflow", directory="/h $$/run", environment=SHELL, processors=2, bind=bind
    )
    changed = {**SHELL, "OWN": "a $HOME ${x:-y} $$"}
    made = plan.components(found, plan.names(found, frozenset(), frozenset()), request, network.ports(found, 81))
    return tuple(replace(c, environment={**c.environment, "OWN": changed["OWN"]}) for c in made)


def document_of(components):
    trees = {c.name: component_tree.of_component(c, SHELL) for c in components}
    return Document(Place("preset", 0, "/"), {"components": trees})


def resolved(document):
    report = Report()
    definition = read(document, "x.toml", report)
    validate(definition, report)
    chosen, _ = selection.select(definition.components, selection.Wishes())
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
            member.name: plain.trim(plain.of_member(member, 5000, Layers(SHELL), None, report))
            for member in definition.components
        }
    }
    text = writer.write(tree)
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
