"""Each process of a component gets the stop signal once, no SIGHUP, and its whole grace period, whatever the command.

Commands with and without `exec`, on terminals and on pipes, ended in each way. The worker of
programs/signal_log.py notes each signal that it gets; it exits with status 7.
"""

import os
import re
import shlex
import signal
import sys
import textwrap
import time

import pytest
from definitions import Directory, component
from harness import PROGRAMS, PYTHON, children, describe, leader_among, plain, pump, stat_of, until

WORKER, SHELL_DIED = "exited with status 7", "killed by SIGTERM"
WRAPPER = "import subprocess, sys; subprocess.call(sys.argv[1:])"

# The command, and how its exit is reported; W is the worker. What follows a worker is not run once the shell has died.
SHAPES = {
    "bare": ("W", WORKER),
    "exec": ("exec W", WORKER),
    "cd": ("cd / && W", WORKER),
    "assignment": ("A=1 W", WORKER),
    "list": ("W; echo after", SHELL_DIED),
    "last": ("true; W", WORKER),
    "pipe": ("W | cat", SHELL_DIED),  # of cat, whose status is the pipeline's
    "end-of-pipe": ("sleep 99 | W", WORKER),
    "subshell": ("(W)", WORKER),
    "two-shells": ("sh -c 'sh -c W'", WORKER),
    "bash": ("bash -c 'W; true'", SHELL_DIED),
    "bash-last": ("bash -c 'true; W'", WORKER),
    "script": ("bash DIR/script.sh", WORKER),
    "trap": ("bash DIR/trap.sh", "exited with status 9"),
    "wrapper": (f"{shlex.join([*PYTHON, '-c', WRAPPER])} W", SHELL_DIED),
    "make": ("make -s -f DIR/makefile", SHELL_DIED),  # it passes the signal on, waits, and dies of it
}


def worker(directory, name, *rest):
    return shlex.join([*PYTHON, str(PROGRAMS / "signal_log.py"), str(directory), name, *map(str, rest)])


def command(path, name, text, *rest):
    inner = worker(path, name, *rest)
    if text == "sh -c 'sh -c W'":
        return shlex.join(["sh", "-c", shlex.join(["sh", "-c", inner])])
    if match := re.fullmatch(r"bash -c '(.*)'", text):
        return shlex.join(["bash", "-c", match[1].replace("W", inner)])
    (path / "script.sh").write_text(f"# a comment\necho script\n{worker(path, 'script', *rest)}\n")
    (path / "trap.sh").write_text(
        f"trap 'echo trapped >>{path}/trapped; wait $child; exit 9' TERM\n{worker(path, 'trap', *rest)} &\nchild=$!\n"
        "wait $child\n"
    )
    (path / "makefile").write_text(f"all:\n\t@{worker(path, 'make', *rest)}\n")
    return text.replace("DIR", str(path)).replace("W", inner, 1) if "W" in text else text.replace("DIR", str(path))


def definition(path, tty, *lines):
    return "\n".join(
        component(name, command(path, name, text), f"tty = {tty}", 'on_exit = "ignore"', *lines)
        for name, (text, _) in SHAPES.items()
    )


class Place(Directory):
    def logs(self, name):
        """What each worker of this name has noted, the oldest first."""
        files = sorted(self.path.glob(f"{name}.[0-9]*"), key=lambda file: file.stat().st_mtime_ns)
        return [file.read_text().splitlines() for file in files]

    def started(self, run, names, count=1):
        assert until(lambda: all(len(self.logs(name)) == count for name in names)), f"{run}"
        assert until(lambda: all(log for name in names for log in self.logs(name)))
        return run

    def up(self, text, *words, **more):
        run = self.write(text).run("up", "--color", "never", *words, **more)
        return self.started(run, re.findall(r"^\[components\.([\w-]+)\]", text, re.MULTILINE))

    def ask(self, *words, status=0):
        run = self.run(*words)
        assert run.wait() == status, str(run)
        return run.text


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def signals_of(log):
    return [line.split()[0] for line in log if line.startswith("SIG") and not line.startswith("SIGCONT")]


