"""When each instance of a start was started, up and ready, and which chain of them decided how long it took. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.history.record import RecordedEvent, StartRecord, list_or_empty, map_or_empty
from orchestrator.terminal.width import padded, width

HEADS = ("NAME", "STARTED", "UP", "READY", "WAITED FOR")
CRITICAL = "*"
SLOW = 10.0  # seconds of a start about which `up` prints its critical path
_BAR, _ROW, _MARGIN, _SCALE = 14, 24, 12, 600  # pixels of the SVG
_LETTER = 8  # pixels of a character


@dataclass(frozen=True, slots=True)
class Times:
    """One instance. Times are seconds after the start of the system, None if that did not happen. For an initial step,
    `ready` is when it had succeeded. `needs` are what it waited for, with the condition; `gate` is the one that let it
    start."""

    name: str
    needs: tuple[tuple[str, str], ...] = ()
    is_step: bool = False
    started: float | None = None
    up: float | None = None
    ready: float | None = None
    ended: float | None = None
    gate: str = ""

    def reached(self, condition: str) -> float | None:
        """Return when this instance met a condition that another one waits for."""
        if condition == "started":
            return self.up
        return self.ready if condition == "ready" else self.ended


def of_record(record: StartRecord) -> tuple[Times, ...]:
    """Return the times of all instances of a record, in the order in which they started."""
    facts = record.facts
    steps = [name for name in list_or_empty(facts.get("steps")) if isinstance(name, str)]
    changes = record.changes()
    found: dict[str, Times] = {}
    for one in map(map_or_empty, list_or_empty(facts.get("components"))):
        if isinstance(name := one.get("name"), str):
            needs = [need for need in map(map_or_empty, list_or_empty(one.get("depends_on"))) if need]
            pairs = tuple((str(need.get("name")), str(need.get("condition"))) for need in needs)
            found[name] = _times(name, pairs, name in steps, changes.get(name, []))
    for index, step in enumerate(steps):
        if step in found and index:
            found[step] = _with_needs(found[step], ((steps[index - 1], "succeeded"),))
    if steps:
        last = ((steps[-1], "succeeded"),)
        found = {n: t if t.is_step or t.needs else _with_needs(t, last) for n, t in found.items()}
    gated = [_gated(times, found) for times in found.values()]
    return tuple(sorted(gated, key=lambda times: (times.started is None, times.started or 0.0)))


def _times(name: str, needs: tuple[tuple[str, str], ...], is_step: bool, changes: Iterable[RecordedEvent]) -> Times:
    first: dict[str, float] = {}
    ended = None
    for event in changes:
        first.setdefault(event.phase, event.uptime)
        if event.phase in ("down", "failed") and event.exit and ended is None:
            ended = event.uptime
    ready = ended if is_step else first.get("ready")
    return Times(name, needs, is_step, first.get("starting"), first.get("up"), ready, ended)


def _with_needs(times: Times, needs: tuple[tuple[str, str], ...]) -> Times:
    return Times(times.name, needs, times.is_step, times.started, times.up, times.ready, times.ended)


def _gated(times: Times, known: Mapping[str, Times]) -> Times:
    """Return the times with the last of what it waited for that was reached before it started."""
    reached = [
        (at, name)
        for name, condition in times.needs
        if name in known and (at := known[name].reached(condition)) is not None
    ]
    before = [(at, name) for at, name in reached if times.started is None or at <= times.started + 0.001]
    gate = max(before)[1] if before else ""
    return Times(
        times.name, times.needs, times.is_step, times.started, times.up, times.ready, times.ended, gate
    )  # fmt: skip


def critical_path(all_times: Iterable[Times]) -> tuple[Times, ...]:
    """Return the chain that led to the instance that was ready last, first cause first; empty if none was ready."""
    known = {times.name: times for times in all_times}
    last = max((t for t in known.values() if t.ready is not None), key=lambda t: t.ready or 0.0, default=None)
    path: list[Times] = []
    while last is not None and last not in path:
        path.append(last)
        last = known.get(last.gate)
    return tuple(reversed(path))


def path_in_words(path: tuple[Times, ...]) -> str:
    """Return the critical path in one line: what each instance on it took after what it waited for; empty without."""
    if not path or path[-1].ready is None:
        return ""
    before = 0.0
    words = []
    for times in path:
        at = path[path.index(times) + 1].started if times is not path[-1] else times.ready
        words.append(f"{times.name} {max(0.0, (at or 0.0) - before):.1f} s")
        before = at or before
    return f"critical path: {' → '.join(words)}"


def as_text(all_times: tuple[Times, ...], path: tuple[Times, ...]) -> str:
    """Return a table of some instances, with a mark on those of the critical path, which follows in one line."""
    lines: list[tuple[str, ...]] = [HEADS]
    for times in all_times:
        waited = ", ".join(f"{name} ({condition})" for name, condition in times.needs)
        lines.append((times.name, *map(_seconds, (times.started, times.up, times.ready)), waited or "-"))
    widths = [max(width(line[column]) for line in lines) for column in range(len(HEADS))]
    marks = ["", *(CRITICAL if times in path else "" for times in all_times)]
    rows = [
        f"{mark:1} " + "  ".join(padded(word, wide) for word, wide in zip(line, widths, strict=True)).rstrip()
        for mark, line in zip(marks, lines, strict=True)
    ]
    return "".join(f"{row.rstrip()}\n" for row in [*rows, *filter(None, [path_in_words(path)])])


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def as_mermaid(all_times: tuple[Times, ...], path: tuple[Times, ...]) -> str:
    """Return a Mermaid flowchart with times; the critical path has thick arrows and the class `critical`."""
    ids = {times.name: f"n{number}" for number, times in enumerate(all_times)}
    lines = ["flowchart LR"]
    for times in all_times:
        label = f"{times.name}<br/>started {_seconds(times.started)}<br/>ready {_seconds(times.ready)}"
        lines.append(f'    {ids[times.name]}["{label}"]')
    for times in all_times:
        for name, condition in times.needs:
            if name in ids:
                arrow = "==>" if times in path and name == times.gate else "-->"
                lines.append(f"    {ids[name]} {arrow}|{condition}| {ids[times.name]}")
    if critical := [times for times in path if times.name in ids]:
        lines.append("    classDef critical stroke-width:3px")
        lines.append(f"    class {','.join(ids[times.name] for times in critical)} critical")
    return "\n".join(lines) + "\n"


def as_svg(all_times: tuple[Times, ...], path: tuple[Times, ...]) -> str:
    """Return a chart: a bar for each instance from its start to its readiness, those of the critical path dark."""
    from html import escape  # the supervisor, which imports this file, never draws

    whole = max((t.ready or t.ended or t.up or t.started or 0.0 for t in all_times), default=0.0) or 1.0
    left = _MARGIN * 2 + _LETTER * max((width(times.name) for times in all_times), default=0)
    right, height = _LETTER * 20, _MARGIN * 2 + _ROW * (len(all_times) + 1)
    summary = path_in_words(path)
    full_width = max(left + _SCALE + right, _MARGIN * 2 + _LETTER * width(summary))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{full_width}" height="{height}"'
        ' font-family="monospace" font-size="13">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',  # black text on a dark page cannot be read
    ]
    for row, times in enumerate(all_times):
        y = _MARGIN + row * _ROW
        is_critical = times in path
        weight = ' font-weight="bold"' if is_critical else ""
        parts.append(f'<text x="{_MARGIN}" y="{y + _BAR - 2}"{weight}>{escape(times.name, quote=False)}</text>')
        if times.started is None:
            parts.append(f'<text x="{left}" y="{y + _BAR - 2}">not started</text>')
            continue
        end = next((at for at in (times.ready, times.ended, times.up) if at is not None), times.started)
        x, length = left + times.started / whole * _SCALE, max(1.0, (end - times.started) / whole * _SCALE)
        color = "#b03030" if is_critical else "#90b0d0"
        parts.append(f'<rect x="{x:.1f}" y="{y}" width="{length:.1f}" height="{_BAR}" fill="{color}"/>')
        words = f"{times.started:.1f} s to {end:.1f} s"
        parts.append(f'<text x="{x + length + 6:.1f}" y="{y + _BAR - 2}">{words}</text>')
    y = _MARGIN + len(all_times) * _ROW + _BAR
    parts.append(f'<text x="{_MARGIN}" y="{y}">{escape(summary, quote=False)}</text>')
    return "\n".join([*parts, "</svg>", ""])
