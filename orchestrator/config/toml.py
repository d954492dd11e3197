"""orchestrate.toml: text to a document whose values know their lines. Pure; imported only where there is one."""

from __future__ import annotations

import re
import sys

from orchestrator.config.definition import Path
from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.document import Document
from orchestrator.config.locator import locate
from orchestrator.model.spec import composed

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
        from orchestrator.config import toml_errors

        _problem(report, root, line, f"not TOML: {toml_errors.explain(_WHERE.sub('', words), text, line)}")
        return None
    text = text.replace("\r\n", "\n")
    places = {_composed(path): Place(root.file, line, root.directory) for path, line in locate(text).items()}
    return Document(root, tree if text.isascii() else _with_composed_names(tree), places)


def _with_composed_names(tree: dict[str, object]) -> dict[str, object]:
    """Return the tree with its keys, and the names in lists of dependencies, in composed Unicode."""

    def copy(value: object, is_name: bool = False) -> object:
        if isinstance(value, dict):
            return {composed(key): copy(element, key == "depends_on") for key, element in value.items()}
        if isinstance(value, list):
            return [copy(element, is_name) for element in value]
        return composed(value) if is_name and isinstance(value, str) else value

    return {composed(key): copy(value) for key, value in tree.items()}


def _composed(path: Path) -> Path:
    return tuple(composed(key) if isinstance(key, str) else key for key in path)


def _problem(report: Report, root: Place, line: int, text: str) -> None:
    report.problem(Place(root.file, line), text)
