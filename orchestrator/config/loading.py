"""A document to a definition: the keys are `keys`', what concerns more than one member is here. Pure."""

from __future__ import annotations

from typing import Any

from orchestrator.config.definition import ComponentDefinition, Definition, Document, Path, PresetTable
from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.schema.component import COMPONENT, DEFAULTS, INIT, SYSTEM
from orchestrator.config.schema.fields import At, Fault


def read(document: Document, title: str, report: Report) -> Definition:
    """Return what is right in the document; everything that is wrong goes to `report`."""
    document = _with_defaults(document)
    try:
        values = SYSTEM.read(document.tree, At(document, report))
    except Fault:
        values = {}
    init, components = (_members(document, section, values.get(section, {})) for section in ("init", "components"))
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
    """Return the document with the keys of [defaults] in each component and step that may have and does not have them.

    What is wrong in [defaults] is left out there: it is reported once, for itself.
    """
    defaults = document.tree.get("defaults")
    if not isinstance(defaults, dict):
        return document
    try:
        right = DEFAULTS.read(defaults, At(document, Report(), ("defaults",)))
    except Fault:
        return document
    places, tree = dict(document.places), dict(document.tree)
    written: dict[str, dict[Path, Place]] = {}  # by key of [defaults]
    for path, place in document.places.items():
        if path[:1] == ("defaults",) and len(path) > 1:
            written.setdefault(str(path[1]), {})[path[1:]] = place
    for section, known in (("components", COMPONENT), ("init", INIT)):
        if isinstance(tables := tree.get(section), dict):
            usable = {key: defaults[key] for key in right if key in known.keys}
            tree[section] = {
                name: _over(usable, (section, name), table, written, places) for name, table in tables.items()
            }
    return Document(document.root, tree, places)


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


_FIELDS = {"for": "needed_by"}  # of a member, if the key is a keyword of Python


def _members(document: Document, section: str, tables: dict[str, dict[str, Any]]) -> tuple[ComponentDefinition, ...]:
    members = []
    by_name: dict[str | int, dict[Path, Place]] = {}
    for path, place in document.places.items():
        if path[:1] == (section,) and len(path) > 2:
            by_name.setdefault(path[1], {})[path[2:]] = place
    for name, values in tables.items():
        root = (section, name)
        places = by_name.get(name, {})
        fields = {_FIELDS.get(key, key): value for key, value in values.items()}
        members.append(ComponentDefinition(name=name, place=document.place(root), places=places, **fields))
    return tuple(members)


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
