"""The variables of a component, and where each comes from. Pure.

From weak to strong: the system's .env files, the component's own, the shell; then what is assigned (PORT, PS and
ours), then the component's `environment`. With `override` files beat the shell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.config.definition import Member
from orchestrator.config.expansion import ExpansionError, Lookup, expand
from orchestrator.config.report import Place, Report
from orchestrator.config.secrets import mask
from orchestrator.model.masked import masked, plain

if TYPE_CHECKING:
    from orchestrator.config.dotenv import Assignment

FROM_SHELL = "the shell"  # an origin
PORT_STEP = 100  # between components, as foreman and honcho have it
PORT_MAX = 65535
ASSIGNED = ("PORT", "PS", "ORCHESTRATE_COMPONENT", "ORCHESTRATE_INSTANCE")  # to each instance


@dataclass(frozen=True, slots=True)
class Variable:
    """`origin` says in words, or as file:line, where the value comes from. `value` shows no secret that it was expanded
    from (see `model.masked`)."""

    value: str
    origin: str


Variables = Mapping[str, Variable]


@dataclass(frozen=True, slots=True)
class Values:
    """What `expand_at` asks for values: `value` for the value of a variable, masked or not."""

    value: Lookup

    def get(self, name: str) -> str | None:
        """Return the value itself."""
        value = self.value(name)
        return None if value is None else plain(value)

    def shown(self, name: str) -> str | None:
        """Return the value as it may be shown: without the secrets in it, and masked if the name says so."""
        value = self.value(name)
        return None if value is None else mask(name, str(value))


@dataclass(frozen=True, slots=True)
class Layers:
    """What the shell and the files read so far give."""

    shell: Mapping[str, str]
    override: bool = False
    files: Variables = field(default_factory=dict)

    def with_file(self, file: str, assignments: Sequence[Assignment], report: Report) -> Layers:
        """Return the layers with one more file; its values may refer to those before them."""
        files = dict(self.files)
        for assignment in assignments:
            place = Place(file, assignment.line)
            value = expand_at(place, assignment.template, Values(self._lookup(files)), report)
            files[assignment.name] = Variable(value, str(place))
        return replace(self, files=files)

    def _lookup(self, files: Variables) -> Lookup:
        def from_files(name: str) -> str | None:
            return files[name].value if name in files else None

        def look_up(name: str) -> str | None:
            if self.override:
                return files[name].value if name in files else self.shell.get(name)
            return self.shell[name] if name in self.shell else from_files(name)

        return look_up

    def flat(self) -> dict[str, Variable]:
        """Return every variable with the value that counts."""
        shell = {name: Variable(value, FROM_SHELL) for name, value in self.shell.items()}
        return {**shell, **self.files} if self.override else {**self.files, **shell}

    def get(self, name: str) -> str | None:
        """Return the value that counts."""
        return self._lookup(self.files)(name)

    @property
    def values(self) -> Values:
        """What texts are expanded with."""
        return Values(self.get)


def values_of(variables: Variables) -> Values:
    """Return what texts are expanded with."""

    def look_up(name: str) -> str | None:
        variable = variables.get(name)
        return variable.value if variable else None

    return Values(look_up)


def expand_at(place: Place, text: str, values: Values, report: Report) -> str:
    """Expand a text that stands at `place`; its faults and notes go to `report`.

    The result knows how it may be shown: without the values of variables whose names or values say that they are
    secret, and without the secrets from which those were expanded in turn.
    """
    if "$" not in text:
        return masked(text, mask("", text))

    def unset(name: str) -> None:
        report.note(
            f"{place}: {name} is not set; using an empty string (write ${{{name}:-}} if intended, $$ for a dollar)"
        )

    try:
        shown = mask("", expand(text, values.shown, unset))
        return masked(expand(text, values.get), shown)
    except ExpansionError as error:
        report.problem(place, str(error))
        return ""


def of_instance(
    member: Member, inherited: Variables, number: int, instance: str, port: Variable | None, report: Report
) -> dict[str, Variable]:
    """Return the variables of instance `number` (from 1); `port` is what PORT is without the component's own word."""
    variables = {**inherited, **assigned(member.name, number, instance)}
    if port is not None:
        variables["PORT"] = _own_port(member, number, variables, report) or port
    values = values_of(variables)
    for name, template in member.environment.items():
        place = member.where("environment", name)
        variables[name] = Variable(expand_at(place, template, values, report), str(place))
    return variables


def assigned(component: str, number: int, instance: str) -> dict[str, Variable]:
    """Return the variables that say which instance this is; PS as foreman has it."""
    ours = {"PS": f"{component}.{number}", "ORCHESTRATE_COMPONENT": component, "ORCHESTRATE_INSTANCE": instance}
    return {name: Variable(value, "orchestrate") for name, value in ours.items()}


def _own_port(member: Member, number: int, variables: Variables, report: Report) -> Variable | None:
    if member.port is None:
        return None
    place = member.where("port")
    text = str(member.port)
    before = len(report.problems)
    first = expand_at(place, text, values_of(variables), report)
    if len(report.problems) > before:
        return None
    port = int(first) + number - 1 if first.isascii() and first.isdecimal() and len(first) < 6 else 0
    if not 0 < port <= PORT_MAX:
        report.problem(place, f"{member.name}: {first!r:.20} is no port" + (f" (from {text})" if first != text else ""))
    return Variable(str(port), str(place))


def assigned_port(base: Variable, index: int, number: int) -> Variable:
    """Return PORT of instance `number` (from 1) of the component that is the `index`-th (from 0) in the definition."""
    port = int(base.value) + PORT_STEP * index + number - 1
    return Variable(
        str(port), f"assigned from {base.value} ({base.origin})" if base.origin else f"assigned from {base.value}"
    )
