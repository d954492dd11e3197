"""A system of orchestrate.toml as it runs: order, initial steps, instances, pipes; what the reading commands say."""

import json
import os
import re
import sys

import pytest
from definitions import STAY, Directory, component, ended, lines_of, step
from harness import Run, command_under_test, tree


@pytest.fixture
def here(tmp_path):
    return Directory(tmp_path)


# Order


def test_who_needs_a_ready_one_starts_when_it_is_and_stops_before_it(here):
    os.mkfifo(here.path / "go")
    text = component("api", f"echo api up; {STAY}", 'depends_on = { db = "service_healthy" }')
    text += component("db", f"echo begin; read go < go; echo open for business; {STAY}", 'ready = { log = "open for" }')
    run = here.write(text + component("free", STAY)).up()
    run.wait_for(r"^db +\| begin")
    run.wait_ready("free")
    assert "api up" not in run.text
    (here.path / "go").write_text("go\n")
    run.wait_ready("api")
    assert run.text.index("open for business") < run.text.index("api up")
    run.stop()
    stopped = re.findall(r"^orchestrate +\| (\w+) stopped", run.text, re.MULTILINE)
    assert stopped.index("api") < stopped.index("db")


def test_a_one_shot_that_is_waited_for_ends_nothing(here):
    text = component("seed", "echo seeded") + component("web", STAY, 'depends_on = { seed = "succeeded" }')
    run = here.write(text).up()
    run.wait_ready("web")
    assert lines_of(run, "seed") == ["seeded"]
    run.stop()


def test_a_one_shot_that_fails_ends_the_system_with_its_status(here):
    text = component("seed", "exit 7") + component("web", STAY, 'depends_on = { seed = "succeeded" }')
    assert lines_of(ended(here.write(text).up(), 7), "web") == []


def test_completed_is_any_end(here):
    text = component("seed", "exit 7") + component("web", STAY, 'depends_on = { seed = "process_completed" }')
    run = here.write(text).up()
    run.wait_ready("web")
    run.stop()


def test_what_can_never_start_is_said(here):
    text = component("web", STAY, 'depends_on = ["api"]') + component(
        "other", STAY
    )  # the cause comes first all the same
    text += component("api", STAY, 'depends_on = { seed = "succeeded" }')
    run = here.write(text + component("seed", "exit 7", 'on_exit = "ignore"')).up()
    run.wait_for("^orchestrate +. web is not started: api cannot start$")
    reason = "api is not started: it needs seed succeeded, which exited with status 7"
    assert reason in run.text.partition("web is not started")[0]
    run.wait_ready("other")
    run.stop()


def test_a_system_of_which_nothing_can_start_any_more_ends_and_has_failed(here):
    text = component("seed", "true", 'on_exit = "ignore"', 'ready = { log = "never" }')
    ended(here.write(text + component("api", STAY, 'depends_on = { seed = "ready" }')).up(), 1)


def test_an_end_that_is_ignored(here):
    run = here.write(component("a", "exit 3", 'on_exit = "ignore"') + component("b", STAY)).up()
    run.wait_for("a exited with status 3")
    run.wait_ready("b")
    run.stop()


# Initial steps


def test_steps_run_in_order_before_any_component(here):
    text = step("one", "echo 1 >> trace") + step("two", "echo 2 >> trace") + component("web", "cat trace")
    run = ended(here.write(text).up(), 0)
    assert lines_of(run, "web") == ["1", "2"]


def test_a_failing_step_starts_nothing_else_and_gives_its_status(here):
    text = step("one", "echo no such table; exit 9") + step("two", "touch two") + component("web", "touch web")
    run = ended(here.write(text).up(), 9)
    assert lines_of(run, "one") == ["no such table"]
    assert not (here.path / "two").exists()
    assert not (here.path / "web").exists()


def test_unless(here):
    text = step("make", "echo making; touch made", "unless = 'test -e made'") + component("web", "true")
    first, second = (ended(here.write(text).up(), 0) for _ in range(2))
    assert lines_of(first, "make") == ["making"]
    assert lines_of(second, "make") == []
    assert "make is skipped" in second.text


