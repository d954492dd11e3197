"""`orchestrate doctor`: what it says about a directory, and its exit status."""

import json
import re
import socket

import pytest
from definitions import STAY, Directory, component
from harness import tree


@pytest.fixture
def here(tmp_path):
    return Directory(tmp_path)


def subjects(here, *words, status=0, **more):
    run = here.run(*words, "doctor", "--json", **more)
    assert run.wait() == status, str(run)
    return {row["subject"]: row for row in map(json.loads, run.text.splitlines())}


def test_each_line_has_a_level_and_the_last_one_counts(here):
    here.write(component("web", STAY))
    *lines, last = here.output("doctor").splitlines()
    assert lines[0] == "ok       definition    orchestrate.toml: web"
    assert all(re.match(r"(?:ok|warning|error) {2,7}\S| {23}\S", line) for line in lines)
    assert re.fullmatch(r"all checks passed|found \d+ warnings?", last)


def test_nothing_is_defined(here):
    found = subjects(here)
    assert (found["definition"]["level"], found["definition"]["advice"]) == ("warning", "run `orchestrate init`")


def test_a_mistake_is_an_error(here):
    here.write("[components.web]\ncommand = 'true'\ncolour = 'red'\n")
    found = subjects(here, status=1)["definition"]
    assert (found["level"], found["advice"]) == ("error", "run `orchestrate check`")
    assert found["text"].startswith("orchestrate.toml:3: components.web.colour: unknown key")


def test_a_port_that_another_process_holds(here):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        here.write(component("web", STAY, f"port = {port}"))
        found = subjects(here, status=1)["port"]
    assert found["level"] == "error"
    assert re.fullmatch(rf"port {port} of web is in use by pid \d+ \(.*\)", found["text"]), "the advice is apart"


def test_a_running_system(here):
    here.write(component("web", STAY))
    run = here.up()
    run.wait_ready("web")
    assert f"(pid {run.pid})" in subjects(here)["home"]["text"]
    run.stop()


def test_what_an_earlier_start_left(here):
    here.write(component("web", tree("deaf")))
    run = here.up()
    run.wait_ready("web")
    run.kill_with_guardians()
    found = subjects(here)["leftovers"]
    assert found["level"] == "warning"
    assert re.match(r"run `kill [\d ]+`, or", found["advice"])
    assert run.end()


def test_few_open_files(here):
    here.write(component("web", STAY))
    found = subjects(here, before=("sh", "-c", 'ulimit -n 40; exec "$@"', "sh"), status=1)["open files"]
    assert found["text"] == "limit 40, needed 72 for 1 instance"
