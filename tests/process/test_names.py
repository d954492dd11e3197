"""A name, a pattern or a +tag, wherever a command or an option takes names: one table."""

import json
import re
import signal

import pytest
from definitions import STAY, Directory, component

READY = f"echo here; {STAY}"
SYSTEM = (
    component("web", READY, 'tags = ["front"]')
    + component("api", READY, 'tags = ["front", "back"]')
    + component("db", READY, 'tags = ["back", "store"]')
    + component("mail", READY, 'tags = ["extra"]', "autostart = false")
)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return Directory(tmp_path_factory.mktemp("names")).write(SYSTEM)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["+front"], "web api"),
        (["--only", "+store,web"], "web db"),
        (["--except", "+back"], "web mail"),
        (["-x", "+front", "-x", "+extra"], "db"),
        (["--only", "w*,+store"], "web db"),
    ],
)
def test_selection(here, words, names):
    shown = json.loads(here.output("config", "--json", *words))["components"]
    assert " ".join(name for name in ("web", "api", "db", "mail") if name in shown) == names


def test_a_formation_by_tag(here):
    """A name counts more than a tag, a tag more than `all`."""
    shown = json.loads(here.output("config", "--json", "-m", "all=4,+front=3,api=2"))["components"]
    assert [shown[name]["replicas"] for name in ("web", "api", "db")] == [3, 2, 4]


def test_options_of_up(here):
    run = here.up("--quiet", "+front", "--no-tty", "+back", "--can-end", "+store", "--exit-code-from", "+front")
    run.wait_ready("db")
    assert not re.search(r"^(web|api) +\|", run.text, re.MULTILINE)
    assert "has no terminal" in here.output("send", "api", "x", status=1)
    here.output("signal", "KILL", "+store")
    run.wait_for(r"^orchestrate \| db killed by SIGKILL")
    here.output("signal", "KILL", "web")
    assert run.wait() == 128 + signal.SIGKILL


WITH_NAMES = [
    (["ps", "--json", "+front"], {"web", "api"}),
    (["ps", "--json", "--all", "+store"], {"db"}),
    (["why", "--json", "+back"], {"api", "db"}),
    (["wait", "--ready", "--json", "+front"], {"web", "api"}),
    (["restart", "--json", "+store"], {"db"}),
    (["stop", "--json", "+store"], {"db"}),
    (["start", "--json", "+store", "+extra"], {"db", "mail"}),
    (["scale", "--json", "+extra=2"], {"mail.2"}),
    (["signal", "--json", "CONT", "+extra", "web"], {"mail.1", "mail.2", "web"}),
    (["kill", "--json", "+extra"], {"mail.1", "mail.2"}),
]


def test_commands_on_a_running_system_and_on_its_record(here):
    run = here.up()
    run.wait_ready("web", "api", "db")
    for words, names in WITH_NAMES:
        rows = [json.loads(line) for line in here.output(*words).splitlines()]
        rows = [row for found in rows for row in (found if isinstance(found, list) else [found])]
        assert {row["instance"] for row in rows} == names, words
    logs = here.output("logs", "+store", "--no-color")
    assert re.match(r"db +\| here", logs)
    assert "web" not in logs
    for words in (["ps", "+nosuch"], ["restart", "+nosuch"]):
        message, hint = here.output(*words, status=2).splitlines()
        assert message.endswith("unknown tag 'nosuch'")
        assert hint == "hint: there are: front, back, store, extra"
    run.stop()
    past = [json.loads(line)["instance"] for line in here.output("ps", "--all", "--json", "+back").splitlines()]
    assert past == ["api", "db"]
    chains = [json.loads(line) for line in here.output("why", "--json", "+store").splitlines()]
    assert [row["instance"] for row in chains if row["instance"]] == ["db"]


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["up", "--quiet", "nope"], "unknown component 'nope'", "there are: web, api, db, mail"),
        (["up", "--quiet", "wbe"], "unknown component 'wbe'", "did you mean 'web'?"),
        (["up", "--no-tty", "+fornt"], "unknown tag 'fornt'", "did you mean 'front'?"),
        (["up", "--can-end", "+x"], "unknown tag 'x'", "there are: front, back, store, extra"),
        (["up", "--exit-code-from", "wbe"], "invalid --exit-code-from: unknown component 'wbe'", None),
        (["up", "--only", "+nosuch"], "unknown tag 'nosuch'", None),
        (["up", "-m", "+nosuch=2"], "unknown tag 'nosuch'", None),
        (["run", "+front", "--", "true"], "+front is several components", "choose one of web, api"),
    ],
)
def test_a_name_that_means_nothing(here, words, message, hint):
    first, second = here.output(*words, status=2).splitlines()
    assert first == f"orchestrate: {message}"
    assert second.startswith("hint: ")
    assert hint is None or second == f"hint: {hint}"


def test_run_and_env_take_a_tag_of_one_component(here):
    assert here.output("run", "+store", "--", "sh", "-c", "echo $ORCHESTRATE_COMPONENT") == "db\n"
    assert "ORCHESTRATE_INSTANCE=db" in here.output("env", "+store")