def faults(place, run, which=0, stop="SIGTERM"):
    for name, (_, reported) in SHAPES.items():
        logs = place.logs(name)
        got = signals_of(logs[which])
        if name == "make" and len({line.split()[2] for line in logs[which] if line.startswith("SIGTERM")}) == len(got):
            got = got[:1]  # make(1) passes it on itself
        if got != [stop] or logs[which][-1] != "done":
            yield f"{name}: {logs[which]}"
        if run is not None and not re.search(rf"^orchestrate \| {name} .*\({re.escape(reported)}\)", run.text, re.M):
            yield f"{name}: not reported as {reported!r}"
    if (place.path / "trapped").read_text() != "trapped\n" * (which + 1):
        yield "trap: its shell did not get the signal once"


def no_faults(place, run, *more):
    found = list(faults(place, run, *more))
    assert not found, "\n".join([*found, str(run)])


def second_terminal(*words):
    return lambda place, run: place.ask(*words, *([] if words == ("down",) else SHAPES))


WAYS = {
    "stop": second_terminal("stop"),
    "down": second_terminal("down"),
    "SIGTERM": lambda place, run: run.signal(signal.SIGTERM),
    "SIGHUP": lambda place, run: run.signal(signal.SIGHUP),
    "ctrl-c": lambda place, run: os.write(run.terminal_fd, b"\x03"),
    "supervisor killed": lambda place, run: run.signal(signal.SIGKILL),
}


@pytest.mark.parametrize("tty", ["true", "false"])
@pytest.mark.parametrize("way", WAYS)
def test_each_process_gets_the_stop_signal_once_and_finishes(place, way, tty):
    run = place.up(definition(place.path, tty), terminal=way == "ctrl-c", columns=200)
    WAYS[way](place, run)
    if way == "stop":
        for name in SHAPES:
            run.wait_for(rf"^orchestrate \| {name} stopped")
        no_faults(place, run)
        run.signal(signal.SIGTERM)
    run.wait()
    assert run.survivors(20) == [], str(run)
    no_faults(place, None if way == "supervisor killed" else run)


@pytest.mark.parametrize("tty", ["true", "false"])
def test_a_restart_waits_for_the_job_too(place, tty):
    run = place.up(definition(place.path, tty))
    place.ask("restart", *SHAPES)
    for name in SHAPES:
        run.wait_for(rf"^orchestrate \| {name} stopped")
    no_faults(place, run)
    place.started(run, SHAPES, count=2)
    run.stop()
    no_faults(place, run, 1)


@pytest.mark.parametrize("tty", ["true", "false"])
def test_killed_guardians_leave_the_job_its_time(place, tty):
    """The supervisor adopts the trees: the stop signal once, and no SIGHUP."""
    run = place.up(definition(place.path, tty))
    for pid, _ in run.guardians():
        os.kill(pid, signal.SIGKILL)
    run.wait()
    assert run.survivors(20) == [], str(run)
    no_faults(place, None)


@pytest.mark.parametrize("scope", ["leader", "group", "tree"])
def test_scopes(place, scope):
    """With a leader that handles the signal, `leader` reaches nobody else while that runs."""
    stop = f'stop = {{ scope = "{scope}", timeout = 5 }}'
    script = place.path / "leader.sh"
    script.write_text(
        f"trap 'echo got >>{place.path}/got; wait $apart $child; exit 3' TERM\n"
        f"setsid {worker(place.path, 'apart', 0.1)} &\napart=$!\n{worker(place.path, 'child', 0.1)} &\nchild=$!\nwait\n"
    )
    run = place.write(component("web", f"exec bash {script}", stop)).run("up", "--color", "never")
    place.started(run, ["child", "apart"])
    run.signal(signal.SIGTERM)
    run.wait()
    assert run.survivors(10) == []
    assert (place.path / "got").read_text() == "got\n"
    reached = {name for name in ("child", "apart") if signals_of(place.logs(name)[0]) == ["SIGTERM"]}
    assert reached == {"leader": set(), "group": {"child"}, "tree": {"child", "apart"}}[scope], str(run)