@pytest.mark.parametrize(
    "command", ["exec sleep 60", "trap '' TERM; while :; do sleep 0.1; done", "trap 'exit 0' TERM; sleep 60 & wait"]
)
def test_a_step_that_takes_too_long_has_failed(here, command):
    text = step("slow", command, "timeout = 0.3", "stop = { timeout = 0.5 }") + component("web", "touch web")
    run = here.write(text).up()
    assert run.wait() == 1
    assert run.survivors(2) == []
    assert run.text.count("slow took longer than 0.3 s") == 1
    assert "did not start" not in run.text
    assert not (here.path / "web").exists()


# Instances, pipes, environment


def test_instances_are_numbered_where_there_are_several(here):
    text = component("web", f"echo $PORT $PS $ORCHESTRATE_INSTANCE; {STAY}", "replicas = 2") + component("db", STAY)
    run = here.write(text).up()
    run.wait_ready("web.1", "web.2", "db")
    assert lines_of(run, "web.1")[0] == "5000 web.1 web.1"
    assert lines_of(run, "web.2")[0] == "5001 web.2 web.2"
    run.stop()
    assert (here.path / ".orchestrate/logs/web.2.log").exists()


@pytest.mark.parametrize("words", [["-m", "web=2"], ["--formation", "all=2"]])
def test_a_formation(here, words):
    run = here.write(component("web", STAY)).up(*words)
    run.wait_ready("web.1", "web.2")
    run.stop()


SPEAKS = "test -t 1 && echo terminal || echo pipe; echo wrong >&2; printf half >&2; echo out; "


@pytest.mark.parametrize(("lines", "words"), [(["tty = false"], []), ([], ["--no-tty", "web"])])
def test_pipes_instead_of_a_terminal(here, lines, words):
    run = here.write(component("web", SPEAKS + STAY, *lines) + component("other", STAY)).run(
        "--color", "always", *words, env={"TERM": "xterm-256color"}
    )
    run.wait_ready("web", "other")
    run.stop()
    assert {"pipe", "out"} <= set(lines_of(run, "web"))
    assert set(re.findall(r"^web +! (.*)$", run.text, re.M)) == {"wrong", "half"}
    colored = dict(reversed(line) for line in re.findall(rb"^(.*?)(pipe|wrong|out|half)\r?$", bytes(run.out), re.M))
    assert colored[b"pipe"] == colored[b"out"] != colored[b"wrong"] == colored[b"half"]
    log = (here.path / ".orchestrate/logs/web.log").read_text()
    assert sorted(line.split(" ", 1)[1] for line in log.splitlines()) == sorted(
        ["pipe", "wrong", "half", "out", "ready"]
    )


def test_a_log_probe_sees_standard_error_too(here):
    text = component("db", f"echo listening >&2; {STAY}", "tty = false", 'ready = { log = "listening" }')
    run = here.write(text + component("api", STAY, 'depends_on = { db = "ready" }')).up()
    run.wait_ready("api")
    run.stop()


@pytest.mark.parametrize("kind", ["plain", "daemon", "deaf"])
def test_nothing_is_left_of_one_on_pipes(here, kind):
    try:
        command = tree(kind)
    except KeyError:
        pytest.skip("no such tree")
    run = here.write(component("web", command, "tty = false", "stop = { timeout = 0.5 }")).up()
    run.wait_ready("web")
    run.stop()


def test_a_pipe_that_floods_and_goes(here):
    run = ended(here.write(component("web", "seq 100000", "tty = false")).up(), 0)
    assert lines_of(run, "web")[-1] == "100000"
    assert len(lines_of(run, "web")) == 100000


def test_selection(here):
    text = component("db", STAY) + component("api", STAY, 'depends_on = ["db"]') + component("web", STAY)
    here.write(text)
    for words in (["up", "api"], ["api"], ["-l", "api"], ["start", "-x", "web"]):
        run = here.run("--color", "never", *words) if words[0] != "start" else here.run(*words, "--color", "never")
        run.wait_ready("api", "db")
        run.stop()
        assert lines_of(run, "web") == []
    run = here.up("api", "--no-deps")
    run.wait_ready("api")
    run.stop()
    assert lines_of(run, "db") == []


# Files, standard input, defaults from the environment


def test_standard_input_may_be_either(here):
    for text in ("web: echo from $0; true\n", component("web", "echo from $0; true")):
        (here.path / "input").write_text(text)
        run = Run(["sh", "-c", '"$@" < input', "sh", *command_under_test(), "-f", "-"], cwd=here.path)
        assert lines_of(ended(run, 0), "web") == ["from /bin/sh"]


