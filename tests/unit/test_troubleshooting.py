"""The manual lists every error: each text that is raised, read from the source by ast, has a row."""

import ast
import re
from pathlib import Path

import orchestrator
from orchestrator.cli import manual

PACKAGE = Path(orchestrator.__file__).parent
# Read by another program, or a reason within another message.
ELSEWHERE = {"presets/airflow/task_call.py", "cli/completion_candidates.py", "cli/location.py"}
GAP = "\0"


def parsed():
    return {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def names(nodes):
    return [getattr(node, "id", getattr(node, "attr", "")) for node in nodes]


def error_classes(trees):
    """OrchestrateError and what derives from it, by name."""
    classes = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
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
    trees = parsed()
    classes = error_classes(trees)
    for path, tree in trees.items():
        file = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and names([node.func])[0] in classes and file not in ELSEWHERE:
                first = node.args[0]
                for text in map(text_of, first.elts if isinstance(first, ast.List) else [first]):
                    if re.search(r"\w", text):
                        yield f"{file}:{node.lineno}", text


def listed():
    """The messages of the page, as regular expressions."""
    rows = re.findall(r"^\| `+ ?(.*?) ?`+ \|", (manual.DIRECTORY / "troubleshooting.md").read_text(), re.MULTILINE)
    return [re.compile(re.escape(row.replace("\\|", "|")).replace("…", ".*")) for row in rows]


def test_each_error_is_listed():
    rows = [row for row in listed() if len(re.findall(r"\w\w+", row.pattern)) > 1 or "invalid" in row.pattern]
    missing = []
    for place, text in messages():
        shown = text.replace("`", "").replace("'", "")
        variants = {shown.replace(GAP, filler) for filler in ("x", "")}
        if not any(row.fullmatch(variant) for row in rows for variant in variants):
            missing.append(f"{place}: {text.replace(GAP, '…')}")
    assert missing == []