def test_the_rest_of_another_scope_gets_it_when_the_leader_exits(place):
    text = component("web", f"setsid {worker(place.path, 'apart')} & exec {worker(place.path, 'web', 0.1)}")
    run = place.write(text).run("up", "--color", "never")
    place.started(run, ["web", "apart"])
    run.stop()
    for name in ("web", "apart"):
        (log,) = place.logs(name)
        assert signals_of(log) == ["SIGTERM"]
        assert log[-1] == "done"


@pytest.mark.parametrize("tty", ["true", "false"])
def test_what_a_leader_leaves_has_the_grace_period_and_is_counted(place, tty):
    there = f"while ! [ -s {place.path}/one.* -a -s {place.path}/two.* ]; do sleep 0.1; done"
    start = f"{worker(place.path, 'one', 2.5)} & {worker(place.path, 'two')} &"
    run = place.write(component("web", f"{start} {there}; exit 5", f"tty = {tty}")).run("up", "--color", "never")
    assert run.wait() == 5
    assert run.survivors(10) == []
    assert "web left 2 processes running; stopping them" in run.text
    for name in ("one", "two"):
        (log,) = place.logs(name)
        assert signals_of(log) == ["SIGTERM"]
        assert log[-1] == "done", "2.5 s are less than the grace period of 10 s"


@pytest.mark.parametrize("how", ["exit", "guardian"])
def test_the_others_stop_while_what_ended_the_system_has_its_grace_period(place, how):
    """The job that is left takes until the other one has stopped; only then may it go on."""
    done = place.path / "done"
    job = f"trap 'until test -e {done}; do sleep 0.1; done; exit' TERM; echo ready; while :; do sleep 0.1; done"
    end = "exec sleep 99" if how == "guardian" else "until test -e die; do sleep 0.1; done; exit 3"
    text = component("web", f"{shlex.join(['sh', '-c', job])} & {end}", "stop = { timeout = 600 }")
    text += component("api", f"exec {worker(place.path, 'api', 0.1)}", "stop = { timeout = 600 }")
    run = place.write(text).run("up", "--color", "never")
    run.wait_for(r"^web +\| ready")
    place.started(run, ["api"])
    if how == "guardian":
        os.kill(run.guardian_of("sleep 99"), signal.SIGKILL)
    else:
        (place.path / "die").touch()
    assert until(lambda: place.logs("api")[0][-1] == "done"), str(run)
    assert "stopping api because web exited" in run.text
    done.touch()
    assert run.wait() == (1 if how == "guardian" else 3)
    assert run.survivors(10) == []
    assert "web stopped" not in run.text, "its exit was reported before"


def test_a_component_that_daemonizes_is_identified(place):
    code = "import os, signal, sys\nif os.fork(): os.wait(); sys.exit()\nos.setsid()\nif os.fork(): os._exit(0)\n"
    (place.path / "daemon.py").write_text(code + "signal.pause()\n")
    run = place.write(component("web", shlex.join([*PYTHON, "daemon.py"]))).run("up", "--color", "never")
    assert run.wait() == 0
    assert run.survivors(10) == []
    assert "web left 1 process running; stopping it" in run.text
    assert "hint: start web in the foreground, without `&` or an option that makes it a daemon" in run.text


def test_the_grace_period_ends_in_a_kill_for_what_a_shell_leaves(place):
    text = component("web", worker(place.path, "web", 60), "stop = { timeout = 1 }")
    run = place.write(text).run("up", "--color", "never")
    place.started(run, ["web"])
    since = run.signal(signal.SIGTERM)
    run.wait()
    assert run.survivors(5) == []
    assert 1.0 <= run.vacant_at - since < 3.0
    assert "web stopped (killed by SIGKILL)" in run.text, "the shell died of SIGTERM, its worker of SIGKILL"