def test_several_files_before_and_after_the_command(here):
    here.write(component("web", "echo first; echo $A"), extra="db: echo db\n")
    (here.path / "more.toml").write_text("[components.web.environment]\nA = 'more'\n")
    run = here.run("-f", "orchestrate.toml", "-f", "more.toml", "up", "-f", "extra", "-m", "db=0")
    assert lines_of(ended(run, 0), "web") == ["first", "more"]


def test_a_procfile_and_its_port_from_env(here):
    (here.path / "Other").write_text("web: echo $PORT $A; true\n")
    (here.path / ".env").write_text("PROCFILE=Other\nPORT=7000\nA=file\n")
    assert lines_of(ended(here.run("up"), 0), "web") == ["7000 file"]
    assert lines_of(ended(here.run("up", env={"PORT": "8000", "A": "shell"}), 0), "web") == ["8000 shell"]
    assert lines_of(ended(here.run("up", "-p", "9000", "--env-override", env={"A": "shell"}), 0), "web") == [
        "9000 file"
    ]


def test_defaults_from_the_environment(here):
    here.write(component("web", STAY), other="web: echo other; true\n", elsewhere="")
    (here.path / "home").mkdir()
    env = {
        "ORCHESTRATE_FILE": "other",
        "ORCHESTRATE_HOME": "home",
        "ORCHESTRATE_COLOR": "always",
        "ORCHESTRATE_TIMEOUT": "3",
    }
    run = ended(here.run("up", env=env), 0)
    assert lines_of(run, "web") == ["other"]
    assert b"\x1b[" in run.out
    assert (here.path / "home/.orchestrate").is_dir()
    assert not (here.path / ".orchestrate").exists()
    assert "ORCHESTRATE_TIMEOUT" in here.output("up", env={"ORCHESTRATE_TIMEOUT": "soon"}, status=2)
    assert "ORCHESTRATE_COLOR" in here.output("up", env={"ORCHESTRATE_COLOR": "pink"}, status=2)


# What the reading commands say


SYSTEM = (
    step("migrate", "touch migrated")
    + component("db", STAY, 'ready = { log = "ready" }')
    + component("web", "echo $A", "replicas = 2", 'depends_on = { db = "ready" }')
    + '[components.web.environment]\nA = "${B}"\nURL = "http://me:hunter2@x:${PORT}"\nAPI_KEY = "hunter2"\n'
)


def test_check_tells_everything_at_once_and_starts_nothing(here):
    text = '[components.web]\ncommand = "no-such-command-xyz"\nrestrat = "always"\n'
    text += 'depends_on = ["bd"]\nenv_file = ["nowhere"]\n'
    lines = here.write(text + component("db", STAY, 'port = "${NO:?choose}"')).output("check", status=2).splitlines()
    assert [re.search(r":(\d+): ", line)[1] for line in lines] == ["2", "3", "4", "5", "8"], lines
    assert not (here.path / ".orchestrate").exists()


def test_check_of_what_is_right(here):
    assert (
        here.write(SYSTEM, dot_env="B=b").output("check")
        == "orchestrate.toml is valid: 1 initial step, 3 components: db, web.1, web.2\n"
    )


def test_check_looks_into_every_profile(here):
    here.write(component("web", "true") + component("debug", "no-such-command-xyz", 'profiles = ["debug"]'))
    assert "orchestrate.toml:4: debug: command not found" in here.output("check", status=2)
    assert here.output("check", "web") == "orchestrate.toml is valid: 1 component: web\n"
    assert here.run("up").wait() == 0


def test_a_word_that_is_neither_command_nor_component(here):
    here.write(component("web", "true"))
    assert "unknown command 'staus'\nhint: did you mean 'status'?" in here.output("staus", status=2)


