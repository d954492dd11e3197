"""`orchestrate completion`: completion of commands, options and component names for bash, zsh and fish."""

from __future__ import annotations

import argparse
import shlex

from orchestrator.cli import asking, commands
from orchestrator.cli.commands import Command, Option
from orchestrator.model.control import Request, Verb
from orchestrator.model.errors import OrchestrateError

NAMES = "orchestrate completion names 2>/dev/null"


def run(options: argparse.Namespace) -> int:
    """Print the script, or for the scripts the names."""
    if options.shell == "names":
        print("\n".join(_names(options)))
    else:
        print({"bash": _bash, "zsh": _zsh, "fish": _fish}[options.shell](commands.read()))
    return 0


def _names(options: argparse.Namespace) -> list[str]:
    """The components of the running system; where none runs, those of the definition here."""
    try:
        return [row["instance"] for row in asking.ask(options, Request(Verb.PS)).rows]
    except OrchestrateError:
        pass
    from orchestrator.cli import sources, surroundings

    try:
        read = sources.read(options, surroundings.read(options), needs_components=False)
    except OrchestrateError:
        return []
    return [member.name for member in read.definition.components]


def _flags(command: Command) -> list[str]:
    return [string for option in command.options for string in option.strings]


def _bash(found: tuple[Command, ...]) -> str:
    bare, *others = found
    cases = []
    for command in found:
        words = [*_flags(command), *command.words]
        if command is bare:
            words += [other.name for other in others]
        names = f' names="$({NAMES})"' if command.takes_names else ""
        cases.append(f"        {shlex.quote(command.name)}) words={shlex.quote(' '.join(words))}{names} ;;")
    return "\n".join([
        "# orchestrate for bash: eval \"$(orchestrate completion bash)\"",
        "_orchestrate() {",
        "    local current=${COMP_WORDS[COMP_CWORD]} command= word words= names=",
        '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
        f"        case $word in {'|'.join(other.name for other in others)}) command=$word; break ;; esac",
        "    done",
        "    case $command in",
        *cases,
        "    esac",
        '    [[ $current == -* ]] && names=',
        '    COMPREPLY=($(compgen -W "$words $names" -- "$current"))',
        "}",
        "complete -o default -F _orchestrate orchestrate",
    ])  # fmt: skip


def _zsh(found: tuple[Command, ...]) -> str:
    bare, *others = found

    def described(word: str, text: str) -> str:
        return shlex.quote(f"{word.replace(':', chr(92) + ':')}:{text}")

    cases = []
    for command in found:
        entries = [described(string, option.help) for option in command.options for string in option.strings]
        entries += [described(word, "") for word in command.words]
        if command is bare:
            entries = [described(other.name, other.help) for other in others] + entries
        names = f' names=(${{(f)"$({NAMES})"}})' if command.takes_names else ""
        cases.append(f"        {shlex.quote(command.name)}) entries=({' '.join(entries)}){names} ;;")
    return "\n".join([
        "#compdef orchestrate",
        "# orchestrate for zsh: eval \"$(orchestrate completion zsh)\", after compinit",
        "_orchestrate() {",
        "    local command= word",
        "    local -a entries names",
        "    for word in ${words[2,CURRENT-1]}; do",
        f"        case $word in ({'|'.join(other.name for other in others)}) command=$word; break ;; esac",
        "    done",
        "    case $command in",
        *cases,
        "    esac",
        "    (( ${#names} )) && compadd -a names",
        "    _describe orchestrate entries",
        "    _files",
        "}",
        'if [[ $funcstack[1] == _orchestrate ]]; then _orchestrate "$@"; else compdef _orchestrate orchestrate; fi',
    ])  # fmt: skip


def _fish(found: tuple[Command, ...]) -> str:
    others = found[1:]
    lines = ["# orchestrate for fish: orchestrate completion fish | source"]
    for other in others:
        lines.append(f"complete -c orchestrate -n __fish_use_subcommand -a {other.name} -d {_fish_quote(other.help)}")
    for command in found:
        where = f"'__fish_seen_subcommand_from {command.name}'" if command.name else "__fish_use_subcommand"
        lines += [f"complete -c orchestrate -n {where} {_fish_option(option)}" for option in command.options]
        if command.words:
            lines.append(f"complete -c orchestrate -n {where} -f -a {_fish_quote(' '.join(command.words))}")
        if command.takes_names:
            lines.append(f"complete -c orchestrate -n {where} -f -a '({NAMES})'")
    return "\n".join(lines)


def _fish_option(option: Option) -> str:
    words = [f"-l {s[2:]}" if s.startswith("--") else f"-s {s[1:]}" for s in option.strings]
    if option.choices:
        words.append(f"-x -a {_fish_quote(' '.join(option.choices))}")
    elif option.value:
        words.append("-r")
    return " ".join([*words, "-d", _fish_quote(option.help)])


def _fish_quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
