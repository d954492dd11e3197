"""The inputs of a start, as plain fields for its record, and the differences between two starts.

No value of a variable is kept, only a keyed hash: a copied record reveals names, origins and which ones changed. The
key is a file beside the records (0600), so that hashes of one home can be compared with each other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

from orchestrator.history import git
from orchestrator.history.record import StartFacts, list_or_empty, map_or_empty, text_or_empty
from orchestrator.model.spec import ComponentSpec

KEY = "key"
FILE_MAX = 1 << 24  # bytes of a file that is hashed
LOCK_FILES = (
    "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "requirements.txt", "package-lock.json", "yarn.lock",
    "pnpm-lock.yaml", "bun.lockb", "Gemfile.lock", "Cargo.lock", "go.sum", "composer.lock", "mix.lock", "flake.lock",
)  # fmt: skip
# These differ between two terminals, or with the number of instances, and mean nothing to a component.
_OF_THE_TERMINAL = re.compile(
    r"_|SHLVL|PWD|OLDPWD|WINDOWID|TERM.*|TMUX.*|INVOCATION_ID|JOURNAL_STREAM|STY|SSH_.*|XDG_SESSION_ID|LS_COLORS|PS|ORCHESTRATE_INSTANCE"
)


class VariableInput(Protocol):
    """A variable and where its value comes from (`config.environment.Variable`)."""

    @property
    def value(self) -> str:
        """The value."""

    @property
    def origin(self) -> str:
        """A file and line, or words."""


@dataclass(frozen=True, slots=True)
class InputSources:
    """The sources of the definition: absolute paths of its files and .env files, the variables of each
    instance with their origins, and which of the files are `definitions`."""

    files: tuple[str, ...] = ()
    variables: Mapping[str, Mapping[str, VariableInput]] = field(default_factory=dict)
    definitions: tuple[str, ...] = ()


class Describer:
    """Makes the facts of a start. `key` makes hashes that only this home can compare."""

    def __init__(self, key: bytes, sources: InputSources, directory: Path) -> None:
        self._key = key
        self._sources = sources
        self._directory = directory
        self._hashes: dict[str, str] = {}
        self._paths: dict[tuple[str, str, str], list[object]] = {}

    def describe(self, components: Iterable[ComponentSpec]) -> StartFacts:
        """Return the facts about these components, their files and the state of the repository."""
        specs = list(components)
        variables = {spec.name: self._variables(spec) for spec in specs}
        common = _common(list(variables.values()))
        names = {spec.name: spec.component or spec.name for spec in specs}
        paths = [*self._sources.files, *(str(self._directory / name) for name in LOCK_FILES)]
        return {
            "definitions": list(self._sources.definitions),
            "files": {path: found for path in paths if (found := self._file(path))},
            **self._repository(),
            "variables": common,
            "components": [
                {
                    "name": spec.name,
                    "component": names[spec.name],
                    "source": spec.source,
                    "tags": sorted(spec.tags),
                    "depends_on": [
                        {"name": need.name, "condition": need.condition.value, "restart": need.restart}
                        for need in spec.depends_on
                    ],
                    "definition": self._definition(_of_components(spec, names)),
                    "command": self._command(spec),
                    "variables": {k: v for k, v in variables[spec.name].items() if common.get(k) != v},
                }
                for spec in specs
            ],
        }

    def _repository(self) -> StartFacts:
        repository = git.find(self._directory)
        if repository is None:
            return {}
        return {"commit": git.commit_of(repository), "changed": git.changed_files(repository)}

    def _hash(self, text: str) -> str:
        found = self._hashes.get(text)
        if found is None:
            data = text.encode("utf-8", "surrogateescape")
            found = self._hashes[text] = blake2b(data, digest_size=8, key=self._key).hexdigest()
        return found

    def _variables(self, spec: ComponentSpec) -> dict[str, list[str]]:
        known = self._sources.variables.get(spec.name, {})
        return {
            name: [self._hash(value), known[name].origin if name in known and known[name].value == value else ""]
            for name, value in spec.environment.items()
        }

    def _definition(self, spec: ComponentSpec) -> dict[str, str]:
        """Return a hash for each key of the definition that has an effect, the environment excluded."""
        skipped = ("name", "component", "environment", "source", "color", "attributes", "hooks")
        return {
            "user" if one.name == "account" else one.name: self._hash(repr(value))
            for of in (spec, spec.attributes, spec.hooks)
            for one in dataclasses.fields(of)
            if one.name not in skipped and (value := getattr(of, one.name)) != one.default
        }

    def _command(self, spec: ComponentSpec) -> list[object]:
        """Return path, modification time and size of the program; empty if it is not found."""
        word = program_of(spec.argv)
        place = spec.cwd, word, spec.environment.get("PATH", "")
        if place not in self._paths:
            path = os.path.join(spec.cwd, word) if "/" in word else shutil.which(word, path=place[2] or None)
            self._paths[place] = []
            with contextlib.suppress(OSError, ValueError):
                status = os.stat(path or "")
                self._paths[place] = [path, int(status.st_mtime), status.st_size]
        return self._paths[place]

    def _file(self, path: str) -> str:
        """Return the hash of a file; empty if it is not a readable regular file."""
        try:
            if not os.path.isfile(path) or os.path.getsize(path) > FILE_MAX:
                return ""
            return blake2b(Path(path).read_bytes(), digest_size=8, key=self._key).hexdigest()
        except OSError:
            return ""


def _of_components(spec: ComponentSpec, names: Mapping[str, str]) -> ComponentSpec:
    """Return a spec that depends on components instead of their instances, whose number may change."""
    needs = dict.fromkeys(dataclasses.replace(need, name=names.get(need.name, need.name)) for need in spec.depends_on)
    return dataclasses.replace(spec, depends_on=tuple(needs))


def _common(variables: list[dict[str, list[str]]]) -> dict[str, list[str]]:
    """Return the entries common to all: written once, they keep the record of many components small."""
    if not variables:
        return {}
    first, *others = variables
    return {name: value for name, value in first.items() if all(one.get(name) == value for one in others)}


def program_of(argv: tuple[str, ...]) -> str:
    """Return the program that a command runs: of `sh -c LINE` the first word of the line, after assignments."""
    if len(argv) < 3 or argv[1] != "-c" or os.path.basename(argv[0]) not in ("sh", "bash"):
        return argv[0] if argv else ""
    try:
        words = shlex.split(argv[2], comments=True)
    except ValueError:
        return argv[0]
    for word in words:
        if word != "exec" and not re.match(r"\w+=", word):
            return word if re.fullmatch(r"[\w./+@-]+", word) else argv[0]
    return argv[0]


def key_of(directory: Path) -> bytes:
    """Return the key of this home, made on first use. Raises OSError."""
    path = directory / KEY
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        if key := path.read_bytes()[:64]:
            return key
        path.unlink()  # a full disk has left it empty
        return key_of(directory)
    with os.fdopen(fd, "wb") as file:
        key = os.urandom(32)
        file.write(key)
    return key


# Differences


def differences(before: StartFacts, after: StartFacts, component: str = "") -> list[str]:
    """Return what changed, one sentence each, the most specific first; with `component`, omit changes of
    other ones. Damaged facts are accepted too."""
    old, new, counts = _paired(before, after)
    if component not in new:
        component = next(
            (text_or_empty(one.get("component")) for name, one in _entries(after) if name == component), component
        )
    found = _of_variables(before, after, old, new, component)
    explained = {match[1] for text in found if (match := re.search(r"(?:^|: )(\S+) line \d+ ", text))}
    for name in dict.fromkeys([*old, *new]):
        if component and name != component:
            continue
        if name not in new or name not in old:
            found.append(f"component {name} was {'added' if name in new else 'removed'}")
            continue
        found += [*counts.get(name, ()), *_of_component(name, old[name], new[name])]
    return [*found, *_of_files(before, after, explained)]


def _of_files(before: StartFacts, after: StartFacts, explained: set[str]) -> Iterator[str]:
    """Yield the files and versions that changed; `explained` are files whose changed lines are known."""
    home = f"{text_or_empty(after.get('home'))}/"
    old, new = map_or_empty(before.get("files")), map_or_empty(after.get("files"))
    for path in dict.fromkeys([*old, *new]):
        short = path.removeprefix(home)
        if old.get(path) != new.get(path) and not {path, short} & explained:
            yield f"{short} {'was added' if path not in old else 'was removed' if path not in new else 'changed'}"
            explained.add(short)
    dirty, now = map_or_empty(before.get("changed")), map_or_empty(after.get("changed"))
    for path in dict.fromkeys([*dirty, *now]):
        if dirty.get(path) != now.get(path) and path not in explained:
            how = "has no uncommitted change anymore" if path not in now else "has an uncommitted change"
            yield f"{path} {how}"
    first, second = (", ".join(map(str, list_or_empty(facts.get("definitions")))) for facts in (before, after))
    if first != second and "definitions" in before and "definitions" in after:
        yield f"definition changed: {first or 'none'} → {second or 'none'}"
    for key, words in (("commit", "git commit"), ("orchestrate", "version of orchestrate"), ("python", "Python"),
                       ("host", "host"), ("home", "home")):  # fmt: skip
        one, other = before.get(key), after.get(key)
        if one != other and isinstance(one, str) and isinstance(other, str):
            length = 12 if key == "commit" else 200
            yield f"{words} changed: {one[:length] or 'none'} → {other[:length] or 'none'}"


def _of_component(name: str, old: StartFacts, new: StartFacts) -> Iterator[str]:
    one, other = map_or_empty(old.get("definition")), map_or_empty(new.get("definition"))
    keys = [k for k in dict.fromkeys([*one, *other]) if k != "on_exit_is_set" and one.get(k) != other.get(k)]
    if keys:
        names = ", ".join("command" if key == "argv" else key for key in keys)
        yield f"{name}: {names} changed ({text_or_empty(new.get('source'))})"
    program, now = list_or_empty(old.get("command")), list_or_empty(new.get("command"))
    if program != now and program and now:
        moved = f"{program[0]} → {now[0]}" if program[0] != now[0] else f"{now[0]} was modified"
        yield f"{name}: program changed: {moved}"


def _of_variables(
    before: StartFacts,
    after: StartFacts,
    old: Mapping[str, StartFacts],
    new: Mapping[str, StartFacts],
    component: str,
) -> list[str]:
    """Return the variables that changed: once for all components, or with the component's name."""
    seen: dict[str, list[str]] = {}
    for name in (one for one in new if one in old and component in ("", one)):
        was = {**map_or_empty(before.get("variables")), **map_or_empty(old[name].get("variables"))}
        now = {**map_or_empty(after.get("variables")), **map_or_empty(new[name].get("variables"))}
        for variable in sorted({*was, *now}):
            one, other = _entry_of(before, was.get(variable)), _entry_of(after, now.get(variable))
            if one[:1] == other[:1] or _OF_THE_TERMINAL.fullmatch(variable):
                continue
            verb = "changed" if one and other else "was added" if other else "was removed"
            seen.setdefault(_variable(variable, one, other, verb), []).append(name)
    count = sum(name in old for name in new)
    return [
        text if component or (len(names) == count and count > 1) else f"{', '.join(names)}: {text}"
        for text, names in seen.items()
    ]


