"""`orchestrate doctor`: checks this machine and this directory, and suggests what to do."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from orchestrator.cli import home_claim, links, machine_checks, planning, settings, sources, system_lookup
from orchestrator.cli.machine_checks import ERROR, OK, WARNING, Finding
from orchestrator.cli.options import LocationOptions, PlanOptions
from orchestrator.model.errors import FAILED_STATUS, ConfigError, OrchestrateError
from orchestrator.model.spec import SystemSpec
from orchestrator.runtime.home import Home
from orchestrator.runtime.lock import holder
from orchestrator.terminal.escapes import printable_lines

SUBJECT = 13  # columns


@dataclass(frozen=True, slots=True)
class DoctorOptions:
    """The options of `doctor`."""

    location: LocationOptions
    plan: PlanOptions
    json: bool = False


def run(options: DoctorOptions) -> int:
    """Print a line for each finding; return 1 if one is an error."""
    system, findings = _definition(options)
    home = system_lookup.home_of(options.location)
    findings += _home(home, system)
    logs = home.logs if home.directory.is_dir() else home.directory
    findings += machine_checks.find(logs, len(system.components) if system else 1)
    if options.json:
        for finding in findings:
            print(json.dumps(asdict(finding)))
    else:
        for finding in findings:
            print(links.linked("\n".join(_shown(finding))))
        print(_summary(findings))
    return FAILED_STATUS if any(finding.level == ERROR for finding in findings) else 0


def _shown(finding: Finding) -> list[str]:
    found = [f"{finding.level:<8} {finding.subject:<{SUBJECT}} {printable_lines(finding.text)}"]
    if finding.advice:
        found.append(f"{'':<{len('warning ') + SUBJECT + 2}}{printable_lines(finding.advice)}")
    return found


def _summary(findings: list[Finding]) -> str:
    counts = {level: sum(finding.level == level for finding in findings) for level in (ERROR, WARNING)}
    if not any(counts.values()):
        return "all checks passed"
    words = [f"{number} {level}{'s' * (number != 1)}" for level, number in counts.items() if number]
    return f"found {' and '.join(words)}"


def _definition(options: DoctorOptions) -> tuple[SystemSpec | None, list[Finding]]:
    subject = "definition"
    here = settings.read()
    try:
        resolved, _ = planning.plan(planning.with_all_profiles(options.plan), sources.read(options.location, here))
    except sources.MissingFileError as error:
        return None, [Finding(WARNING, subject, error.problems[0], "run `orchestrate init`")]
    except ConfigError as error:
        more = f" (and {len(error.problems) - 1} more)" if error.problems[1:] else ""
        return None, [Finding(ERROR, subject, error.problems[0] + more, "run `orchestrate check`")]
    except OrchestrateError as error:
        return None, [Finding(ERROR, subject, error.message, error.hint or "run `orchestrate check`")]
    names = ", ".join(component.name for component in resolved.system.components)
    return resolved.system, [Finding(OK, subject, f"{resolved.system.title}: {names}")]


def _home(home: Home, system: SystemSpec | None) -> list[Finding]:
    if pid := holder(home.lock_path):
        return [Finding(OK, "home", f"a system is running in {home.directory} (pid {pid})", "run `orchestrate ps`")]
    findings = [Finding(OK, "home", f"no system is running in {home.directory}"), *_leftovers(home)]
    taken = planning.taken_ports(system) if system else ()
    for text in taken:
        fact, _, _ = text.partition("\n")  # without the hint of a start
        findings.append(Finding(ERROR, "port", fact, "stop that process, or choose other ports with -p or --any-port"))
    if system and not taken:
        found = {c.environment["PORT"] for c in system.components if c.environment.get("PORT")}
        ports = sorted(found, key=lambda port: (len(port), port))
        findings.append(Finding(OK, "ports", f"free: {', '.join(ports)}" if ports else "none assigned"))
    return findings


def _leftovers(home: Home) -> list[Finding]:
    """Find guardians that are still stopping an earlier start, and leftovers without guardians."""
    from orchestrator.process import leftovers

    try:
        held = [path.stem for path in sorted(home.locks.glob("*.lock")) if not home_claim.is_free(path)]
    except OrchestrateError as error:
        return [Finding(ERROR, "leftovers", error.message, error.hint)]
    if held:
        text = f"an earlier start is still ending: {', '.join(held)}"
        return [Finding(WARNING, "leftovers", text, "wait; the next start waits too")]
    found, _ = leftovers.find(home.locks)
    if found:
        pids = " ".join(str(one.pid) for one in found)
        text = f"{len(found)} processes of an earlier start: {', '.join(map(str, found))}"
        return [Finding(WARNING, "leftovers", text, f"run `kill {pids}`, or `orchestrate up --end-survivors`")]
    return [Finding(OK, "leftovers", "none")]
