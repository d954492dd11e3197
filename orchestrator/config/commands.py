"""Finds out, before anything starts, that a command cannot exist. Only certain misses are told.

A shell line is looked at only where it is one simple command: no operators, no assignment, no expansion in its first
word. Everything else is the shell's business, at run time.
"""

from __future__ import annotations

import os
import re
import shutil

_SIMPLE = re.compile(r"[ \t]*(?:exec[ \t]+)?(?P<word>[\w./+][\w./+-]*)(?:[ \t][^|&;()<>\n`]*)?")

# POSIX sh, and what dash, bash and ksh add: these need no file.
_BUILTINS = frozenset(
    """. : alias bg break builtin case cd chdir command continue declare do done echo elif else enable esac eval exec
    exit export false fc fg fi for function getopts hash if jobs kill let local printf pwd read readonly return select
    set shift source test then time times trap true type typeset ulimit umask unalias unset until wait while""".split()
)


def missing_command(command: str, cwd: str, search_path: str | None) -> str:
    """Return the word of a shell line that names no executable; empty where it does, or cannot be told."""
    match = _SIMPLE.fullmatch(command)
    if not match or match["word"] in _BUILTINS:
        return ""
    word = match["word"]
    return "" if _is_there(word, cwd, search_path) else word


def missing(command: str | tuple[str, ...], program: str, cwd: str, search_path: str | None) -> str:
    """Return the word of a command, a shell line or an argv that runs `program`, that names no executable."""
    if isinstance(command, str):
        return missing_command(command, cwd, search_path)
    return "" if _is_there(program, cwd, search_path) else program


def _is_there(word: str, cwd: str, search_path: str | None) -> bool:
    if "/" in word:
        path = os.path.join(cwd, word)
        return os.access(path, os.X_OK) and not os.path.isdir(path)
    if search_path is not None:  # an entry that is relative, or empty, counts from the component's directory
        search_path = os.pathsep.join(os.path.join(cwd, entry) for entry in search_path.split(os.pathsep))
    return shutil.which(word, path=search_path) is not None
