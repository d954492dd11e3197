"""What a preset learned from its initial steps."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.model.spec import Component


@dataclass(frozen=True, slots=True)
class Plan:
    """The components, lines to show before they start (`notes`) and once all are ready (`banner`). In the banner
    `secret` is kept out of the log."""

    components: tuple[Component, ...]
    notes: tuple[str, ...] = ()
    banner: tuple[str, ...] = ()
    secret: str = ""
