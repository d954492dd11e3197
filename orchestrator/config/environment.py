"""The variables of a component, and the source of each. Pure.

From weak to strong: the system's .env files, the component's .env files, the shell, then assigned variables (PORT, PS
and ours), then the component's `environment`. With `override` files override the shell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.interpolation import ExpansionError, Lookup, expand
from orchestrator.config.redaction import mask
from orchestrator.model.masked import masked, plain

if TYPE_CHECKING:
    from orchestrator.config.definition import ComponentDefinition
    from orchestrator.config.dotenv import Assignment
    from orchestrator.model.spec import Account

FROM_SHELL = "the shell"  # an origin
ASSIGNED = ("PORT", "PS", "ORCHESTRATE_COMPONENT", "ORCHESTRATE_INSTANCE")  # assigned to each instance


@dataclass(frozen=True, slots=True)
class Variable:
    """`origin` says in words, or as file:line, where the value comes from. `value` shows no secret that it was expanded
    from (see `model.masked`)."""

    value: str
    origin: str


Variables = Mapping[str, Variable]
Expand = Callable[[tuple[str | int, ...], str, Variables], str]


@dataclass(frozen=True, slots=True)
class Values:
    """Provides values to `expand_at`: `value` returns the value of a variable, masked or not."""

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
    """The variables from the shell and the files read so far."""

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
        """Return every variable with its effective value."""
        shell = {name: Variable(value, FROM_SHELL) for name, value in self.shell.items()}
        return {**shell, **self.files} if self.override else {**self.files, **shell}

    def get(self, name: str) -> str | None:
        """Return the effective value."""
        return self._lookup(self.files)(name)

    @property
    def values(self) -> Values:
        """The values for expanding texts."""
        return Values(self.get)


def values_of(variables: Variables, port_of: Lookup = lambda name: None) -> Values:
    """Return the values for expanding texts; `port_of` returns the port of a component, for `${web.PORT}`."""

    def look_up(name: str) -> str | None:
        if name.endswith(".PORT"):
            return port_of(name.removesuffix(".PORT"))
        variable = variables.get(name)
        return variable.value if variable else None

    return Values(look_up)


def expand_at(place: Place, text: str, values: Values, report: Report) -> str:
    """Expand the text of a key at `place`; its faults and notes go to `report`.

    The result carries the text that may be shown: without the values of variables whose names or values say that they
    are secret, and without the secrets from which those were expanded in turn.
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
        report.unset(place, str(error))
        return ""


def without(variables: Variables, unset: Sequence[str]) -> Variables:
    """Return the variables without those of these names or patterns."""
    if not unset:
        return variables
    return {name: v for name, v in variables.items() if not any(fnmatchcase(name, pattern) for pattern in unset)}


def of_instance(
    component: ComponentDefinition,
    inherited: Variables,
    number: int,
    instance: str,
    port: Variable | None,
    expand: Expand,
) -> dict[str, Variable]:
    """Return the variables of instance `number` (from 1); `port` is its PORT, None for none. `expand` expands the text
    of a key with the variables so far."""
    variables = {**inherited, **assigned(component.name, number, instance)}
    if port is not None:
        variables["PORT"] = port
    for name, template in component.environment.items():
        value = expand(("environment", name), template, variables)
        variables[name] = Variable(value, str(component.where("environment", name)))
    return variables


def of_account(account: Account | None) -> dict[str, Variable]:
    """Return the variables that login(1) would set for a user; none if only a group was named."""
    if account is None or not account.name:
        return {}
    ours = {"HOME": account.home, "USER": account.name, "LOGNAME": account.name, "SHELL": account.shell}
    return {name: Variable(value, f"the user {account.name}") for name, value in ours.items() if value}


def assigned(component: str, number: int, instance: str) -> dict[str, Variable]:
    """Return the variables that identify the instance; PS as in foreman."""
    ours = {"PS": f"{component}.{number}", "ORCHESTRATE_COMPONENT": component, "ORCHESTRATE_INSTANCE": instance}
    return {name: Variable(value, "orchestrate") for name, value in ours.items()}
