"""Converts a document to a definition: `schema` has the keys; checks across components are here. Pure."""

from __future__ import annotations

from typing import Any

from orchestrator.config.definition import ComponentDefinition, Definition, Document, Path, PresetTable
from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.schema.component import COMPONENT, INIT
from orchestrator.config.schema.fields import At, InvalidValue
from orchestrator.config.schema.system import DEFAULTS, SYSTEM


def read(document: Document, title: str, report: Report) -> Definition:
    """Return the valid parts of the document; all mistakes go to `report`."""
    written, document = document, _with_defaults(document)
    try:
        values = SYSTEM.read(document.tree, At(document, report))
    except InvalidValue:
        values = {}
    _check_restarts(written, values.get("components", {}), report)
    init, components = (_components(document, section, values.get(section, {})) for section in ("init", "components"))
    _check_sections(document, report)
    files = values.get("env_file")
    airflow = None
    if "airflow" in values:
        root = ("airflow",)
        places = {path[1:]: place for path, place in document.places.items() if path[:1] == root and len(path) > 1}
        airflow = PresetTable(values["airflow"], document.place(root), places)
    return Definition(
        title=title,
        directory=document.root.directory,
        env_file=None if files is None else tuple((f, document.place(("env_file", i))) for i, f in enumerate(files)),
        init=init,
        components=components,
        names=frozenset(_names(document, "components")),
        airflow=airflow,
    )


def _with_defaults(document: Document) -> Document:
    """Return the document with the keys of [defaults] in each component and step that allows them and does not set
    them.

    Invalid values of [defaults] are left out there: they are reported once, separately.
    """
    defaults = document.tree.get("defaults")
    if not isinstance(defaults, dict):
        return document
    right = _right(defaults, document)
    places, tree = dict(document.places), dict(document.tree)
    written: dict[str, dict[Path, Place]] = {}  # by key of [defaults]
    for path, place in document.places.items():
        if path[:1] == ("defaults",) and len(path) > 1:
            written.setdefault(str(path[1]), {})[path[1:]] = place
    for section, known in (("components", COMPONENT), ("init", INIT)):
        if isinstance(tables := tree.get(section), dict):
            usable = {key: value for key, value in right.items() if key in known.keys}
            tree[section] = {
                name: _over(usable, (section, name), table, written, places) for name, table in tables.items()
            }
    return Document(document.root, tree, places)


def _right(defaults: dict[str, Any], document: Document) -> dict[str, Any]:
    """Return the keys of [defaults] without mistakes; of `environment` the variables without."""
    right: dict[str, Any] = {}
    for key, value in defaults.items():
        report = Report()
        try:
            read = DEFAULTS.read({key: value}, At(document, report, ("defaults",)))
        except InvalidValue:
            continue
        if not report.problems:
            right[key] = value
        elif key == "environment" and key in read:
            right[key] = {name: text for name, text in value.items() if name in read[key]}
    return right


def _over(
    defaults: dict[str, Any],
    root: Path,
    table: object,
    written: dict[str, dict[Path, Place]],
    places: dict[Path, Place],
) -> object:
    if not isinstance(table, dict):
        return table
    merged = dict(table)
    for key, value in defaults.items():
        if key == "environment" and isinstance(merged.get(key), dict):
            merged[key] = {**value, **merged[key]}
        elif key not in merged:
            merged[key] = value
        for path, place in written.get(key, {}).items():
            places.setdefault((*root, *path), place)
    return merged


def _names(document: Document, section: str) -> list[str]:
    table = document.tree.get(section)
    return list(table) if isinstance(table, dict) else []


_LIMITS = ("max", "within", "same_exits", "backoff")
_FIELDS = {"for": "needed_by"}  # fields whose keys are keywords of Python


def _components(document: Document, section: str, tables: dict[str, dict[str, Any]]) -> tuple[ComponentDefinition, ...]:
    components = []
    by_name: dict[str | int, dict[Path, Place]] = {}
    for path, place in document.places.items():
        if path[:1] == (section,) and len(path) > 2:
            by_name.setdefault(path[1], {})[path[2:]] = place
    for name, values in tables.items():
        root = (section, name)
        places = by_name.get(name, {})
        fields = {_FIELDS.get(key, key): value for key, value in values.items()}
        components.append(ComponentDefinition(name=name, place=document.place(root), places=places, **fields))
    return tuple(components)


def _check_restarts(document: Document, components: dict[str, dict[str, Any]], report: Report) -> None:
    """Report limits of restarts that have no effect, because nothing restarts the component. Those of [defaults] are
    not among them, because other components may have `alive`; nor are those of a preset's component (one without a
    command of its own), which has a policy."""
    tables = document.tree.get("components")
    for name, table in tables.items() if isinstance(tables, dict) else ():
        restart = table.get("restart") if isinstance(table, dict) else None
        read = components.get(name, {})  # with [defaults], without what is invalid
        if not isinstance(restart, dict) or "policy" in restart or "restart" not in read or "alive" in read:
            continue
        if "command" not in table:
            continue
        if keys := [key for key in _LIMITS if key in restart]:
            what = f"{' and '.join(keys)} {'have' if keys[1:] else 'has'}"
            report.problem(
                document.place(("components", name, "restart", keys[0])),
                f"components.{name}.restart: {what} no effect without a policy or `alive`;"
                ' add policy = "on-failure" or "always"',
            )


def _check_sections(document: Document, report: Report) -> None:
    components = _names(document, "components")
    if "components" not in document.tree:
        report.problem(document.root, "no components in it: write a table [components.NAME] with a command for each")
    elif not components and isinstance(document.tree["components"], dict):
        report.problem(document.place(("components",)), "no components in it")
    for name in _names(document, "init"):
        if name in components:
            place = document.place(("init", name))
            report.problem(
                place, f"init.{name}: a component has this name too ({document.place(('components', name))})"
            )
