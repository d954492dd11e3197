"""ARCHITECTURE.md, CONTRIBUTING.md and the hooks name what there is, and classes are named by the words in them."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from sources import PACKAGE, files, nodes

ROOT = PACKAGE.parent
PAGE = (PACKAGE / "ARCHITECTURE.md").read_text()

# Words that the glossary replaces. No class has one.
REPLACED = set(
    "Bereaved Bulletin Desk Dialogue Errand Errands Goals Guest Household Incarnation Member Nursery "
    "Obituary Orphanage Overtaken Roster Seat Signalman Sitting Stage Surroundings Survivor Typist "
    "Witness Wish Wishes".split()
)


def named(text, ending):
    return [name for name in re.findall(r"`([\w./-]+)`", text) if name.endswith(ending) and "NAME" not in name]


def test_each_file_in_the_architecture_exists():
    files = [*named(PAGE, ".py"), *named(PAGE, "lifecycle.md")]
    assert len(files) > 40
    for name in files:
        found = [PACKAGE / name, ROOT / name, *ROOT.glob(f"tests/**/{Path(name).name}")]
        assert any(path.exists() for path in found), name


def test_each_folder_is_described():
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    described = set(re.findall(r"^\| \d \| `(\w+)` \|", PAGE, re.MULTILINE))
    assert described == folders


def test_no_new_class_or_module_has_a_replaced_word():
    classes = {node.name for path in files() for node in nodes(path) if isinstance(node, ast.ClassDef)}
    assert {name for name in classes if REPLACED & set(re.findall(r"[A-Z][a-z]*", name))} == set()
    parts = {part for path in files() for part in path.relative_to(PACKAGE).with_suffix("").parts}
    assert not {part for part in parts if {word.lower() for word in REPLACED} & set(part.split("_"))}


def test_no_class_name_is_in_two_files():
    homes = {}
    for path in files():
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, set()).add(path.relative_to(PACKAGE))
    assert {name: sorted(paths) for name, paths in homes.items() if len(paths) > 1} == {}


def test_each_file_in_contributing_exists():
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
    for name in re.findall(r"`((?:orchestrator|tests|scripts|\.ci)/[\w./-]+)`", text):
        if "NAME" not in name:
            assert (ROOT / name).exists() or list(ROOT.glob(f"tests/**/{Path(name).name}")), name


@pytest.mark.parametrize("tool", ["ruff check", "ruff format", "mypy"])
def test_the_hooks_are_gates_of_the_test_script(tool):
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert any(tool in hook["entry"] for hook in hooks)
    assert tool.split()[-1] in (ROOT / "scripts" / "test").read_text()
