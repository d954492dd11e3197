"""On which floor each package is, and who alone may use what: read from the source of every file, by ast."""

import ast
import re
from pathlib import Path

import pytest
from sources import PACKAGE, files, nodes, parsed

TESTS = Path(__file__).parent.parent

FLOORS = {
    "cli": 7,
    "ui": 6,
    "export": 5,
    "control": 5,
    "history": 4,
    "presets": 4,
    "supervisor": 4,
    "output": 3,
    "process": 3,
    "runtime": 2,
    "config": 1,
    "terminal": 1,
    "model": 0,
}
ABOVE = 8  # __init__, __main__ and pytest_plugin of the package itself

# Who alone may import what, as paths below `orchestrator`; a package stands for all its files.
ALONE = {
    "pexpect": {"process/launch.py"},
    "ptyprocess": set(),
    "filelock": {"runtime/lock.py"},
    "blessed": {"output"},
    "pyte": {"terminal/pyte_screen.py"},
    "yaml": {"config/importers/yaml_document.py"},
    "select": {"output/console.py", "runtime/loop.py"},
    "selectors": {"runtime/loop.py"},
    "airflow": set(),
    "asyncio": set(),
}

# Run by another interpreter, as a program: it belongs to the system that it asks, and shares nothing with us.
FOREIGN_FOLDER = "presets/airflow/inside/"

FILES = [path.relative_to(PACKAGE).as_posix() for path in files()]
FOREIGN = {file for file in FILES if file.startswith(FOREIGN_FOLDER)}


def package_of(parts):
    """The package of a module or file, given as its parts below `orchestrator`; empty for files beside the packages."""
    return parts[0] if parts and parts[0] in FLOORS else ""


def floor_of(package):
    return FLOORS[package] if package else ABOVE


def imports(file):
    """Every module that a file imports, at any depth of it, as (line, full name): for ``from a import b`` both."""
    package = ["orchestrator", *Path(file).parent.parts]
    for node in nodes(PACKAGE / file):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])
            yield node.lineno, base
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "import_module":
            yield from ((node.lineno, text) for text in map(leading_text, node.args[:1]) if text)


def leading_text(node):
    """The text that a literal or an f-string begins with."""
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    return node.value.rstrip(".") if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def names_used(path):
    """Every dotted name in a file, as (line, name)."""
    for node in nodes(path):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.lineno, f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def faults_of_import(file, name):
    """What is wrong with `file` importing our module `name`; empty if nothing is."""
    parts = name.split(".")
    if parts[0] != "orchestrator" or len(parts) < 2:
        return ""
    here, there = package_of(Path(file).parts), package_of(parts[1:])
    if not there:
        return "" if parts[1] == "__version__" else f"{name} is in no package"
    if there != here and floor_of(there) >= floor_of(here):
        return f"{here} (floor {floor_of(here)}) imports {name} (floor {floor_of(there)})"
    return ""


def test_every_package_has_a_floor():
    packages = {path.name for path in PACKAGE.iterdir() if any(path.rglob("*.py"))}
    assert packages <= FLOORS.keys()


def test_imports_only_from_lower_floors():
    faults = [
        f"{file}:{line}: {fault}"
        for file in FILES
        for line, name in imports(file)
        if (fault := faults_of_import(file, name))
    ]
    assert faults == []


def test_the_rule_sees_a_fault():
    assert faults_of_import("model/spec.py", "orchestrator.terminal.lines")
    assert faults_of_import("process/guardian.py", "orchestrator.output.console")
    assert faults_of_import("runtime/loop.py", "orchestrator.supervisor")
    assert not faults_of_import("supervisor/supervisor.py", "orchestrator.output.console.Kind")
    assert not faults_of_import("terminal/line_painter.py", "orchestrator.terminal.escapes")


def test_what_is_run_by_another_interpreter_shares_nothing_with_us():
    modules = {"orchestrator." + file.removesuffix(".py").replace("/", ".") for file in FOREIGN}
    for file in set(FILES) - FOREIGN:
        for line, name in imports(file):
            assert name not in modules, f"{file}:{line}: imports {name}"


