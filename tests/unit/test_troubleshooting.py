"""The manual lists every error: each text that is raised, read from the source by ast, has a row."""

import ast
import re

from sources import PACKAGE, files, nodes

from orchestrator.cli import manual

# Read by another program, or a reason within another message.
ELSEWHERE = {"presets/airflow/inside/task_call.py", "cli/completion_candidates.py", "cli/location.py"}
GAP = "\0"


def names(nodes):
    return [getattr(node, "id", getattr(node, "attr", "")) for node in nodes]


def error_classes():
    """OrchestrateError and what derives from it, by name."""
    classes = [node for path in files() for node in nodes(path) if isinstance(node, ast.ClassDef)]
    found, before = {"OrchestrateError"}, set()
    while found != before:
        before = set(found)
        found |= {node.name for node in classes if before & set(names(node.bases))}
    return found


def text_of(node):
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(map(text_of, node.values))
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    return GAP


def messages():
    classes = error_classes()
    for path in files():
        file = path.relative_to(PACKAGE).as_posix()
        for node in nodes(path):
            if isinstance(node, ast.Call) and node.args and names([node.func])[0] in classes and file not in ELSEWHERE:
                first = node.args[0]
                for text in map(text_of, first.elts if isinstance(first, ast.List) else [first]):
                    if re.search(r"\w", text):
                        yield f"{file}:{node.lineno}", text


def listed():
    """The messages of the page, as patterns."""
    rows = re.findall(r"^\| `+ ?(.*?) ?`+ \|", (manual.DIRECTORY / "troubleshooting.md").read_text(), re.MULTILINE)
    return [re.escape(row.replace("\\|", "|")).replace("…", ".*") for row in rows]


def test_each_error_is_listed():
    rows = [row for row in listed() if len(re.findall(r"\w\w+", row)) > 1 or "invalid" in row]
    known = re.compile("|".join(rows))
    missing = []
    for place, text in messages():
        shown = text.replace("`", "").replace("'", "")
        variants = {shown.replace(GAP, filler) for filler in ("x", "")}
        if not any(map(known.fullmatch, variants)):
            missing.append(f"{place}: {text.replace(GAP, '…')}")
    assert missing == []


def test_each_message_has_one_row():
    rows = listed()
    assert sorted(row for row in set(rows) if rows.count(row) > 1) == []
