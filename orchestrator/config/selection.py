"""Selects which components run, and in how many instances. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.config.definition import ComponentDefinition
from orchestrator.config.diagnostics import did_you_mean
from orchestrator.model.errors import UsageError
from orchestrator.model.spec import ComponentSpec

ALL = "all"  # in a formation: all components that it does not name
ALL_PROFILES = "*"
MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionRequest:
    """The user's selection. `names` and `without` are names or globs; `dependencies` whether to pull them in."""

    names: Sequence[str] = ()
    without: Sequence[str] = ()
    profiles: Sequence[str] = ()
    formation: Mapping[str, int] = field(default_factory=dict)
    dependencies: bool = True


@dataclass(frozen=True, slots=True)
class Selected:
    """A component of the system, in `count` instances; `index` is its place, from 0, among all that are defined.

    Unless it `starts` with the system it waits for a request."""

    component: ComponentDefinition
    count: int
    index: int
    starts: bool = True

    @property
    def instances(self) -> list[str]:
        """The names of its instances, numbered if there are several."""
        name = self.component.name
        return [name] if self.count == 1 else [f"{name}.{number}" for number in range(1, self.count + 1)]


def parse_formation(text: str, hint: str = "write -m web=2,worker=1 or -m all=1") -> dict[str, int]:
    """Read `web=2,all=1`; raises UsageError."""
    formation: dict[str, int] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, sign, count = (part.strip() for part in pair.partition("="))
        if not (name and sign and count.isascii() and count.isdecimal() and len(count) < 5 and int(count) <= MOST):
            raise UsageError(f"{pair!r} is not NAME=NUMBER with a number from 0 to {MOST}", hint)
        formation[name] = int(count)
    return formation


def select(components: Sequence[ComponentDefinition], request: SelectionRequest) -> tuple[list[Selected], list[str]]:
    """Return the components that run, in the order of their definition, and notes for the user.

    Raises UsageError for an unknown name, glob or profile.
    """
    by_name = {component.name: component for component in components}
    tags = tagged(components)
    formation: dict[str, int] = {}
    for (
        name,
        count,
    ) in request.formation.items():  # a name overrides a tag or a pattern, which override `all`
        if name not in (ALL, *by_name):
            formation |= dict.fromkeys(matching([name], by_name, tags), count)
    request = replace(request, formation={**formation, **request.formation})
    named = matching(request.names, by_name, tags)
    left_out = matching(request.without, by_name, tags)
    counts = {name: _count(component, request, name in named) for name, component in by_name.items()}
    left_out |= {name for name, count in counts.items() if count == 0}
    chosen = (named if request.names else _by_profile(components, request.profiles)) - left_out
    notes: list[str] = []
    if request.dependencies:
        _pull_in(chosen, left_out, by_name, counts, notes)
    if not chosen:
        raise UsageError("nothing is left to start", f"there are: {', '.join(by_name)}")
    starting = {name for name in chosen if by_name[name].autostart or (request.names and name in named)}
    _start_too(starting, chosen, by_name, notes)
    chosen_ones = [
        Selected(m, counts[m.name], i, m.name in starting) for i, m in enumerate(components) if m.name in chosen
    ]
    return chosen_ones, notes


def tagged(components: Iterable[ComponentDefinition | ComponentSpec]) -> dict[str, set[str]]:
    """Return the names of the components by their tags."""
    found: dict[str, set[str]] = {}
    for one in components:
        for tag in one.tags:
            found.setdefault(tag, set()).add(one.name)
    return found


def matching(
    patterns: Iterable[str],
    known: Collection[str],
    tags: Mapping[str, Collection[str]] | None = None,
    listed: Collection[str] | None = None,
) -> set[str]:
    """Return the known names that names, globs and `+tags` match. Raises UsageError for one without a match, with a
    hint that has the `listed` names; all without those."""
    found: set[str] = set()
    for pattern in patterns:
        if pattern.startswith("+"):
            found |= _tagged(pattern[1:], tags or {})
            continue
        names = {pattern} if pattern in known else set(fnmatch.filter(known, pattern))
        if not names:
            there = f"there are: {', '.join(known if listed is None else listed)}"
            hint = did_you_mean(pattern, known).removeprefix("; ") or there
            raise UsageError(f"unknown component {pattern!r}", hint)
        found |= names
    return found


def _tagged(tag: str, tags: Mapping[str, Collection[str]]) -> set[str]:
    if tag not in tags:
        there = f"there are: {', '.join(tags)}" if tags else "no component has a tag"
        raise UsageError(f"unknown tag {tag!r}", did_you_mean(tag, tags).removeprefix("; ") or there)
    return set(tags[tag])


def _count(component: ComponentDefinition, request: SelectionRequest, named: bool) -> int:
    default = request.formation.get(ALL, max(component.replicas, 1) if named else component.replicas)
    return request.formation.get(component.name, default)


def _by_profile(components: Sequence[ComponentDefinition], profiles: Sequence[str]) -> set[str]:
    known = dict.fromkeys(profile for component in components for profile in component.profiles)
    for profile in profiles:
        if profile not in known and profile != ALL_PROFILES:
            there = f"there are: {', '.join(known)}" if known else "no component has a profile"
            raise UsageError(f"unknown profile {profile!r}", did_you_mean(profile, known).removeprefix("; ") or there)
    wanted = set(known if ALL_PROFILES in profiles else profiles)
    return {component.name for component in components if not component.profiles or wanted & set(component.profiles)}


def _pull_in(
    chosen: set[str],
    left_out: set[str],
    by_name: Mapping[str, ComponentDefinition],
    counts: dict[str, int],
    notes: list[str],
) -> None:
    """Add the dependencies of the selected components, recursively, and report them."""
    queue = [name for name in by_name if name in chosen]
    for name in queue:
        for other in (d.name for d in by_name[name].depends_on if d.name in by_name and d.required):
            if other in left_out:
                notes.append(f"{name} starts without {other}, which is left out")
            elif other not in chosen:
                chosen.add(other)
                queue.append(other)
                counts[other] = max(counts[other], 1)
                notes.append(f"{other} starts too: {name} needs it")


def _start_too(
    starting: set[str], chosen: set[str], by_name: Mapping[str, ComponentDefinition], notes: list[str]
) -> None:
    """Add the selected components that those that start depend on."""
    queue = [name for name in by_name if name in starting]
    for name in queue:
        for other in (d.name for d in by_name[name].depends_on if d.required):
            if other in chosen and other not in starting:
                starting.add(other)
                queue.append(other)
                notes.append(f"{other} starts too: {name} needs it")