def test_a_stop_signal_sent_by_hand_counts(place):
    """`signal TERM` kills the shell; the worker is not signaled again, and its status is the component's."""
    run = place.write(component("web", worker(place.path, "web"))).run("up", "--color", "never")
    place.started(run, ["web"])
    place.ask("signal", "TERM", "web")
    assert run.wait() == 7, str(run)
    (log,) = place.logs("web")
    assert signals_of(log) == ["SIGTERM"]
    assert "web left" not in run.text


@pytest.mark.parametrize(("success", "starts"), [([7], 1), ([0], 2)])
def test_the_status_of_a_relayed_command_counts_for_restarts_and_the_system(place, success, starts):
    restart = 'restart = { policy = "on-failure", max = 2, backoff = [0, 0] }'
    text = component("web", worker(place.path, "web"), f"success_exit_codes = {success}", restart)
    run = place.up(text, "--exit-code-from", "web")
    for count in range(1, starts + 1):
        place.started(run, ["web"], count)
        place.ask("signal", "TERM", "web")
    assert run.wait() == 7, str(run)
    assert len(place.logs("web")) == starts


def test_another_process_leads_the_session_of_a_terminal(place):
    run = place.write(component("web", "exec sleep 99")).run("up", "--color", "never")
    assert until(lambda: run.guardians() and len(children(run.guardians()[0][0])) == 2)
    ((guardian, _),) = run.guardians()
    (session,) = set(children(guardian)) - {leader := leader_among(children(guardian))}
    assert until(lambda: stat_of(leader)[3:] == (leader, session)), "a process group in the other's session"
    assert until(lambda: stat_of(session)[0] == "sleep"), "it is executed once the start is over"
    assert os.listdir(f"/proc/{session}/fd") == []
    run.stop()


@pytest.mark.parametrize("way", ["down", "restart"])
def test_a_stop_that_takes_long_says_what_it_waits_for(place, way):
    run = place.up(component("web", worker(place.path, "web", 60), "stop = { timeout = 4 }"))
    asked = place.run("restart", "web") if way == "restart" else place.run("down")
    assert asked.wait() == 0
    line = r"waiting for web to stop; killing it in 2 s \(`orchestrate kill web` to kill now\)"
    assert re.search(rf"^orchestrate \| {line}$", run.text, re.MULTILINE), str(run)
    assert re.search(rf"^orchestrate: {line}$", plain(asked.err), re.MULTILINE), str(asked)
    if way == "restart":
        run.signal(signal.SIGQUIT)
    run.wait()
    assert run.survivors(5) == []


def test_ctrl_c_again_kills_and_the_report_says_so(place):
    run = place.up(component("web", worker(place.path, "web", 60)), terminal=True, columns=120)
    os.write(run.terminal_fd, b"\x03")
    run.wait_for(r"^orchestrate \| waiting for web to stop; killing it in 8 s \(Ctrl-C again to kill now\)$")
    os.write(run.terminal_fd, b"\x03")
    assert run.wait() == -signal.SIGINT
    assert run.survivors(5) == []
    assert b"^C" not in run.out, "the terminal does not echo it"


@pytest.mark.parametrize("way", ["itself", "down", "TERM"])
def test_the_first_ctrl_c_does_not_kill_though_the_stop_began_otherwise(place, way):
    handler = "echo saving; sleep 1; echo later; sleep 3; echo saved; exit 0"
    saving = f"trap '{handler}' TERM; echo up; while :; do sleep 0.2; done"
    ending = "until [ -e go ]; do sleep 0.05; done; exit 1" if way == "itself" else "exec sleep 99"
    text = component("db", saving) + component("brief", ending)
    run = place.write(text).run("up", "--color", "never", terminal=True, columns=120)
    run.wait_for("^db +\\| up$")
    (place.path / "go").touch()
    asked = place.run("down") if way == "down" else None
    if way == "TERM":
        run.signal(signal.SIGTERM)
    run.wait_for("^db +\\| later$")
    os.write(run.terminal_fd, b"\x03")
    run.wait_for(r"^orchestrate \| SIGINT received: already stopping \(Ctrl-C again to kill now\)$")
    run.wait_for("^db +\\| saved$")
    run.wait()
    if asked is not None:
        assert asked.wait() == 0
    assert "db stopped (exited with status 0)" in run.text
    assert run.survivors(5) == []


