"""compose.yaml as a draft of orchestrate.toml: the services that can run without a container. Pure.

That requires a command, and that the service is built from this project or its program is installed here. The others
are listed, and written as comments that run them with `docker compose`.
"""

from __future__ import annotations

from typing import Any

from orchestrator.config.importers.compose_service import ComposeService, ports_of
from orchestrator.config.importers.convert import names
from orchestrator.config.importers.draft import Draft, Nearby
from orchestrator.config.importers.yaml_document import parse
from orchestrator.model.errors import ConfigError

_TOP = {"services", "version", "name"}


def read(text: str, name: str, nearby: Nearby) -> Draft:
    """Return the draft. Raises ConfigError if the file has no services, or none that can run here."""
    document = parse(text, name)
    services, tree = document.tables("services", name), document.tree
    draft = Draft(comments=[f"Converted from {name}."])
    for key in tree:
        if key not in _TOP and not key.startswith("x-"):
            draft.lose(document.line(key), key, "no counterpart")
    ours = names(services)
    runnable = {service for service, table in services.items() if _is_runnable(table, nearby)}
    for service, table in services.items():
        one = ComposeService(document, draft, service, ours, runnable)
        if service in runnable:
            one.convert(table)
        else:
            one.name(table)
    if not draft.components:
        raise ConfigError(
            [f"cannot import {name}: all its services need their images"],
            "run them with docker compose: `orchestrate init --print` shows how",
        )
    return draft


def image_services(text: str) -> dict[str, int]:
    """Return the services that run an image and build nothing, each with the first port that it publishes, or 0."""
    tree = parse(text, "compose").tree
    services = tree.get("services") if isinstance(tree, dict) else None
    found = {}
    for service, table in (services or {}).items() if isinstance(services, dict) else ():
        if isinstance(table, dict) and "image" in table and "build" not in table and not table.get("profiles"):
            ports = table.get("ports")
            published = [ports_of(port)[0] for port in ports] if isinstance(ports, list) else []
            found[str(service)] = next((port for port in published if port), 0)
    return found


def _is_runnable(table: Any, nearby: Nearby) -> bool:
    if not isinstance(table, dict):
        return False
    command = table.get("entrypoint") or table.get("command")
    if not command:
        return False
    if "build" in table or "image" not in table:
        return True
    word = command[0] if isinstance(command, list) else next(iter(str(command).split()), "")
    return isinstance(word, str) and not nearby.fault(word)
