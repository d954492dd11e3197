"""`orchestrate completion`: completion of commands, options, values and component names for bash, zsh and fish.

The scripts know nothing: at each Tab they ask `orchestrate completion candidates`.
"""

from __future__ import annotations

import argparse

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


def run(options: argparse.Namespace) -> int:
    """Print the script of a shell, or for the scripts the candidates."""
    if options.shell != "candidates":
        print(SCRIPTS[options.shell])
        return 0
    from orchestrator.cli import completion_candidates

    shell, *words = options.command or ("",)
    for line in completion_candidates.lines(shell, words):
        print(line)
    return 0