def test_the_second_ctrl_c_kills_though_the_stop_began_by_itself(place):
    text = component("db", worker(place.path, "db", 60)) + component("brief", "sleep 1")
    run = place.write(text).run("up", "--color", "never", terminal=True, columns=120)
    run.wait_for(r"^orchestrate \| waiting for db to stop; killing it in 8 s \(Ctrl-C twice to kill now\)$")
    os.write(run.terminal_fd, b"\x03")
    run.wait_for("already stopping")
    pump(lambda: False, 0.6)
    since = time.monotonic()
    os.write(run.terminal_fd, b"\x03")
    run.wait_for("second Ctrl-C: killing what is left")
    run.wait()
    assert time.monotonic() - since < 3
    assert run.survivors(5) == []


def test_a_long_initial_step_is_announced(place):
    place.write("[init.migrate]\ncommand = 'sleep 99'\ntimeout = 30\n" + component("web", "sleep 99"))
    run = place.run("up", "--color", "never")
    run.wait_for(r"^orchestrate \| waiting for migrate: has run for 5 s of at most 30 s$")
    run.stop()


def test_the_first_example_of_the_readme(place):
    """A worker that finishes its job, started as a newcomer writes it."""
    (place.path / "worker.py").write_text(
        textwrap.dedent("""
        import signal, sys, time

        def finish(number, frame):
            print("finishing job 17", flush=True)
            time.sleep(0.5)
            print("done", flush=True)
            sys.exit(0)

        signal.signal(signal.SIGTERM, finish)
        print("ready, 4 queues", flush=True)
        while True:
            signal.pause()
        """)
    )
    (place.path / "Procfile").write_text("worker: python worker.py\n")
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    run = place.run("--color", "never", env={"PATH": path})
    run.wait_for("ready, 4 queues")
    ((_, leader),) = run.guardians()
    (pid,) = children(int(leader.split()[0]))
    assert until(lambda: stat_of(pid)[1] == "S")
    run.signal(signal.SIGINT)
    assert run.wait() == -signal.SIGINT
    assert re.search(r"^worker +\| done$", run.text, re.MULTILINE)
    assert "worker stopped (exited with status 0)" in run.text


def test_guardians_killed_one_after_another_signal_nobody_twice(place):
    """What the supervisor has adopted from the first is still there when it looks at what the second has left."""
    names = ("one", "two")
    text = "\n".join(component(name, worker(place.path, name, 3), 'on_exit = "ignore"') for name in names)
    run = place.up(text)
    for name in names:
        os.kill(run.guardian_of(f" {name} 3"), signal.SIGKILL)
        assert until(lambda name=name: signals_of(place.logs(name)[0])), str(run)
    run.wait()
    assert run.survivors(10) == []
    for name in names:
        (log,) = place.logs(name)
        assert (signals_of(log), log[-1]) == (["SIGTERM"], "done")


def test_without_supervisor_and_guardian_the_kernel_hangs_up(place):
    """The session leader dies of the hang-up that the last close of the master is, and the component gets one."""
    run = place.up(component("web", worker(place.path, "web")))
    run.kill_with_guardians()
    assert until(lambda: signals_of(place.logs("web")[0]) == ["SIGHUP"]), place.logs("web")
    assert until(lambda: len(run.living()) == 1), "the session leader is gone"
    (pid,) = run.living()
    assert "signal_log.py" in describe(pid)
    os.kill(pid, signal.SIGTERM)
    assert run.survivors(5) == []
