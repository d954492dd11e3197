"""Draws the figures of the part `output` as an SVG picture: for each case a bar for each contender.

usage: python3 scripts/benchmarks/plot.py FIGURES.json > PICTURE.svg
"""

import json
import sys
from collections.abc import Iterable
from html import escape
from typing import Any

Row = dict[str, Any]

COLORS = {"C": "#777777", "C, pipes": "#aaaaaa", "orchestrate": "#0b7285", "orchestrate --no-log": "#3bc9db"}
OTHER_COLORS = ("#e8590c", "#f08c00", "#9c36b5")
WIDTH, LEFT, RIGHT = 860, 190, 170  # of the picture; of the names of cases; of what is written beside a bar
BAR, GAP, TOP = 13, 12, 56  # heights


def picture(document: dict[str, Any]) -> str:
    """Return the picture; bars are MB/s, and beside them stand MB/s and CPU s/GB."""
    rows: list[Row] = document["parts"]["output"]
    colors = _colors(rows)
    most = max(row["speed"] for row in rows)
    shapes: list[str] = []
    y = TOP
    for name, group in _cases(rows).items():
        shapes.append(_text(LEFT - 8, y + BAR, name, "end"))
        for row in group:
            width = max(1.0, row["speed"] / most * (WIDTH - LEFT - RIGHT))
            shapes.append(
                f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 1}" fill="{colors[row["contender"]]}"/>'
            )
            shapes.append(_text(LEFT + width + 5, y + BAR - 3, f"{row['speed']:.0f} MB/s, {row['cpu']:.1f} CPU s/GB"))
            y += BAR
        y += GAP
    head = _text(LEFT, 16, "Lines from components to the sink: MB/s, and CPU seconds of the runner for each GB")
    machine, versions = document["machine"], document["versions"]
    foot = f"{machine['system']}, {machine['cores']} cores, CPython {versions['python']}, {document['time'][:10]}"
    height = y + 16
    style = 'font-family="sans-serif" font-size="11"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" {style}>',
            f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
            head,
            *_legend(colors),
            *shapes,
            _text(LEFT, y + 6, foot),
            "</svg>\n",
        ]
    )


def _cases(rows: Iterable[Row]) -> dict[str, list[Row]]:
    cases: dict[str, list[Row]] = {}
    for row in rows:
        cases.setdefault(f"{row['case']}, {row['sink']}", []).append(row)
    return cases


def _colors(rows: Iterable[Row]) -> dict[str, str]:
    others = iter(OTHER_COLORS)
    names = dict.fromkeys(row["contender"] for row in rows)
    return {name: COLORS.get(name) or next(others) for name in names}


def _legend(colors: dict[str, str]) -> list[str]:
    shapes: list[str] = []
    x = float(LEFT)
    for name, color in colors.items():
        shapes.append(f'<rect x="{x:.0f}" y="28" width="10" height="10" fill="{color}"/>')
        shapes.append(_text(x + 14, 37, name))
        x += 30 + 6.2 * len(name)
    return shapes


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(text)}</text>'


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        sys.stdout.write(picture(json.load(file)))