@pytest.mark.parametrize("file", sorted(FOREIGN))
def test_programs_of_another_interpreter_import_only_each_other(file):
    for node in nodes(PACKAGE / file):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 1 or not (node.level or node.module.startswith("orchestrator")), node.lineno
        elif isinstance(node, ast.Import):
            assert not [alias.name for alias in node.names if alias.name.startswith("orchestrator")], node.lineno


def evaluated(node):
    """Yield the nodes of a tree without its annotations, which `from __future__ import annotations` leaves alone."""
    yield node
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from evaluated(child)


@pytest.mark.parametrize("file", sorted(FOREIGN))
def test_programs_of_another_interpreter_keep_to_python_3_8(file):
    """Later versions have generic classes of the standard library, and these methods of str."""
    generic = {"Callable", "Iterable", "Iterator", "Mapping", "Sequence", "dict", "list", "set", "tuple"}
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"), file, feature_version=(3, 8))
    for node in evaluated(tree):
        if isinstance(node, ast.Subscript):
            assert not (isinstance(node.value, ast.Name) and node.value.id in generic), node.lineno
        elif isinstance(node, ast.Attribute):
            assert node.attr not in ("removeprefix", "removesuffix"), node.lineno


def test_each_dependency_has_one_place():
    faults = [
        f"{file}:{line}: imports {name}"
        for file in sorted(set(FILES) - FOREIGN)
        for line, name in imports(file)
        if (allowed := ALONE.get(name.split(".")[0])) is not None and not {file, Path(file).parts[0]} & allowed
    ]
    assert faults == []


def test_the_environment_is_read_in_one_place():
    reading = {"os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv", "os.unsetenv"}
    faults = [
        f"{file}:{line}: {name}"
        for file in FILES
        if file not in {"cli/settings.py", *FOREIGN}
        for line, name in names_used(PACKAGE / file)
        if name in reading
    ]
    assert faults == []


def test_one_file_waits_and_kills():
    """Beside it `up -d` waits for the fork that it made itself, and an attached client stops itself."""
    names = {f"os.{name}" for name in "kill killpg wait waitpid waitid wait3 wait4".split()}
    own = {"process/tree.py": names, "cli/detach.py": {"os.waitpid"}, "cli/attach_session.py": {"os.kill"}}
    faults = [
        f"{file}:{line}: {name}"
        for file in FILES
        for line, name in names_used(PACKAGE / file)
        if name in names - own.get(file, set())
    ]
    assert faults == []


def test_the_model_knows_no_machine():
    """No clock, no random numbers, no files: what the lowest floor decides follows from its arguments."""
    machine = {"os", "sys", "io", "time", "random", "socket", "subprocess", "threading", "pathlib", "shutil", "logging"}
    files = [file for file in FILES if file.startswith("model/")]
    faults = [f"{file}:{line}: {name}" for file in files for line, name in imports(file) if name in machine]
    assert faults == []


def test_nothing_sleeps():
    can = re.compile(r"time\s*\.\s*sleep|from\s+time\s+import")  # to parse all tests takes a second
    paths = [path for path in (*files(), *sorted(TESTS.rglob("*.py"))) if can.search(path.read_text(encoding="utf-8"))]
    faults = [f"{path}:{line}" for path in paths for line, name in names_used(path) if name == "time.sleep"]
    assert faults == []


def test_modules_and_all_that_is_public_have_docstrings():
    missing = []
    for file in FILES:
        tree = parsed(PACKAGE / file)
        missing += [] if ast.get_docstring(tree) else [f"{file}:1: the module"]
        missing += [f"{file}:{node.lineno}: {name}" for name, node in public(tree, "") if not ast.get_docstring(node)]
    assert missing == []


def public(body, inside):
    """Public functions and classes of a module, and the public methods of those classes, with their names."""
    for node in body.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield inside + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node, f"{inside}{node.name}.")
