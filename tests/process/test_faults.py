"""Whatever dies, and however: nothing is left, the exit status is right, and the home is free at once.

The trees are those of programs/trees.py. Cases that do not disturb each other run side by side, and all that went
wrong is told together.
"""

import functools
import os
import signal
import time

import pytest
from harness import PATIENCE, children, describe, pump, tree, until, voice
from lateness import Late

GENTLE = ["plain", "family", "group", "session", "double", "daemon", "stopped", "frozen", "threaded"]
STUBBORN = ["deaf", "deaf-stopped", "fleer", "hopper"]
LEAVERS = ["left", "left-deaf", "left-stopped", "holder"]
GRACE = 2.0
SOON = (
    2.0  # on top of the grace, or instead of it: what an end without KILL, or without grace, may take on a busy machine
)

DEATHS = {
    "SIGINT": (lambda run: run.signal(signal.SIGINT), -signal.SIGINT),
    "SIGTERM": (lambda run: run.signal(signal.SIGTERM), -signal.SIGTERM),
    "SIGHUP": (lambda run: run.signal(signal.SIGHUP), -signal.SIGHUP),
    "SIGQUIT": (lambda run: run.signal(signal.SIGQUIT), 128 + signal.SIGQUIT),
    "SIGKILL": (lambda run: run.signal(signal.SIGKILL), -signal.SIGKILL),
    "SIGTERM-to-the-group": (lambda run: os.killpg(run.pid, signal.SIGTERM), -signal.SIGTERM),
    "ctrl-c": (lambda run: os.write(run.terminal_fd, b"\x03"), -signal.SIGINT),
    "dropped-line": (lambda run: run.close_fd(run.terminal_fd), -signal.SIGHUP),
}
NEED_A_TERMINAL = {"ctrl-c", "dropped-line"}


both_leaders = pytest.mark.parametrize("leader", ["program", "shell"])


def system(home, names, *options, leader="program", **run):
    """All these trees under one supervisor, started and not waited for."""
    home.write(**{name: tree(name, leader=leader) for name in names})
    return home.up("-t", GRACE, "--color", "never", *options, **run)


def what_went_wrong(name, run, since, status, seconds):
    """Wait for the end of everything; one line for each thing that is not as it must be."""
    left = run.survivors(PATIENCE)
    if left:
        yield f"{name}: left:\n  " + "\n  ".join(left) + f"\n{run}"
    elif run.vacant_at - since > seconds:
        yield Late(f"{name}: nothing left only after {run.vacant_at - since:.2f} s instead of {seconds} s\n{run}")
    if not left and run.returncode != status:
        yield f"{name}: exit status {run.returncode} instead of {status}\n{run}"
    if "Traceback" in run.messages:
        yield f"{name}: traceback\n{run}"


def started_again(cases):
    """On each home a new system comes up at once: `cases` is (name, home); what does not, in words."""
    runs = []
    for name, home in cases:
        home.write(name="Again", again=tree("plain"))
        runs.append((name, home.up("--color", "never", file="Again")))
    for name, run in runs:
        if (
            not pump(lambda run=run: "| ready" in run.text or run.returncode is not None, PATIENCE)
            or run.returncode is not None
        ):
            yield f"{name}: the next start does not come up\n{run}"
        elif "wait" in run.messages:
            yield f"{name}: the next start had to wait\n{run}"
        else:
            run.stop()


def verdict(problems):
    problems = list(problems)
    words = "\n\n".join(map(str, problems))
    if problems and all(isinstance(problem, Late) for problem in problems):
        raise Late(words)
    if problems:
        pytest.fail(words)


@both_leaders
@pytest.mark.parametrize("death", DEATHS)
def test_nothing_is_left_of_any_tree(death, leader, homes):
    act, status = DEATHS[death]
    cases = []
    for terminal in (True,) if death in NEED_A_TERMINAL else (True, False):
        for kind, names in (("gentle", GENTLE), ("stubborn", STUBBORN)):
            name = f"{kind} {'on a terminal' if terminal else 'without a terminal'}"
            home = homes(name.replace(" ", "-"))
            cases.append((name, names, home, system(home, names, terminal=terminal, leader=leader)))
    begun = []
    for _, names, _, run in cases:
        run.wait_ready(*names)
    for *_, run in cases:
        begun.append(time.monotonic())
        act(run)
    problems = []
    for (name, names, _, run), since in zip(cases, begun, strict=True):
        seconds = GRACE + SOON if names is STUBBORN and death != "SIGQUIT" else SOON
        problems += what_went_wrong(f"{death}, {name}", run, since, status, seconds)
    verdict(problems or started_again((name, home) for name, _, home, _ in cases))


