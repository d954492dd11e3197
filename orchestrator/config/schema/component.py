"""The keys of orchestrate.toml: one table for reading, for the JSON Schema and for what is told of a mistake.

A key is an entry here and a field of `definition.Member` (tests hold that). The probes are in `probekeys`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.config.definition import EnvFile
from orchestrator.config.durations import parse_duration
from orchestrator.config.schema.fields import (
    DAY,
    SECONDS,
    SOON,
    ByType,
    Choice,
    Flag,
    ListOf,
    Made,
    MapOf,
    Number,
    SchemaKey,
    Table,
    Text,
)
from orchestrator.config.schema.limits import IDENTITY
from orchestrator.config.schema.probes import ALIVE, ARGV, FAILED, READY, WORDS, template
from orchestrator.model import errors
from orchestrator.model.prompt_rules import PromptAction, Rule
from orchestrator.model.spec import (
    Condition,
    Dependency,
    OnExit,
    RestartPlan,
    RestartPolicy,
    Scope,
    StopPlan,
    StopStep,
    name_fault,
)

VARIABLE = r"^[A-Za-z_][A-Za-z0-9_.-]*$"
NAME = r"^\w[\w.-]*$"
_BASIC = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
COLORS = (*_BASIC, *(f"bright_{color}" for color in _BASIC))


def _words(kind: Any, elsewhere: Mapping[str, str] | None = None, **aliases: Any) -> Choice:
    return Choice({member.value: member for member in kind}, aliases, elsewhere or {})


def _variable_fault(name: str) -> str:
    return "" if re.match(VARIABLE, name) else "a variable starts with a letter or underscore"


def _signal(word: str | int) -> int:
    number = errors.signal_number(str(word))
    if number is None:
        raise ValueError(f"{word!r} is not a signal; write TERM, INT, QUIT, HUP, USR1 …")
    return number


_TEXTS = ListOf(Text())
_FILE = Made(
    Table(
        {
            "path": SchemaKey(Text("a file"), "The file; relative to the definition's directory.", required=True),
            "required": SchemaKey(Flag(), "Whether it is an error if the file does not exist (true)."),
        }
    ),
    lambda read: EnvFile(**read),
)
_ONE_FILE = ByType({str: Made(Text(), EnvFile), dict: _FILE})
_FILES = ByType(
    {
        list: ListOf(_ONE_FILE),
        str: Made(Text(), lambda text: (EnvFile(text),)),
        dict: Made(_FILE, lambda file: (file,)),
    }
)
_SIGNAL = Made(ByType({str: Text("the name of a signal"), int: Number(1, 64, whole=True)}), _signal)
_COMMAND = ByType({str: Text("a command"), list: WORDS})
_VALUE = Made(ByType({str: Text(empty=True), int: Number(-1e18, 1e18, whole=True), float: Number(-1e300, 1e300)}), str)
_VARIABLES = MapOf(_VALUE, _variable_fault, VARIABLE)


def _tag(text: str) -> str:
    if fault := name_fault(text):
        raise ValueError(f"{text!r} is not a valid tag: {fault}")
    return text


def _shell(text: str) -> tuple[str, ...]:
    if len(text.split()) > 1:
        raise ValueError(f'must be a list if it has arguments: ["bash", "-euo", "pipefail", "-c"], not {text!r:.40}')
    return text, "-c"


_SHELL = ByType({str: Made(Text("a shell"), _shell), list: WORDS})

# Stop

_STEPS = Made(
    ListOf(ByType({str: Made(Text(), lambda text: _step(text)), int: SECONDS, float: SECONDS}), least=1),
    lambda values: _steps(values),
)


def _step(text: str) -> int | float:
    """Return the number of a signal, or the seconds of a duration with a unit."""
    seconds = parse_duration(text)
    if seconds is None:
        return _signal(text)
    if seconds > DAY:
        raise ValueError(f"must be at most {DAY:g} seconds, not {text!r}")
    return seconds


def _steps(values: tuple[int | float, ...]) -> tuple[StopStep, ...]:
    """Read TERM, 15.0, TERM, 3.0, KILL: signals are ints here, seconds floats."""
    steps: list[StopStep] = []
    for value in values:
        if isinstance(value, int):
            steps.append(StopStep(value, 0.0))
        elif not steps or steps[-1].wait:
            raise ValueError('must begin with a signal, and seconds follow a signal: ["TERM", 10, "KILL"]')
        else:
            steps[-1] = StopStep(steps[-1].signal, value)
    return tuple(steps)


AFTERWARDS = 2.0  # seconds from the signal to the kill, where keys or a command did not end it


def _stop(read: dict[str, Any]) -> StopPlan:
    usual = StopPlan()
    scope = read.get("scope", usual.scope)
    ways = [key for key in ("sequence", "keys", "command") if key in read]
    if len(ways) > 1:
        raise ValueError(f"has {' and '.join(ways)}; one of them says how it begins")
    if "sequence" in read:
        if "signal" in read or "timeout" in read:
            raise ValueError("has a sequence, which says signal and timeout already")
        return StopPlan(read["sequence"], scope)
    step = StopStep(read.get("signal", usual.steps[0].signal), read.get("timeout", usual.steps[0].wait))
    if not ways:
        return StopPlan((step,), scope)
    first = StopStep(0, step.wait, keys=read.get("keys", ""), command=read.get("command", ()))
    return StopPlan((first, StopStep(step.signal, AFTERWARDS)), scope)


STOP = Made(
    Table(
        {
            "signal": SchemaKey(_SIGNAL, "The first signal (TERM)."),
            "timeout": SchemaKey(SECONDS, "Seconds from the signal to the kill (10)."),
            "scope": SchemaKey(
                _words(Scope), "Which processes get the signal at once: leader, group (the default) or tree."
            ),
            "keys": SchemaKey(
                Text("what is typed"), "Keys to type into its terminal first; the signal follows after the timeout."
            ),
            "command": SchemaKey(
                ARGV, "A command that runs first, beside it, in its environment; the signal follows after the timeout."
            ),
            "sequence": SchemaKey(_STEPS, 'Signals and the seconds after each: ["TERM", 15, "TERM", 3, "KILL"].'),
        }
    ),
    _stop,
)

# Restart

_BACKOFF = ListOf(SECONDS, least=2)


def _restart(read: dict[str, Any]) -> RestartPlan:
    plain = {key: value for key, value in read.items() if key != "backoff"}
    if "backoff" not in read:
        return RestartPlan(**plain)
    if len(read["backoff"]) != 2 or read["backoff"][0] > read["backoff"][1]:
        raise ValueError("backoff must be two numbers of seconds, the first pause and the longest")
    first, cap = read["backoff"]
    return RestartPlan(**plain, first=first, cap=cap)


_POLICY = _words(
    RestartPolicy,
    {
        "unless-stopped": "'always' (what is stopped on request stays stopped)",
        "on_failure": "'on-failure'",
        "onfailure": "'on-failure'",
        "exit_on_failure": 'on_exit = "stop"',
    },
    no=RestartPolicy.NEVER,
)
RESTART = ByType(
    {
        str: Made(_POLICY, RestartPlan),
        dict: Made(
            Table(
                {
                    "policy": SchemaKey(_POLICY, "When to restart: never (the default), on-failure, always."),
                    "max": SchemaKey(
                        ByType({int: Number(0, 1000000, whole=True), str: Choice({"unlimited": 0}, {})}),
                        'Give up after this number of exits within `within` seconds (5); 0 or "unlimited": never.',
                    ),
                    "within": SchemaKey(SECONDS, "Seconds in which exits are counted for `max` (300)."),
                    "same_exits": SchemaKey(
                        Number(0, 1000000, whole=True),
                        "Give up after this many equal exits in a row before it was ready (0: never, the default).",
                    ),
                    "backoff": SchemaKey(_BACKOFF, "The first and the longest pause, in seconds ([1, 60])."),
                },
                {
                    "max_restarts": "'max'",
                    "max_attempts": "'max'",
                    "retries": "'max'",
                    "condition": "'policy'",
                    "restart": "'policy'",
                    "window": "'within'",
                    "delay": "'backoff'",
                    "backoff_seconds": "'backoff'",
                },
            ),
            _restart,
        ),
    }
)

# Dependencies

_CONDITION = _words(
    Condition,
    {"healthy": "'ready'", "running": "'started'", "exited": "'completed'", "completed_successfully": "'succeeded'"},
    service_started=Condition.STARTED,
    service_healthy=Condition.READY,
    service_completed_successfully=Condition.SUCCEEDED,
    process_started=Condition.STARTED,
    process_healthy=Condition.READY,
    process_completed=Condition.COMPLETED,
    process_completed_successfully=Condition.SUCCEEDED,
)
_LONG = Made(
    Table(
        {
            "condition": SchemaKey(_CONDITION, "The state to wait for.", required=True),
            "restart": SchemaKey(
                Flag(), "Whether to restart this component whenever the other one is restarted (false)."
            ),
            "required": SchemaKey(Flag(), "false: start without it if it is left out, stopped or has failed (true)."),
        }
    ),
    lambda read: (read["condition"], read.get("restart", False), read.get("required", True)),
)
DEPENDS_ON = ByType(
    {
        dict: Made(
            MapOf(ByType({str: Made(_CONDITION, lambda word: (word, False)), dict: _LONG}), lambda name: "", ".*"),
            lambda read: tuple(Dependency(name, *how) for name, how in read.items()),
        ),
        list: Made(_TEXTS, lambda names: tuple(Dependency(name) for name in dict.fromkeys(names))),
    }
)

# Prompts


def prompt_pattern(text: str) -> str:
    """Return a regular expression for a prompt that is one. Raises ValueError."""
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is not a valid regular expression: {error}") from None
    return text


def _rule(read: dict[str, Any]) -> Rule:
    answers = [key for key in ("answer_env", "answer_file") if key in read]
    if len(answers) == 2 or (answers and "do" in read):
        raise ValueError("does one thing: do, answer_env or answer_file")
    return Rule(do=PromptAction.ANSWER if answers else read.pop("do", PromptAction.ALERT), **read)


EXPECT = ListOf(
    Made(
        Table(
            {
                "prompt": SchemaKey(
                    Made(Text("a regular expression"), template(prompt_pattern)),
                    "Searched in an unfinished line that has not changed for half a second, or in a question that is a "
                    "whole line while the component is blocked reading the terminal.",
                    required=True,
                ),
                "do": SchemaKey(
                    Choice({do.value: do for do in (PromptAction.ALERT, PromptAction.READY, PromptAction.FAIL)}, {}),
                    "alert (the default): report it; ready: the component is ready; fail: it has failed.",
                ),
                "answer_env": SchemaKey(
                    Text("a variable"), "Type the value of this variable of the component, and Enter."
                ),
                "answer_file": SchemaKey(Text("a file"), "Type the first line of this file, and Enter."),
            }
        ),
        _rule,
    )
)

# Members and the system

# What docker compose, process-compose, mprocs, supervisord and systemd call it.
_ELSEWHERE = {
    "env": "'environment'",
    "env_vars": "'environment'",
    "env_files": "'env_file'",
    "environment_file": "'env_file'",
    "environmentfile": "'env_file'",
    "working_dir": "'cwd'",
    "working_directory": "'cwd'",
    "workingdirectory": "'cwd'",
    "workdir": "'cwd'",
    "directory": "'cwd'",
    "dir": "'cwd'",
    "cmd": "'command'",
    "entrypoint": "'command'",
    "exec": "'command'",
    "execstart": "'command'",
    "run": "'command'",
    "healthcheck": "'ready' or 'alive'",
    "health_check": "'ready' or 'alive'",
    "readiness_probe": "'ready'",
    "liveness_probe": "'alive'",
    "ready_log_line": 'ready = { log = "…" }',
    "depends": "'depends_on'",
    "requires": "'depends_on'",
    "after": "'depends_on'",
    "max_restarts": "restart = { max = … }",
    "startretries": "restart = { max = … }",
    "availability": "'restart'",
    "autorestart": "'restart'",
    "restart_policy": "'restart'",
    "backoff_seconds": "restart = { backoff = […] }",
    "restartsec": "restart = { backoff = […] }",
    "exit_on_end": 'on_exit = "stop"',
    "exitcodes": "'success_exit_codes'",
    "shutdown": "'stop'",
    "stopsignal": "stop = { signal = … }",
    "stop_signal": "stop = { signal = … }",
    "killsignal": "stop = { signal = … }",
    "stopwaitsecs": "stop = { timeout = … }",
    "stop_grace_period": "stop = { timeout = … }",
    "timeoutstopsec": "stop = { timeout = … }",
    "numprocs": "'replicas'",
    "scale": "'replicas'",
    "instances": "'replicas'",
    "username": "'user'",
    "run_as": "'user'",
    "uid": "'user'",
    "gid": "'group'",
    "priority": "'nice'",
    "ulimits": "'limits'",
    "resources": "'limits'",
    "mem_limit": "limits = { memory = … }",
    "memory": "limits = { memory = … }",
    "memorymax": "limits = { memory = … }",
    "pids_limit": "limits = { processes = … }",
    "tasksmax": "limits = { processes = … }",
    "limitnofile": "limits = { files = … }",
    "onfailure": "'on_failure'",
    "execstoppost": "'after_exit'",
    "post_stop": "'after_exit'",
    "is_tty": "'tty'",
    "is_foreground": "'tty'",
    "ports": "'port'",
    "image": 'command = "docker run … IMAGE"',
}
_SYSTEM_ELSEWHERE = {
    **dict.fromkeys(
        ("services", "service", "processes", "process", "procs", "programs", "program", "apps"), "[components.NAME]"
    ),
    "env": "'env_file', or 'environment' in [components.NAME]",
    "environment": "'env_file', or 'environment' in [components.NAME]",
}
_COMMON = {
    "command": SchemaKey(
        _COMMAND, "A string for `sh -c`, unchanged; or a list, which runs without a shell.", required=True, stand_in=":"
    ),
    "cwd": SchemaKey(
        Text("a directory"), "Its working directory; relative to the file's directory, which is the default."
    ),
    "environment": SchemaKey(_VARIABLES, "Its variables; they override all others."),
    "env_file": SchemaKey(_FILES, 'Its own .env files; { path = "…", required = false } may be missing.'),
    "tty": SchemaKey(Flag(), "true: a terminal (the default); false: pipes, with standard error separate."),
    "stop": SchemaKey(STOP, "How it is stopped."),
    **IDENTITY,
    "on_failure": SchemaKey(
        _COMMAND,
        "A command that runs after each failed run, with ORCHESTRATE_REASON, ORCHESTRATE_EXIT_STATUS and more in"
        " its environment, for at most 10 seconds.",
    ),
    "after_exit": SchemaKey(
        _COMMAND,
        "A command that runs after each run, before a restart, for at most 10 seconds.",
    ),
    "shell": SchemaKey(
        _SHELL, 'Runs a command that is a string: "bash", or ["bash", "-euo", "pipefail", "-c"] (/bin/sh -c).'
    ),
    "unset": SchemaKey(_TEXTS, "Variables of the shell and of .env files to remove: names, or patterns like AWS_*."),
}
COMPONENT = Table(
    {
        **_COMMON,
        "replicas": SchemaKey(Number(0, 1000, whole=True), "Number of instances (1)."),
        "tags": SchemaKey(
            ListOf(Made(Text("a tag"), _tag)), "Its tags; `+backend` names all components with the tag backend."
        ),
        "autostart": SchemaKey(Flag(), "false: started only by name, or if a component that starts needs it (true)."),
        "profiles": SchemaKey(_TEXTS, "Started only with one of these profiles, or by name."),
        "port": SchemaKey(
            ByType({int: Number(1, 65535, whole=True), str: Text("a port")}), "PORT of its first instance."
        ),
        "depends_on": SchemaKey(
            DEPENDS_ON, "The components that it waits for: until they are started, ready, completed or succeeded."
        ),
        "ready": SchemaKey(READY, "When it is ready; without this key, as soon as it runs."),
        "failed": SchemaKey(FAILED, "A line that means that the component cannot become ready: it has failed."),
        "alive": SchemaKey(ALIVE, "Its liveness, checked once it is ready; if a check fails, it is restarted."),
        "restart": SchemaKey(RESTART, "Whether it is restarted when it exits."),
        "on_exit": SchemaKey(
            _words(OnExit),
            "What its exit does to the system if it is not restarted: stop or ignore. Default: stop, or ignore"
            " if it is given up after restarts.",
        ),
        "success_exit_codes": SchemaKey(
            Made(ListOf(Number(0, 255, whole=True)), frozenset), "Exit codes that count as success ([0]); []: none."
        ),
        "expect": SchemaKey(EXPECT, "What to do at a prompt."),
        "color": SchemaKey(Choice({color: color for color in COLORS}, {}), "The color of its prefix."),
        "start_after": SchemaKey(
            _TEXTS,
            "Components that start first, for speed: until they print what their log probes look for.",
        ),
        "stop_before": SchemaKey(_TEXTS, "Components that do not stop before this one is down."),
    },
    _ELSEWHERE,
)
INIT = Table(
    {
        **_COMMON,
        "for": SchemaKey(_TEXTS, "Components that need the step; it is skipped if none of them starts (all)."),
        "unless": SchemaKey(_COMMAND, "A command; if it succeeds, the step is skipped."),
        "timeout": SchemaKey(SOON, "Seconds after which the step counts as failed."),
    },
    {key: ours for key, ours in _ELSEWHERE.items() if ours.strip("'") in _COMMON},
)
AIRFLOW = Table(
    {
        "home": SchemaKey(
            Text("a directory"), "AIRFLOW_HOME (the variable, else ~/airflow); relative to the file's directory."
        ),
        "airflow": SchemaKey(Text("a path"), "The airflow command, or its environment (the command on PATH)."),
        "executor": SchemaKey(Text("an executor"), "[core] executor."),
        "port": SchemaKey(
            ByType({int: Number(1, 65535, whole=True), str: Text("a port")}), "The port of the web interface."
        ),
        "bind": SchemaKey(Text("an address"), "The address that the web interface listens on."),
        "any_port": SchemaKey(Flag(), "Whether to use free ports instead of those that are in use (false)."),
        "wait_for_database": SchemaKey(SECONDS, "Seconds to retry if the database does not answer (30)."),
        "workers": SchemaKey(Number(0, 1000, whole=True), "Celery workers here, if CeleryExecutor runs the tasks (1)."),
        "concurrency": SchemaKey(
            Number(1, 10_000, whole=True), "Tasks that each worker runs at a time (as configured)."
        ),
        "queues": SchemaKey(_TEXTS, "Queues that the workers serve (as configured)."),
        "worker_grace": SchemaKey(SECONDS, "Seconds for running tasks when a worker stops (60)."),
        "flower": SchemaKey(Flag(), "Whether to start Flower, Celery's web interface (false)."),
        "with": SchemaKey(_TEXTS, "Servers to start with Airflow: redis, postgresql."),
        "only": SchemaKey(_TEXTS, "Start only these components of Airflow."),
        "except": SchemaKey(_TEXTS, "All components of Airflow but these."),
    }
)
_DEFAULTS = (
    *("environment", "cwd", "shell", "unset", "stop", "restart", "color", "on_failure", "after_exit"),
    *IDENTITY,
)
DEFAULTS = Table({key: COMPONENT.keys[key] for key in _DEFAULTS}, _ELSEWHERE)
SYSTEM = Table(
    {
        "defaults": SchemaKey(
            DEFAULTS, "Keys for all components and initial steps that do not have them; variables are merged."
        ),
        "env_file": SchemaKey(_FILES, '.env files for all; { path = "…", required = false } may be missing.'),
        "init": SchemaKey(MapOf(INIT, name_fault, NAME), "Steps that run one after another before the components."),
        "components": SchemaKey(MapOf(COMPONENT, name_fault, NAME), "The programs of the system."),
        "airflow": SchemaKey(AIRFLOW, "Adds the components of Apache Airflow; tables with their names override them."),
    },
    _SYSTEM_ELSEWHERE,
)
