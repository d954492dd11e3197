"""orchestrate.toml: text to a document whose values know their lines. Pure; imported only where there is one."""

from __future__ import annotations

import re
import sys

from orchestrator.config.document import Document
from orchestrator.config.locator import locate
from orchestrator.config.report import Place, Report

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_WHERE = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")


def parse(data: bytes, root: Place, report: Report) -> Document | None:
    """Read a TOML file; None, and a problem with its line, where it is none."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        _problem(report, root, data.count(b"\n", 0, error.start) + 1, "not UTF-8, as TOML has to be")
        return None
    text = text.removeprefix("\ufeff")
    try:
        tree = tomllib.loads(text)
    except RecursionError:
        report.problem(root, "nests too deep")
        return None
    except ValueError as error:  # TOMLDecodeError, and what int() says of a number with thousands of digits
        words, match = str(error), _WHERE.search(str(error))
        line = int(match["line"] or text.count("\n") + 1) if match else 0
        _problem(report, root, line, f"not TOML: {_WHERE.sub('', words)}")
        return None
    places = {path: Place(root.file, line, root.directory) for path, line in locate(text.replace("\r\n", "\n")).items()}
    return Document(root, tree, places)


def _problem(report: Report, root: Place, line: int, text: str) -> None:
    report.problem(Place(root.file, line), text)