@both_leaders
@pytest.mark.parametrize("victim", ["supervisor by TERM", "supervisor by KILL", "guardian by KILL"])
def test_nothing_is_left_of_each_tree_alone(victim, leader, homes):
    """Alone: no other component's end can hasten this one's."""
    runs = [(name, home, system(home, [name], leader=leader)) for name in GENTLE + STUBBORN for home in [homes(name)]]
    problems = []
    begun = {}
    for name, _, run in runs:
        run.wait_ready(name)
        pid = run.guardian_of(f"trees.py {name}") if "guardian" in victim else run.pid
        begun[name] = time.monotonic()
        os.kill(pid, signal.SIGTERM if "TERM" in victim else signal.SIGKILL)
    status = {"supervisor by TERM": -signal.SIGTERM, "supervisor by KILL": -signal.SIGKILL, "guardian by KILL": 1}[
        victim
    ]
    for name, _, run in runs:
        seconds = GRACE + SOON if name in STUBBORN or "guardian" in victim else SOON
        problems += what_went_wrong(f"{victim}, {name}", run, begun[name], status, seconds)
    verdict(problems or started_again((name, home) for name, home, _ in runs))


def test_a_killed_guardian_counts_as_a_failed_component_and_stops_the_others(home):
    run = system(home, ["daemon", "session", "plain"])
    run.wait_ready("daemon", "session", "plain")
    since = time.monotonic()
    os.kill(run.guardian_of("trees.py daemon"), signal.SIGKILL)
    verdict(what_went_wrong("guardian of daemon", run, since, 1, GRACE + SOON))
    assert "daemon" in "".join(line for line in run.messages.splitlines() if "orchestrate" in line), str(run)


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "no terminal"])
def test_after_the_death_of_the_supervisor_a_component_can_say_its_last_words(terminal, home):
    """It sees TERM and not a hang-up, which servers take as `reload`; and its terminal is read to the end."""
    told = home.path / "told"
    run = home.write(web=voice("cleanup", told)).up("-t", 5, "--color", "never", terminal=terminal)
    run.wait_ready("web")
    since = run.signal(signal.SIGKILL)
    verdict(what_went_wrong("last words", run, since, -signal.SIGKILL, 5))
    assert told.read_text() == "TERM\nclean\n"


@both_leaders
def test_after_the_death_of_supervisor_and_guardians_together_the_home_is_free(leader, homes):
    """The one exception to nothing-is-left: only the kernel's hang-up acts. There is no lock that could go stale."""
    home = homes("home")
    run = system(home, ["plain", "family"], terminal=True, leader=leader)
    run.wait_ready("plain", "family")
    since = time.monotonic()
    run.kill_with_guardians()
    verdict(what_went_wrong("all of ours", run, since, -signal.SIGKILL, SOON))
    verdict(started_again([("all of ours", home)]))


def test_a_guardian_takes_no_signal_from_outside(home):
    run = system(home, ["plain"])
    run.wait_ready("plain")
    guardian = run.guardian_of("trees.py plain")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(guardian, number)
    home.write(name="Other", plain=tree("plain"))
    second = home.up(file="Other")  # what happens later: the home is still held
    assert second.wait() == 75
    assert guardian in children(run.pid)
    run.stop()


def test_a_second_interrupt_skips_the_grace_half_a_second_after_the_first(home):
    home.write(clock=voice("clock"), deaf=tree("deaf"))
    run = home.up("-t", 60, "--color", "never", terminal=True)
    run.wait_ready("clock", "deaf")
    run.signal(signal.SIGINT)
    run.signal(signal.SIGINT)  # npm and ssh deliver it twice: this one does not count
    run.wait_for(r"^clock +\| later$")
    since = run.signal(signal.SIGINT)
    verdict(what_went_wrong("second interrupt", run, since, -signal.SIGINT, SOON))


MOMENTS = {
    "the pid exists": lambda home, run: True,
    "the lock file exists": lambda home, run: home.lock.exists(),
    "the first guardian exists": lambda home, run: children(run.pid),
    "the first leader exists": lambda home, run: [pid for child in children(run.pid) for pid in children(child)],
    "the last guardian exists": lambda home, run: len(children(run.pid)) >= 3,
}


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda number: number.name
)
def test_nothing_is_left_of_a_start_cut_short(number, homes):
    cases = []
    for name, moment in MOMENTS.items():
        home = homes(name.replace(" ", "-"))
        run = system(home, ["daemon", "session", "deaf"])
        found = until(functools.partial(moment, home, run), interval=0)
        since = run.signal(number)
        assert found, f"never came: {name}\n{run}"
        cases.append((name, home, run, since))
    problems = []
    for name, _, run, since in cases:
        wrong = list(what_went_wrong(f"{number.name} when {name}", run, since, -number, GRACE + SOON))
        # Before our first line a SIGINT is the interpreter's: it prints a traceback of its own start.
        early = number == signal.SIGINT and name == "the pid exists" and "orchestrator" not in run.messages
        if wrong and early and not run.survivors(PATIENCE):
            continue
        problems += wrong
    verdict(problems or started_again((name, home) for name, home, _, _ in cases))


