"""`orchestrate completion`: completion of commands, options, values and component names for bash, zsh and fish.

The scripts contain no candidates: at each Tab they run `orchestrate completion candidates`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from orchestrator.cli import links, settings
from orchestrator.model.errors import OrchestrateError, UsageError

BASH = r"""# orchestrate for bash: eval "$(orchestrate completion bash)"
_orchestrate() {
    local line program=${COMP_WORDS[0]/#\~/$HOME}
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
        :files) compopt -o default ;;
        :directories) compopt -o dirnames ;;
        ?*)
            COMPREPLY+=("$line")
            [[ $line == *= ]] && compopt -o nospace
            ;;
        esac
    done < <("$program" completion candidates -- bash "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _orchestrate orchestrate"""

ZSH = r"""#compdef orchestrate
# orchestrate for zsh: eval "$(orchestrate completion zsh)", after compinit
_orchestrate() {
    local line program=${${(Q)words[1]}/#\~/$HOME}
    local -a entries open
    for line in "${(@f)$("$program" completion candidates -- zsh "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        case $line in
        :files) compset -P '--[a-z-]##='; _files ;;
        :directories) compset -P '--[a-z-]##='; _files -/ ;;
        *=) open+=("$line") ;;
        ?*) entries+=("${${line%%$'\t'*}//:/\\:}${${(M)line%$'\t'*}/$'\t'/:}") ;;
        esac
    done
    (( ${#open} )) && compadd -S '' -a open
    (( ${#entries} )) && _describe orchestrate entries
}
if [[ $funcstack[1] == _orchestrate ]]; then _orchestrate "$@"; else compdef _orchestrate orchestrate; fi"""

FISH = r"""# orchestrate for fish: orchestrate completion fish | source
function __orchestrate
    set -l words (commandline -opc) (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    for line in ($program completion candidates -- fish $words 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path (commandline -ct)
            case :directories
                __fish_complete_directories (commandline -ct) ''
            case '*'
                echo $line
        end
    end
end
complete -c orchestrate -f -a '(__orchestrate)'"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


FIRST = ("# orchestrate for ", "#compdef orchestrate\n")  # the beginnings of our scripts


@dataclass(frozen=True, slots=True)
class CompletionOptions:
    """The options of `completion`; `command` is the shell and the words that are completed."""

    shell: str | None = None
    install: bool = False
    command: tuple[str, ...] = ()


def run(options: CompletionOptions) -> int:
    """Print or install the script of a shell, or for the scripts print the candidates."""
    if options.install:
        return _install(options.shell or "")
    if not options.shell:
        raise UsageError("cannot print a completion script: no shell is named", f"name one of {', '.join(SCRIPTS)}")
    if options.shell != "candidates":
        print(SCRIPTS[options.shell])
        return 0
    from orchestrator.cli import completion_candidates

    shell, *words = options.command or ("",)
    for line in completion_candidates.lines(shell, words):
        print(line)
    return 0


def _install(shell: str) -> int:
    """Write the script where the shell looks for it. Raises UsageError, OrchestrateError."""
    shell = shell or os.path.basename(settings.variable("SHELL"))
    if shell not in SCRIPTS:
        raise UsageError(
            f"cannot install completion for {shell!r}: unknown shell",
            f"name one: `orchestrate completion {next(iter(SCRIPTS))} --install`",
        )
    path = target(shell, settings.variable("XDG_DATA_HOME"), settings.variable("XDG_CONFIG_HOME"), Path.home())
    try:
        if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(FIRST):
            raise OrchestrateError(f"cannot write {path}: it is not a file of orchestrate", "move it away")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SCRIPTS[shell] + "\n", encoding="utf-8")
    except OSError as error:
        raise OrchestrateError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
    print(links.linked(f"wrote {path}"))
    if shell == "zsh":
        print(f"add this to ~/.zshrc, before compinit:\n    fpath+=({path.parent})")
    elif shell == "bash":
        print("start a new shell; this needs the package bash-completion")
    return 0


def target(shell: str, data: str, config: str, home: Path) -> Path:
    """Return the directory in which a shell looks for the completions of a user; `data` and `config` are XDG
    directories, or empty."""
    share = Path(data or home / ".local" / "share")
    return {
        "bash": share / "bash-completion" / "completions" / "orchestrate",
        "zsh": share / "zsh" / "site-functions" / "_orchestrate",
        "fish": Path(config or home / ".config") / "fish" / "completions" / "orchestrate.fish",
    }[shell]
