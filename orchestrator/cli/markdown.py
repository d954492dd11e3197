"""Converts Markdown to terminal text: the subset that the manual uses.

It knows headings, paragraphs, lists, quotes, fenced code, tables, and in a line `code`, **bold** and [text](target).
It knows neither the terminal nor its size: the caller passes the width, and whether to use styles and hyperlinks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.terminal.hyperlinks import hyperlink
from orchestrator.terminal.width import padded, width

_INLINE = re.compile(
    r"(?P<tick>`+)(?P<code>.+?)(?P=tick)(?!`)|\*\*(?P<bold>.+?)\*\*|!?\[(?P<text>[^\]]*)\]\((?P<target>[^)]*)\)"
)
_ITEM = re.compile(r"(?P<indent> *)(?P<mark>[-*]|\d+\.) +(?P<text>.*)")
_HEADING = re.compile(r"(?P<level>#{1,6}) +(?P<text>.*)")
_RULE = re.compile(r"\|?[ :|]*-[ :|-]*\|?")

RESET = "\x1b[0m"
STYLES = {"heading": "\x1b[1m", "code": "\x1b[36m", "bold": "\x1b[1m", "link": "\x1b[4m"}
LEAST = 12  # minimal columns of a table's column on a narrow terminal


@dataclass(frozen=True, slots=True)
class Style:
    """How to render: `columns` of the terminal, whether to use `colors`, whether to write `hyperlinks` (OSC 8)."""

    columns: int = 80
    colors: bool = False
    hyperlinks: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line in one style: "code", "bold", "link", "heading" or "" for plain text."""

    text: str
    style: str = ""
    target: str = ""


def render(source: str, style: Style) -> str:
    """Return the text of a page, with a line end after each line."""
    return "".join(f"{line}\n" for block in _blocks(source.splitlines()) for line in _lines(block, style))


def headings(source: str) -> tuple[str, ...]:
    """Return the headings of a page, in order, without markup."""
    found: list[str] = []
    fenced = False
    for line in source.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and (match := _HEADING.fullmatch(line)):
            found.append(plain(match["text"]))
    return tuple(found)


def plain(text: str) -> str:
    """Return one line of Markdown without markup."""
    return "".join(span.text for span in _spans(text))


def _spans(text: str, style: str = "") -> list[Span]:
    found: list[Span] = []
    end = 0
    for match in _INLINE.finditer(text):
        found.append(Span(_unescaped(text[end : match.start()]), style))
        if match["code"] is not None:
            found.append(Span(match["code"].strip(), "code"))
        elif match["bold"] is not None:
            found += _spans(match["bold"], "bold")
        else:
            found.append(Span(plain(match["text"]), "link", match["target"]))
        end = match.end()
    found.append(Span(_unescaped(text[end:]), style))
    return [span for span in found if span.text]


