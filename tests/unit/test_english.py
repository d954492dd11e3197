"""Strings that users see have none of the habits that ENGLISH calls bad: read from the source, by ast."""

import ast
import re

from sources import PACKAGE, files, nodes

HABITS = re.compile(
    r"\bwhere (?:it|there|that|none|this|they)\b|\b(?:no|some|every)body\b|\b(?:is|are) no\b(?! longer)|\bunable to\b"
    r"|\b(?:is|are|was|were) (?:said|told)\b|\banew\b|\bstands\b|\bgoes on\b|\bwhoever\b"
    r"|\bof (?:its|our|their|his) own\b|\bthere is no\b",
    re.IGNORECASE,
)
USER_NAMES = {"nobody"}  # an account, not a pronoun


def strings(nodes):
    """The string literals of a module that are not docstrings, as (line, text)."""
    documentation = {
        id(node.body[0].value)
        for node in nodes
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.lineno, node.value


def habits(text):
    return [] if text in USER_NAMES else HABITS.findall(text)


def test_no_message_has_a_bad_habit():
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text.strip()[:100]!r}"
        for path in files()
        for line, text in strings(nodes(path))
        if habits(text)
    ]
    assert found == []


def test_the_check_sees_a_habit():
    tree = ast.parse('"""Somebody."""\nraise Error(f"unable to start {name}: there is no /proc")')
    assert [line for line, text in strings(list(ast.walk(tree))) if habits(text)] == [2, 2]
