"""The options of each command: a frozen dataclass that has a field for each option of its parser, and no others."""

from __future__ import annotations

import argparse
import sys
from dataclasses import FrozenInstanceError, dataclass, fields

import pytest

from orchestrator.cli import invocation, parser, settings
from orchestrator.cli.options import LocationOptions, RemoteOptions

# Set for a command, not given by the user: by `open`, by the parser itself, and the words after `--`.
SET = {"bundle", "preset", "no_command", "command", "names"}
# Options that a command has only because they are in one group with others that it needs.
UNUSED = {
    **{name: {"end_survivors"} for name in ("check", "config", "doctor", "env", "export", "graph")},
    "completion": {"file", "root", "env", "env_override"},
}


def leaves(above, inherited=()):
    """Each parser of a command, and the names of the options that may be given before the command."""
    own = {*inherited, *dests(above)}
    commands = [action for action in above._actions if isinstance(action, argparse._SubParsersAction)]
    if not commands or "module" in above._defaults:
        yield above, own
    for action in commands:
        for below in action.choices.values():
            yield from leaves(below, own)


def dests(command):
    actions = [a for a in command._actions if not isinstance(a, argparse._SubParsersAction)]
    return {a.dest for a in actions if a.dest not in ("help", "version")} | set(command._defaults) - {"module"}


def by_command():
    found = {}
    for command, with_inherited in leaves(parser.build()):
        own, allowed = found.setdefault(command._defaults["module"], (set(), set()))
        own |= dests(command)
        allowed |= with_inherited
    return found


COMMANDS = by_command()


def names(kind):
    for field in fields(kind):
        if field.type.endswith("Options"):
            yield from names(invocation.options_class(field.type, sys.modules[kind.__module__]))
        else:
            yield field.name


def test_all_commands_are_seen():
    assert len(COMMANDS) > 30
    assert "formation_words" in COMMANDS["remote.scale"][0]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_option_has_a_field_and_each_field_an_option(command):
    own, allowed = COMMANDS[command]
    _, kind = invocation.command_of(command)
    found = set(names(kind))
    assert own - SET - UNUSED.get(command, set()) <= found
    assert found <= allowed | SET


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_options_of_a_command_cannot_be_changed(command):
    _, kind = invocation.command_of(command)
    assert not hasattr(kind, "__dict__") or "__slots__" in vars(kind)
    options = invocation.read(kind, dict.fromkeys(names(kind)))
    for name in [field.name for field in fields(kind)][:1]:
        with pytest.raises(FrozenInstanceError):
            setattr(options, name, None)


@dataclass(frozen=True)
class Sample:
    location: LocationOptions
    remote: RemoteOptions
    speed: float = 1.0


def test_options_are_read_by_name_into_all_groups():
    read = invocation.read(Sample, {"home": "x", "names": ["a", "b"], "module": "y"})
    assert read.location.home == read.remote.location.home == "x"
    assert read.remote.names == ("a", "b")
    assert (read.speed, read.location.file) == (1.0, ())


def test_variables_count_for_options_that_were_not_given(monkeypatch):
    for name, value in {"HOME": "~/a", "FILE": "x.toml:y.toml", "TIMEOUT": "5s", "DETACH_KEYS": "ctrl-x"}.items():
        monkeypatch.setenv(f"ORCHESTRATE_{name}", value)
    monkeypatch.setenv("HOME", "/home/ann")
    values = parser.values(["-t", "9", "ps"], settings.defaults)
    assert (values["home"], values["timeout"]) == ("/home/ann/a", 9.0)
    assert (values["file"], values["detach_keys"]) == (["x.toml", "y.toml"], "ctrl-x")
    assert parser.values(["--home", "b", "ps"], settings.defaults)["home"] == "b"