def _unescaped(text: str) -> str:
    return re.sub(r"\\([\\`*_{}\[\]()#+.!|<>-])", r"\1", text)


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive lines of one kind: "heading", "code", "table", "item" (with `mark`, `indent`) or "text"."""

    kind: str
    lines: tuple[str, ...] = ()
    mark: str = ""
    indent: int = 0


def _blocks(lines: list[str]) -> list[Block]:
    found: list[Block] = []
    rest = list(reversed(lines))
    while rest:
        line = rest.pop()
        if line.startswith("```"):
            code: list[str] = []
            while rest and not (following := rest.pop()).startswith("```"):
                code.append(following)
            found.append(Block("code", tuple(code)))
        elif line.startswith("<!--"):
            while "-->" not in line and rest:
                line = rest.pop()
        elif not line.strip():
            found.append(Block("blank"))
        elif match := _HEADING.fullmatch(line):
            found.append(Block("heading", (match["text"],), match["level"]))
        elif line.startswith("|"):
            rows = [line]
            while rest and rest[-1].startswith("|"):
                rows.append(rest.pop())
            found.append(Block("table", tuple(rows)))
        elif line.startswith("    "):
            found.append(Block("code", (line[4:],)))
        else:
            item = _ITEM.fullmatch(line)
            words = [item["text"] if item else line.strip()]
            while rest and _continues(rest[-1]):
                words.append(rest.pop().strip())
            mark, indent = (item["mark"], len(item["indent"])) if item else ("", 0)
            found.append(Block("item" if item else "text", (" ".join(words),), mark, indent))
    return found


def _continues(line: str) -> bool:
    return bool(line.strip()) and not (line.startswith(("```", "|", "#", "<!--")) or _ITEM.fullmatch(line))


def _lines(block: Block, style: Style) -> list[str]:
    if block.kind == "blank":
        return [""]
    if block.kind == "code":
        return [f"    {_styled(Span(line, 'code'), style)}" if line else "" for line in block.lines]
    if block.kind == "table":
        return _table(block.lines, style)
    text = block.lines[0]
    if block.kind == "heading":
        shown = plain(text).upper() if block.mark == "#" and not style.colors else plain(text)
        return [_styled(Span(shown, "heading"), style)]
    if block.kind == "item":
        first = f"{' ' * (block.indent + 2)}{'•' if block.mark in '-*' else block.mark} "
        return _filled(_spans(text), style, first, " " * width(first))
    if text.startswith("> "):
        return _filled(_spans(text[2:].replace(" > ", " ")), style, "  ", "  ")
    return _filled(_spans(text), style)


def _filled(spans: list[Span], style: Style, first: str = "", others: str = "") -> list[str]:
    """Wrap spans to the width. A piece of code is not broken unless it is wider than half a line."""
    return [
        (others if index else first) + "".join(_styled(span, style) for span in line)
        for index, line in enumerate(_wrapped(spans, max(style.columns - width(others), LEAST)))
    ]


def _wrapped(spans: list[Span], columns: int) -> list[list[Span]]:
    lines: list[list[Span]] = [[]]
    used = 0
    for word in _words(spans, columns):
        long = sum(width(span.text) for span in word)
        if used and used + 1 + long > columns:
            lines.append([])
            used = 0
        if used:
            before, after = lines[-1][-1], word[0]
            same = before.style == after.style and before.target == after.target
            lines[-1].append(Span(" ", after.style, after.target) if same else Span(" "))
            used += 1
        lines[-1] += word
        used += long
    return lines


def _words(spans: list[Span], columns: int) -> list[list[Span]]:
    """Split spans at blanks. One word may consist of several spans: `code` and a comma."""
    words: list[list[Span]] = [[]]
    for span in spans:
        keep = span.style == "code" and width(span.text) <= columns // 2
        parts = [span.text] if keep else span.text.split(" ")
        for index, part in enumerate(parts):
            if index:
                words.append([])
            if part:
                words[-1].append(Span(part, span.style, span.target))
    return [word for word in words if word]


def _styled(span: Span, style: Style) -> str:
    text = span.text
    if style.colors and span.style:
        text = f"{STYLES[span.style]}{text}{RESET}"
    if span.target and style.hyperlinks and "://" in span.target:
        return hyperlink(text, span.target)
    return text


def _cells(row: str) -> list[str]:
    inner = row.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]


def _table(rows: tuple[str, ...], style: Style) -> list[str]:
    table = [[_spans(cell) for cell in _cells(row)] for row in rows if not _RULE.fullmatch(row)]
    count = max(map(len, table))
    for row in table:
        row += [[] for _ in range(count - len(row))]
    widths = _widths(table, style.columns - 2 * (count - 1))
    has_head = len(rows) > 1 and bool(_RULE.fullmatch(rows[1])) and any(table[0])
    if len(rows) > 1 and not has_head and not any(table[0]):
        table = table[1:]
    lines: list[str] = []
    for number, row in enumerate(table):
        cells = [_wrapped(cell, columns) for cell, columns in zip(row, widths, strict=True)]
        for line in range(max(map(len, cells))):
            parts = []
            for cell, columns in zip(cells, widths, strict=True):
                spans = cell[line] if line < len(cell) else []
                blanks = " " * max(0, columns - sum(width(span.text) for span in spans))
                bold = [Span(span.text, "bold") for span in spans] if has_head and not number else spans
                parts.append("".join(_styled(span, style) for span in bold) + blanks)
            lines.append("  ".join(parts).rstrip())
        if has_head and not number:
            lines.append("  ".join(padded("", columns).replace(" ", "-") for columns in widths))
    return lines


def _widths(table: list[list[list[Span]]], columns: int) -> list[int]:
    """Return the width of each column: the width of its text or, if that is too much, less for the widest columns."""
    widths = [
        max([LEAST // 4, *(sum(width(span.text) for span in row[i]) for row in table)]) for i in range(len(table[0]))
    ]
    while sum(widths) > columns:
        widest = max(range(len(widths)), key=widths.__getitem__)
        if widths[widest] <= LEAST:
            break
        widths[widest] -= 1
    return widths
