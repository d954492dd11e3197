"""The keys of a component and of an initial step, for reading, for the JSON Schema and for messages about mistakes.

A key is an entry here and a field of `definition.ComponentDefinition`; tests check that. Probes are in `probes.py`, how
a component is stopped and restarted in `stop_restart.py`, the keys of the whole system in `system.py`.
"""

from __future__ import annotations

import re
from typing import Any

from orchestrator.config.definition import EnvFile
from orchestrator.config.schema.fields import (
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
    enum_words,
)
from orchestrator.config.schema.limits import IDENTITY
from orchestrator.config.schema.probes import ALIVE, FAILED, READY, WORDS, template
from orchestrator.config.schema.stop_restart import RESTART, STOP
from orchestrator.model.names import name_fault
from orchestrator.model.prompt_rules import PromptAction, Rule
from orchestrator.model.spec import (
    Condition,
    Dependency,
    OnExit,
)

VARIABLE = r"^[A-Za-z_][A-Za-z0-9_.-]*$"
NAME = r"^\w[\w.-]*$"
_BASIC = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
COLORS = (*_BASIC, *(f"bright_{color}" for color in _BASIC))


def _variable_fault(name: str) -> str:
    return "" if re.match(VARIABLE, name) else "a variable starts with a letter or underscore"


TEXTS = ListOf(Text())
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
FILES = ByType(
    {
        list: ListOf(_ONE_FILE),
        str: Made(Text(), lambda text: (EnvFile(text),)),
        dict: Made(_FILE, lambda file: (file,)),
    }
)
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
_CONDITION = enum_words(
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
        list: Made(TEXTS, lambda names: tuple(Dependency(name) for name in dict.fromkeys(names))),
    }
)


def prompt_pattern(text: str) -> str:
    """Return a valid regular expression for a prompt. Raises ValueError."""
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is not a valid regular expression: {error}") from None
    return text


def _rule(read: dict[str, Any]) -> Rule:
    answers = [key for key in ("answer_env", "answer_file") if key in read]
    if len(answers) == 2 or (answers and "do" in read):
        raise ValueError("can have only one of do, answer_env and answer_file")
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
                    "alert (the default): report it; ready: the component is ready, if the probes of its `ready` have"
                    " passed too; fail: it has failed.",
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
# The names in docker compose, process-compose, mprocs, supervisord and systemd.
ELSEWHERE = {
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
_COMMON = {
    "command": SchemaKey(
        _COMMAND, "A string for `sh -c`, unchanged; or a list, which runs without a shell.", required=True, stand_in=":"
    ),
    "cwd": SchemaKey(
        Text("a directory"), "Its working directory; relative to the file's directory, which is the default."
    ),
    "environment": SchemaKey(_VARIABLES, "Its variables; they override all others."),
    "env_file": SchemaKey(FILES, 'Its own .env files; { path = "…", required = false } may be missing.'),
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
    "unset": SchemaKey(TEXTS, "Variables of the shell and of .env files to remove: names, or patterns like AWS_*."),
}
COMPONENT = Table(
    {
        **_COMMON,
        "replicas": SchemaKey(Number(0, 1000, whole=True), "Number of instances (1)."),
        "tags": SchemaKey(
            ListOf(Made(Text("a tag"), _tag)), "Its tags; `+backend` names all components with the tag backend."
        ),
        "autostart": SchemaKey(Flag(), "false: started only by name, or if a component that starts needs it (true)."),
        "profiles": SchemaKey(TEXTS, "Started only with one of these profiles, or by name."),
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
            enum_words(OnExit),
            "What its exit does to the system if it is not restarted: stop or ignore. Default: stop, or ignore"
            " if it is given up after restarts.",
        ),
        "success_exit_codes": SchemaKey(
            Made(ListOf(Number(0, 255, whole=True)), frozenset), "Exit codes that count as success ([0]); []: none."
        ),
        "expect": SchemaKey(EXPECT, "What to do at a prompt."),
        "color": SchemaKey(Choice({color: color for color in COLORS}, {}), "The color of its prefix."),
        "start_after": SchemaKey(
            TEXTS,
            "Components that start first, for speed: until they print what their log probes look for.",
        ),
        "stop_before": SchemaKey(TEXTS, "Components that do not stop before this one is down."),
    },
    ELSEWHERE,
)
INIT = Table(
    {
        **_COMMON,
        "for": SchemaKey(TEXTS, "Components that need the step; it is skipped if none of them starts (all)."),
        "unless": SchemaKey(_COMMAND, "A command; if it succeeds, the step is skipped."),
        "timeout": SchemaKey(SOON, "Seconds after which the step counts as failed."),
    },
    {key: ours for key, ours in ELSEWHERE.items() if ours.strip("'") in _COMMON},
)
