"""The manual: pages of Markdown in `orchestrator/manual`, one for each topic; `orchestrate help` prints them.

A page begins with `# Title` and a paragraph of one sentence, which the list of topics shows.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from orchestrator.cli import markdown, settings
from orchestrator.cli.markdown import Style

DIRECTORY = resources.files("orchestrator") / "manual"  # also in a zip file
# The order of the list of topics. Topics that are not listed follow, sorted.
GROUPS: dict[str, tuple[str, ...]] = {
    "First steps": (
        "quickstart",
        "init",
        "import",
        "procfile",
        "airflow",
        "recipes",
        "faq",
        "troubleshooting",
        "doctor",
    ),
    "Define": ("definition", "environment", "readiness", "restarts", "stopping", "limits", "hooks"),
    "Use": ("commands", "logs", "attach", "view", "history", "growing", "export", "exit-status"),
    "Behind it": ("security", "faults", "performance", "internals"),
}
WIDEST = 100  # columns; longer lines are hard to read
HITS = 3  # lines that a search shows of each page


@dataclass(frozen=True, slots=True)
class Page:
    """One topic: its name, title, first sentence, and source."""

    topic: str
    title: str
    summary: str
    source: str


def pages() -> dict[str, Page]:
    """Return all pages by topic, in the order of the list."""
    sources = {entry.name.removesuffix(".md"): entry for entry in DIRECTORY.iterdir() if entry.name.endswith(".md")}
    found = {topic: _page(topic, sources[topic].read_text("utf-8")) for topic in sorted(sources)}
    known = [topic for topics in GROUPS.values() for topic in topics if topic in found]
    return {topic: found[topic] for topic in (*known, *(topic for topic in found if topic not in known))}


def _page(topic: str, source: str) -> Page:
    source = re.sub(r"\A(?:<!--.*?-->\s*)+", "", source, flags=re.DOTALL)
    title, _, body = source.partition("\n")
    paragraph = " ".join(body.strip().split("\n\n", 1)[0].split())
    sentence = re.match(r".*?[.:](?= |$)", paragraph)
    summary = markdown.plain(sentence[0] if sentence else paragraph).rstrip(".:")
    return Page(topic, markdown.plain(title.removeprefix("# ")), summary, source)


def topics(found: dict[str, Page]) -> str:
    """Return the list of topics as Markdown."""
    lines = [
        "# Topics",
        "",
        "`orchestrate help TOPIC` prints a page, `orchestrate help COMMAND` the help of a command, and"
        " `orchestrate help WORD` searches all pages. `orchestrate --help` lists the commands.",
    ]
    grouped = {topic for names in GROUPS.values() for topic in names}
    others = tuple(topic for topic in found if topic not in grouped)
    comes_from = tuple(topic for topic in others if topic.startswith("coming-from-"))
    recipes = tuple(topic for topic in others if topic.startswith("recipe-"))
    more = tuple(topic for topic in others if topic not in (*comes_from, *recipes))
    sections = {**GROUPS, "Recipes": recipes, "If you know another tool": comes_from, "More": more}
    for group, names in sections.items():
        rows = [f"| `{topic}` | {found[topic].summary} |" for topic in names if topic in found]
        if rows:
            lines += ["", f"## {group}", "", "| | |", "|---|---|", *rows]
    return "\n".join([*lines, ""])


def search(found: dict[str, Page], words: str) -> str:
    """Return the lines that contain all words, as Markdown, by page; pages that have them in a heading come first.

    Empty if no page has them.
    """
    wanted = words.casefold().split()
    parts: list[tuple[int, str]] = []
    for page in found.values():
        hits = [line for line in _searchable(page.source) if all(word in line.casefold() for word in wanted)]
        named = [line for line in markdown.headings(page.source) if all(word in line.casefold() for word in wanted)]
        if hits or named:
            shown = "\n".join(f"- {line}" for line in [*named, *(hit for hit in hits if hit not in named)][:HITS])
            more = len(hits) - HITS
            rest = f"\n- … and {more} more" if more > 0 else ""
            parts.append((-len(named), f"## orchestrate help {page.topic}\n\n{shown}{rest}\n"))
    return "\n".join(text for _, text in sorted(parts, key=lambda part: part[0]))


def _searchable(source: str) -> Iterator[str]:
    """Yield the paragraphs, list items, table rows and lines of code of a page, each as one line."""
    lines = markdown.render(source, Style(columns=100_000)).splitlines()
    for line in lines:
        if text := " ".join(line.split()):
            yield text if len(text) <= 200 else text[:199] + "…"


def show(source: str, style: Style) -> None:
    """Print a page: through the pager if standard output is a terminal."""
    text = markdown.render(source, style)
    if not sys.stdout.isatty() or not _page_through(text):
        print(text, end="")


def _page_through(text: str) -> bool:
    """Show the text with $PAGER, or else with less; return whether there was a pager."""
    pager = settings.variable("PAGER") or ("less" if shutil.which("less") else "cat")
    if pager == "cat":
        return False
    # As git does: leave at once if the text fits on the screen, pass colors on, do not clear the screen.
    variables = 'export LESS="${LESS-FRX}" LESSCHARSET="${LESSCHARSET-utf-8}"'
    ran = subprocess.run(f"{variables}; {pager}", shell=True, input=text.encode(), check=False)
    return ran.returncode not in (126, 127)
