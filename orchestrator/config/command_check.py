"""Finds out, before anything starts, that a command cannot run, and why. Reports only certain faults.

A shell line is checked only if it is one simple command: no operators, no assignment, no expansion in its first word.
Everything else is left to the shell, at run time.
"""

from __future__ import annotations

import os
import re

_SIMPLE = re.compile(r"[ \t]*(?:exec[ \t]+)?(?P<word>[\w./+][\w./+-]*)(?:[ \t][^|&;()<>\n`]*)?")

_USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # of shells, without a PATH
_SHEBANG_MAX = 256  # bytes that the kernel reads of a file, BINPRM_BUF_SIZE

# Words of POSIX sh, dash, bash and ksh that need no file.
_BUILTINS = frozenset(
    """. : alias bg break builtin case cd chdir command continue declare do done echo elif else enable esac eval exec
    exit export false fc fg fi for function getopts hash if jobs kill let local printf pwd read readonly return select
    set shift source test then time times trap true type typeset ulimit umask unalias unset until wait while""".split()
)


def line_fault(command: str, cwd: str, search_path: str | None) -> str:
    """Return why a shell line cannot run; empty if it can, or if only the shell can decide."""
    match = _SIMPLE.fullmatch(command)
    if not match or match["word"] in _BUILTINS:
        return ""
    return program_fault(match["word"], cwd, search_path)


def fault(command: str | tuple[str, ...], program: str, cwd: str, search_path: str | None) -> str:
    """Return why a command, a shell line or an argv that runs `program`, cannot run; empty if it can."""
    if isinstance(command, str):
        return line_fault(command, cwd, search_path)
    return program_fault(program, cwd, search_path)


def program_fault(word: str, cwd: str, search_path: str | None) -> str:
    """Return why execve(2) would refuse a program; empty if it would not. An entry of the search path that is
    relative, or empty, counts from the component's directory."""
    if "/" in word:
        return _file_fault(word, os.path.join(cwd, word), cwd, search_path)
    entries = (search_path if search_path is not None else _USUAL_PATH).split(os.pathsep)
    paths = [os.path.join(cwd, entry, word) for entry in entries]
    files = [path for path in paths if os.path.isfile(path)]
    if runnable := [path for path in files if os.access(path, os.X_OK)]:
        return _file_fault(word, runnable[0], cwd, search_path)
    if files:
        return f"cannot run {word}: {files[0]} is not executable; use chmod +x"
    here = os.path.join(cwd, word)
    more = f"; did you mean ./{word}?" if os.path.isfile(here) and os.access(here, os.X_OK) else ""
    return f"command not found: {word}{more}"


def _file_fault(word: str, path: str, cwd: str, search_path: str | None) -> str:
    if os.path.isdir(path):
        return f"cannot run {word}: it is a directory"
    if not os.path.exists(path):
        return f"command not found: {word}"
    if not os.access(path, os.X_OK):
        return f"cannot run {word}: it is not executable; use chmod +x"
    try:
        with open(path, "rb") as file:
            first = file.read(_SHEBANG_MAX).partition(b"\n")[0]
    except OSError:  # it may be executable but not readable
        return ""
    if not first.startswith(b"#!"):
        return ""
    words = os.fsdecode(first[2:]).strip(" \t").split(" ")
    interpreter = words[0].split("\t")[0]
    asked = [part for part in words[1:] if part] if os.path.basename(interpreter) == "env" else []
    if interpreter.endswith("\r") or (asked and asked[0].endswith("\r")):
        return f"cannot run {word}: its first line ends in CR LF, as on Windows; convert its line ends"
    if not interpreter or not interpreter.startswith("/"):
        return ""
    if not os.path.exists(interpreter):
        return f"cannot run {word}: its interpreter {interpreter} does not exist (see its first line)"
    if asked and re.fullmatch(r"[\w.+][\w.+-]*", asked[0]):
        inner = program_fault(asked[0], cwd, search_path)
        return f"cannot run {word}: its interpreter: {inner} (see its first line)" if inner else ""
    return ""