def _entry_of(facts: StartFacts, found: object) -> list[object]:
    """Return hash and origin of a variable; a file in the home of that start without the directory."""
    home = f"{text_or_empty(facts.get('home'))}/"
    return [one.removeprefix(home) if isinstance(one, str) else one for one in list_or_empty(found)]


def _variable(name: str, one: list[object], other: list[object], verb: str) -> str:
    was, now = (text_or_empty(found[1]) if len(found) > 1 else "" for found in (one, other))
    file, sign, line = (now or was).rpartition(":")
    if sign and line.isdecimal() and verb == "changed" and was.rpartition(":")[0] == file:
        return f"{file} line {line} {name} changed"
    if verb == "changed" and was != now:
        return f"variable {name} changed; it came from {was or 'elsewhere'}, now from {now or 'elsewhere'}"
    where = now if other else was
    return f"variable {name} {verb}" + (f" ({where})" if where else "")


def _entries(facts: StartFacts) -> Iterator[tuple[str, StartFacts]]:
    """Yield the name and the facts of each instance."""
    for one in map(map_or_empty, list_or_empty(facts.get("components"))):
        if isinstance(name := one.get("name"), str):
            yield name, one


def _paired(
    before: StartFacts, after: StartFacts
) -> tuple[dict[str, StartFacts], dict[str, StartFacts], dict[str, list[str]]]:
    """Return the instances of both starts by name, and for each component whose number of instances changed a sentence
    about that. Its first instance represents all of these, under the component's name."""
    was, now = _by_component(before), _by_component(after)
    old: dict[str, StartFacts] = {}
    new: dict[str, StartFacts] = {}
    counts: dict[str, list[str]] = {}
    for name in dict.fromkeys([*was, *now]):
        one, other = was.get(name, []), now.get(name, [])
        if one and other and len(one) != len(other):
            old[name], new[name] = one[0][1], other[0][1]
            counts[name] = [f"{name}: number of instances changed: {len(one)} → {len(other)}"]
        else:
            old.update(one)
            new.update(other)
    return old, new, counts


def _by_component(facts: StartFacts) -> dict[str, list[tuple[str, StartFacts]]]:
    found: dict[str, list[tuple[str, StartFacts]]] = {}
    for name, one in _entries(facts):
        found.setdefault(text_or_empty(one.get("component")) or name, []).append((name, one))
    return found
