"""Finds whose exit status counts if the stop signal kills a shell: that of the command it was waiting for.

`sh -c 'python worker.py'` under dash is two processes. The stop signal kills the shell, and the worker exits with the
status that the user cares about. So before the signal is sent, `relayed_by` notes which command each shell waits for,
and once the shells have died of the signal, `status_of` picks the status.

Facts: a shell waits for the last command it has forked, also in a pipeline, whose status is the last one's. The kernel
lists children in the order in which they were forked (/proc/PID/task/TID/children, proc(5)). A command counts only if
its status would be the shell's: the only one, or the last of a list. What follows `;` or a line end would still have
run. That is read from the text without parsing shell grammar; a wrong guess only changes a word in a message.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence

from orchestrator.process import procfs, tree

SHELLS = frozenset("sh ash bash busybox dash ksh ksh93 lksh mksh oksh posh rbash yash zsh".split())
DEPTH_MAX = 8  # shells in shells
SCRIPT_MAX = 65536  # bytes of a script that are read

_SEPARATORS = frozenset((";", "&", ";;"))
_IGNORED_WORDS = frozenset(("(", "{", "!", "exec", "time", "command", "env", "nohup", "then", "do", "else"))
_ASSIGNMENT = re.compile(r"\w+=")


def relayed_by(leader: int) -> tuple[int, ...]:
    """Return `leader` and, as long as the last one is a shell that passes on a command's status, that command."""
    chain = [leader]
    while len(chain) < DEPTH_MAX:
        command_line = procfs.arguments_of(chain[-1])
        if not command_line or _name(command_line[0]) not in SHELLS:
            break
        children = tree.children_of(chain[-1])
        if not children or not passes_on(_text_of(command_line, chain[-1]), procfs.arguments_of(children[-1])):
            break
        chain.append(children[-1])
    return tuple(chain)


def status_of(
    chain: Sequence[int], statuses: Mapping[int, int], sent: Collection[int], exists: Callable[[int], bool]
) -> int | None:
    """Return the status of the first in `chain` that did not die of one of the signals `sent`, or of the last.

    Skip one whose status is unknown because its parent waited for it. None if the one that counts has not
    exited yet. `statuses` are as of os.waitstatus_to_exitcode; that of the first is known.
    """
    last = None
    for pid in chain:
        status = statuses.get(pid)
        if status is None:
            if exists(pid):
                return None
            continue
        if -status not in sent:
            return status
        last = status
    return last


def passes_on(text: str, command: Sequence[str]) -> bool:
    """Whether the status of `command`, an argument list, is that of a shell that runs `text`."""
    lexer = shlex.shlex(text.replace("\\\n", " ").strip().replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:  # a quote that is not closed, as in a here-document
        return False
    segments: list[list[str]] = [[]]
    for word in words:
        if word in _SEPARATORS:
            segments.append([])
        else:
            segments[-1].append(word)
    segments = [segment for segment in segments if set(segment) - {"}", ")"}]
    if len(segments) < 2:
        return True
    last = (word for word in segments[-1] if word not in _IGNORED_WORDS and not _ASSIGNMENT.match(word))
    return _name(next(last, "")) in map(_name, command[:3])  # `env python x` and `#!` put the name further back


def _text_of(command_line: Sequence[str], pid: int) -> str:
    """Return what a shell runs: the string after -c, or its script; empty, one command, if it cannot be read."""
    arguments = list(command_line[1:])
    if _name(command_line[0]) == "busybox":
        arguments = arguments[1:]
    while arguments and arguments[0][:1] in ("-", "+"):
        option = arguments.pop(0)
        if option.startswith("-") and not option.startswith("--") and "c" in option:
            return next((word for word in arguments if word[:1] not in ("-", "+")), "")
        if option in ("-o", "+o", "-O", "+O") and arguments:
            arguments.pop(0)
    if not arguments:
        return ""
    try:
        fd = os.open(os.path.join(f"/proc/{pid}/cwd", arguments[0]), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        lines = os.read(fd, SCRIPT_MAX).decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    finally:
        os.close(fd)
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))


def _name(word: str) -> str:
    return os.path.basename(word).lstrip("-")