def test_a_procfile_pays_for_nothing_it_does_not_use(here):
    """What starts a Procfile imports no reader of TOML, no schema, no .env where there is none, and nothing of HTTP:
    ssl alone took 3 MB and 25 ms of the supervisor, for a function that escapes text."""
    (here.path / "Procfile").write_text("web: true\n")
    run = Run([sys.executable, "-X", "importtime", "-m", "orchestrator", "up"], cwd=here.path)
    assert run.wait() == 0
    imported = set(re.findall(r"[| ](\S+)$", run.err.decode(), re.MULTILINE))
    assert "orchestrator.config.procfile" in imported
    dear = {
        f"orchestrator.config.{name}"
        for name in "toml schema.component schema.fields loading schema dump dotenv".split()
    }
    dear |= {"tomllib", "tomli", "difflib", "orchestrator.process.pipes"}
    dear |= {"ssl", "http.client", "urllib.request", "email", "xml", "html", "asyncio"}
    assert not imported & dear


def test_a_mistake_starts_nothing(here):
    run = here.write("[components.web]\ncommand = 'touch web'\nreplicsa = 2\n").up()
    assert run.wait() == 2
    assert (
        run.err.decode()
        == "orchestrate: orchestrate.toml:3: components.web.replicsa: unknown key; did you mean 'replicas'?\n"
    )
    assert not (here.path / "web").exists()
    assert not (here.path / ".orchestrate").exists()


def test_dry_run_starts_nothing(here):
    text = here.write(SYSTEM, dot_env="B=b").output("up", "--dry-run")
    assert re.findall(r"^([\w.]+):", text, re.MULTILINE) == ["migrate", "db", "web.1", "web.2"]
    assert "PORT=5101; after db (ready)" in text
    assert not (here.path / "migrated").exists()
    assert not (here.path / ".orchestrate").exists()


def test_what_starts_only_on_request_is_not_in_a_dry_run_and_marked_in_the_graph(here):
    here.write(
        "[components.web]\ncommand = 'exec sleep 9'\n[components.extra]\ncommand = 'exec sleep 9'\nautostart = false\n"
    )
    assert re.findall(r"^([\w.]+):", here.output("up", "--dry-run"), re.MULTILINE) == ["web"]
    assert re.findall(r"^([\w.]+):", here.output("up", "extra", "--dry-run"), re.MULTILINE) == ["extra"]
    assert here.output("graph") == "web    at once\nextra  at once, on request\n"


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_config_can_be_read_again_and_tells_no_secret(here, form):
    text = here.write(SYSTEM, dot_env="B='b$$'\n").output("config", *form)
    assert "hunter2" not in text
    assert "http://me:********@x:${PORT}" in text
    if not form:
        (here.path / "again.toml").write_text(text)
        assert here.output("config", "-f", "again.toml") == text
        assert 'A = "b$$$$"' in text
    else:
        assert json.loads(text)["components"]["web"]["port"] == 5100


def test_config_tells_no_secret_where_a_variable_brings_it_elsewhere(here):
    text = """
        [components.web]
        command = ["serve", "--password=${PASSWORD}", "${TOKEN:+with a token}"]
        environment = { PASSWORD = "hunter2", DSN_OF_ALL = "x:${PASSWORD}", PLAIN = "${LEVEL}" }
        ready = { http = "http://h/?key=${TOKEN}", request_headers = { X-Auth = "${PASSWORD}" } }
        stop = { command = ["bye", "${TOKEN}"] }
    """
    here.write(text, dot_env="TOKEN=hunter2\nLEVEL=debug\n")
    (here.path / "serve").write_text("")
    (here.path / "serve").chmod(0o755)
    found = here.output("config", "--json", env={"PATH": f"{here.path}:{os.environ['PATH']}"})
    web = json.loads(found)["components"]["web"]
    assert "hunter2" not in found
    assert web["command"] == ["serve", "--password=********", "with a token"]
    assert web["environment"] == {"PASSWORD": "********", "DSN_OF_ALL": "x:********", "PLAIN": "debug"}
    assert web["ready"]["http"] == "http://h/?key=********"
    assert web["stop"]["command"] == ["bye", "********"]


@pytest.mark.parametrize("stop", ["signal = 35", 'signal = "35"', 'sequence = ["35", 2, "KILL"]', 'signal = "USR1"'])
def test_config_tells_any_signal_so_that_it_can_be_read_again(here, stop):
    text = here.write(f"[components.web]\ncommand = 'true'\nstop = {{ {stop} }}\n").output("config")
    (here.path / "again.toml").write_text(text)
    assert here.output("config", "-f", "again.toml") == text
    assert re.search(r'"(35|USR1)"', text), text


