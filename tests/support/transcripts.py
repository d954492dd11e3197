"""Blocks of a Markdown page, and a shell session that shows whether they are true.

The first word after ``` is the language; GitHub shows only that. Words after it are for these tests:
  file=NAME    the block is a file: it is written before what follows runs
  not-run      shown, not run
  airflow      run by the tests that have an Airflow

`console` blocks are transcripts: `$ command`, then what it prints. Numbers stand for any number, `…` for any text, a
line that is only `…` for any lines. `^C` is typed once the lines before it are there; the lines of such a run may come
in any order. `sh` blocks are run as a whole.
"""

import os
import re
import shlex
from dataclasses import dataclass

import pytest
from harness import Run, command_under_test, environment, plain

PROGRAM = "orchestrate"
BASE = "5000"  # the PORT that pages show; a run takes a free one


@dataclass(frozen=True)
class Block:
    language: str
    words: tuple
    text: str
    line: int

    @property
    def file(self):
        return next((word[5:] for word in self.words if word.startswith("file=")), "")


def blocks(source):
    found, opened, lines = [], None, []
    for number, line in enumerate(source.splitlines(), 1):
        if not line.startswith("```"):
            lines.append(line)
        elif opened is None:
            opened, lines = (number, line.strip("`").split() or ["text"]), []
        else:
            start, (language, *words) = opened
            found.append(Block(language, tuple(words), "\n".join(lines) + "\n", start))
            opened = None
    assert opened is None, f"line {opened}: not closed"
    return found


def steps(text):
    """The commands of a transcript, each with the lines that it prints."""
    found = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def pattern(line):
    """A regular expression for a line of a transcript."""
    text = re.escape(line.rstrip())
    text = re.sub(r"\d+(\\\.\d+)*", r"\\d+(?:\\.\\d+)*", text)
    return re.sub(r"(\\ )+", r"\\s+", text).replace("…", ".*")


def mismatch(expected, printed):
    """The first line of a transcript that was not printed, or a line that it lacks; empty if all is as shown."""
    lines, skips = [line for line in printed.splitlines() if line.strip()], False
    for line in (line for line in expected if line.strip()):
        if line.strip() == "…":
            skips = True
            continue
        while skips and lines and not re.fullmatch(pattern(line), lines[0].rstrip()):
            lines.pop(0)
        if not lines or not re.fullmatch(pattern(line), lines.pop(0).rstrip()):
            return f"not printed: {line}"
        skips = False
    return f"printed, and not shown: {lines[0]}" if lines and not skips and expected else ""


class Session:
    """A directory in which the blocks of one page run, one after another."""

    def __init__(self, path, port, patience=60, **variables):
        self.path, self.port, self.patience, self.status = path, port, patience, 0
        bin_directory = path.parent / f"{path.name}-bin"
        bin_directory.mkdir()
        words = shlex.join(command_under_test())
        (bin_directory / PROGRAM).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (bin_directory / PROGRAM).chmod(0o755)
        home = path.parent / f"{path.name}-home"
        home.mkdir()
        base = environment()["PATH"]
        self.environment = environment(
            PATH=f"{bin_directory}:{base}", HOME=str(home), PWD=str(path), NO_COLOR="1", **variables
        )

    def run(self, block):
        text = block.text.replace(BASE, str(self.port)).replace("5100", str(self.port + 100))
        if block.file:
            target = self.path / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        elif block.language == "sh":
            run = self._shell(text)
            assert run.wait() == 0, f"line {block.line}: {run}"
        else:
            for command, expected in steps(text):
                self._step(block, self._with_port(command), expected)

    def _with_port(self, command):
        """Return the command with a free base port if it starts something or asks about ports."""
        first, bar, rest = command.partition(" | ")
        words = first.split()
        wanted = words[:1] == [PROGRAM] and (words[1:2] in ([], ["up"], ["env"]) or words[1].startswith("-"))
        return f"{first} -p {self.port}{bar}{rest}" if wanted and "-p" not in words else command

    def _shell(self, command, terminal=False):
        """Start a command; on a terminal without cursor movements, so that a line stays as it was printed."""
        variables = {**self.environment, "TERM": "dumb"} if terminal else self.environment
        command = command if terminal else f"exec 2>&1\n{command}"
        return Run(["sh", "-c", command], cwd=self.path, env=variables, terminal=terminal, columns=160)

    def _step(self, block, command, expected):
        where = f"line {block.line}: $ {command}"
        if "^C" in expected:
            self._interrupted(where, command, expected)
            return
        if command == "echo $?":
            assert [str(self.status)] == expected, where
            return
        run = self._shell(command)
        self.status = run.wait(self.patience)
        printed = plain(run.out)
        wrong = mismatch(expected, printed)
        if not wrong and self.status and not expected:
            wrong = f"exit status {self.status}"
        if wrong:
            pytest.fail(f"{where}\n{wrong}\n--- printed:\n{printed}")

    def _interrupted(self, where, command, expected):
        run = self._shell(f"exec {command}", terminal=True)
        typed = expected.index("^C")
        for line in expected[:typed]:
            run.wait_for(rf"^{pattern(line)} *$", 2 * self.patience)
        os.write(run.terminal_fd, b"\x03")
        self.status = run.wait(self.patience)
        for line in expected[typed + 1 :]:
            if not re.search(rf"^{pattern(line)} *$", run.text, re.MULTILINE):
                pytest.fail(f"{where}\nnot printed: {line}\n{run.text}")

    def close(self):
        """Stop what still runs."""
        if list(self.path.glob("**/.orchestrate/state.json")):
            self._shell("orchestrate down").wait(self.patience)