@both_leaders
def test_what_a_leader_leaves_behind_goes_with_it(leader, homes):
    """Swept: the stop signal at once, SIGKILL after the grace period. The exit status is the leader's."""
    cases = []
    for terminal in (True, False):
        for name in LEAVERS:
            home = homes(f"{name}-{terminal}")
            home.write(**{name: tree(name, 7, leader=leader), "other": tree("plain", leader=leader)})
            cases.append((name, home, home.up("-t", GRACE, "--color", "never", terminal=terminal)))
    problems = []
    for name, _, run in cases:
        since = run.wait_for(rf"^{name} *\| ready")
        problems += what_went_wrong(name, run, since, 7, GRACE + SOON)
    verdict(problems or started_again((name, home) for name, home, _ in cases))


def leader_of(guardian):
    """The one process of a fixture tree that has not named itself after its part."""
    return [pid for pid in children(guardian) if describe(pid).split()[1].startswith("python")]


@pytest.mark.parametrize("victim", ["supervisor", "guardian"])
def test_nothing_is_left_when_the_sweep_itself_is_cut_short(victim, homes):
    cases = []
    for name in ("left-deaf", "holder"):
        home = homes(name)
        home.write(**{name: tree(name, 7)})
        run = home.up("-t", GRACE, "--color", "never")
        run.wait_for(rf"^{name} *\| ready")
        guardian = next(pid for pid in run.living() if pid in children(run.pid))
        assert until(lambda above=guardian: not leader_of(above)), f"{name}: the leader stays"
        since = time.monotonic()
        os.kill(run.pid if victim == "supervisor" else guardian, signal.SIGKILL)
        cases.append((name, home, run, since))
    problems = []
    for name, _, run, since in cases:
        run.wait()
        status = -signal.SIGKILL if victim == "supervisor" else run.returncode
        problems += what_went_wrong(name, run, since, status, GRACE + SOON)
        if run.returncode == 0:
            problems.append(f"{name}: exit status 0 after a death\n{run}")
    verdict(problems or started_again((name, home) for name, home, _, _ in cases))


@both_leaders
@pytest.mark.parametrize("victim", ["supervisor", "guardian"])
def test_nothing_is_left_when_the_stop_itself_is_cut_short(victim, leader, homes):
    """The grace that already runs is not given twice."""
    cases = []
    for terminal in (True, False):
        home = homes(f"terminal-{terminal}")
        home.write(clock=voice("clock"), deaf=tree("deaf", leader=leader), daemon=tree("daemon", leader=leader))
        run = home.up("-t", GRACE, "--color", "never", terminal=terminal)
        run.wait_ready("clock", "deaf", "daemon")
        guardian = run.guardian_of("trees.py deaf")
        since = run.signal(signal.SIGTERM)
        run.wait_for(r"^clock +\| later$")
        os.kill(guardian if victim == "guardian" else run.pid, signal.SIGKILL)
        cases.append((f"{victim}, terminal {terminal}", home, run, since))
    problems = []
    status = -signal.SIGTERM if victim == "guardian" else -signal.SIGKILL
    for name, _, run, since in cases:
        problems += what_went_wrong(name, run, since, status, GRACE + SOON)
    verdict(problems or started_again((name, home) for name, home, _, _ in cases))


def test_quit_ends_a_stop_that_is_still_giving_grace(home):
    """The exit status stays that of the first."""
    run = system(home, ["deaf"], "-t", 60)
    run.wait_ready("deaf")
    run.signal(signal.SIGTERM)
    run.wait_for(r"^orchestrate +\| SIGTERM received$")
    since = run.signal(signal.SIGQUIT)
    verdict(what_went_wrong("TERM, then QUIT", run, since, -signal.SIGTERM, SOON))


ENDS = {
    "its own code": ("exit 7", 7),
    "1 where it is 0 and nobody asked it to end": ("exit 0", 1),
    "128 and the signal it died of": ("kill -9 $$", 137),
}


def test_the_system_ends_with_the_status_of_the_component_that_ended(homes):
    cases = []
    for words, (command, status) in ENDS.items():
        home = homes(command.replace(" ", "-"))
        home.write(web=command, other=tree("plain"))
        cases.append((words, status, home.up("--color", "never"), time.monotonic()))
    problems = []
    for words, status, run, since in cases:
        problems += what_went_wrong(words, run, since, status, 5)
    verdict(problems)