def test_env_tells_where_each_variable_comes_from(here):
    here.write(SYSTEM, dot_env="B=b\nHOME=/elsewhere\n")
    text = here.output("env", "web.2", env={"FROM_SHELL": "1"})
    found = {name: (value, origin) for name, value, origin in re.findall(r"^(\w+)=(.*?) +# (.*)$", text, re.MULTILINE)}
    assert found["A"] == ("b", "orchestrate.toml:11")
    assert found["B"] == ("b", ".env:1")
    assert found["FROM_SHELL"][1] == found["HOME"][1] == "the shell"
    assert found["PORT"] == ("5101", "assigned from 5000")
    assert found["PS"] == ("web.2", "orchestrate")
    assert found["API_KEY"][0] == "********"
    assert "hunter2" not in text
    assert "API_KEY=hunter2 " in here.output("env", "web", "--reveal")
    assert {"name": "B", "value": "b", "origin": ".env:1"} in json.loads(here.output("env", "web", "--json"))
    assert "did you mean 'web'?" in here.output("env", "wbe", status=2)


def test_run(here):
    here.write(SYSTEM, dot_env="B=b\n")
    assert here.output("run", "web") == "b\n"
    assert here.output("run", "web.2", "--", "sh", "-c", "echo $PORT $A") == "5101 b\n"
    assert here.output("run", "--", "sh", "-c", "echo $B $PORT") == "b\n"
    assert here.output("run", "sh", "-c", "echo $B -x --json") == "b -x --json\n"
    for words, status in ((["sh", "-c", "exit 5"], 5), (["no-such-command-xyz"], 127), (["./orchestrate.toml"], 126)):
        assert here.run("run", "--", *words).wait() == status
    assert here.run("run", "--", "sh", "-c", "kill -TERM $$").wait() == -15
    assert "nothing to run" in here.output("run", status=2)
    assert "unknown component 'wbe'" in here.output("run", "wbe", "--", "true", status=2)


def test_the_formation_counts_for_run_and_env_too(here):
    here.write(component("web", "true"))
    assert "PORT=5002 " in here.output("env", "web.3", "-m", "web=3")
    assert here.output("-m", "all=2", "run", "web.2", "--", "sh", "-c", "echo $PS $PORT") == "web.2 5001\n"
    assert "unknown component 'web.3'" in here.output("env", "web.3", status=2)


def test_run_and_env_need_no_definition(here):
    (here.path / ".env").write_text("B=b\n")
    assert here.output("run", "sh", "-c", "echo $B") == "b\n"
    assert "B=b " in here.output("env")
    assert "cannot find" in here.output("env", "web", status=2)
    assert "unknown component 'web'" in here.output("run", "web", "--", "true", status=2)
    assert "no such file" in here.output("run", "-f", "none", "--", "true", status=2)


def test_run_has_the_users_own_terminal(here):
    run = here.write(SYSTEM, dot_env="B=b\n").run("run", "--", "sh", "-c", "tty; read x; echo got $x", terminal=True)
    run.wait_for("/dev/pts/")
    os.write(run.terminal_fd, b"typed\n")
    run.wait_for("got typed")
    assert run.wait() == 0


def test_graph(here):
    here.write(SYSTEM, dot_env="B=b\n")
    assert here.output("graph").splitlines() == [
        "migrate  an initial step",
        "db       at once",
        "web.1    after db (ready)",
        "web.2    after db (ready)",
    ]
    assert "n1 -->|ready| n3" in here.output("graph", "--mermaid")
    assert '"db" -> "web.1" [label="ready"];' in here.output("graph", "--dot")


def test_what_becomes_ready_during_the_stop_lets_nobody_start(here):
    here.write(
        component("db", "until [ -e on ]; do sleep 0.02; done; echo r; exec sleep 60", 'ready = { log = "^r" }')
        + component("slow", "trap 'touch on; sleep 1; exit' TERM; echo up; while :; do sleep 0.02; done").replace(
            "command =", 'depends_on = { db = "started" }\ncommand ='
        )
        + component("late", "echo started", 'depends_on = { db = "ready" }')
    )
    run = here.up()
    run.wait_for(r"^slow +\| up")
    run.signal(15)
    ended(run, -15)
    assert lines_of(run, "db") == ["r"]
    assert lines_of(run, "late") == []
