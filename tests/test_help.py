"""`orchestrate help`: topics, pages, a command's help, a search; the pager; the pages that are made from code."""

import importlib.machinery
import importlib.util
import re
from pathlib import Path

import pytest
from definitions import Directory

from orchestrator.cli import manual, markdown, settings
from orchestrator.cli.markdown import Style
from orchestrator.config import toml
from orchestrator.config.definition import merge
from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.loading import read
from orchestrator.config.validate import validate

ROOT = Path(manual.__file__).parents[2]


def script():
    loader = importlib.machinery.SourceFileLoader("manual_script", str(ROOT / "scripts" / "manual"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


MADE = script()


@pytest.mark.parametrize("topic", MADE.PAGES)
def test_the_pages_made_from_code_are_up_to_date(topic):
    assert (manual.DIRECTORY / f"{topic}.md").read_text() == MADE.PAGES[topic](), "run scripts/manual"


def test_each_key_has_an_example():
    keys = {(where, key) for where, table in MADE.keys().items() for key in table}
    assert keys == {(where, key) for where, table in MADE.EXAMPLES.items() for key in table}


X = '[components.x]\ncommand = "true"\n'
Y = '[components.y]\ncommand = "true"\n'
OF_HTTP = {"healthy", "fresh", "status", "header", "body", "request_headers"}
OF_ANY = {"about", "owner", "interval", "timeout", "start_period", "retries"}


def whole(where, key, text):
    """A definition with this example in its place."""
    if where == "system":
        return text + "\n" + ("" if key == "components" else X)
    if where == "airflow":
        return f"{X}[airflow]\n{text}\n"
    if where == "init":
        return f'{X}[init.y]\ncommand = "true"\n{text}\n'
    if where == "component":
        more = "ready.tcp = 80\n" if key == "failed" else ""
        return f"{X}[components.y]\n{text}\n" if key == "command" else f"{X}{Y}{more}{text}\n"
    if where.startswith("depends_on"):
        text = text if key == "condition" else f'condition = "ready", {text}'
    elif where.startswith("ready"):
        where = "ready"
        text = f'http = "http://127.0.0.1/", {text}' if key in OF_HTTP else text
        text = f"tcp = 80, {text}" if key in OF_ANY - {"about"} else text
        text = f'exec = "true", {text}' if key == "about" else text
    elif where == "expect":
        text = text if key == "prompt" else f'prompt = "x", {text}'
        return f"{X}{Y}expect = [{{ {text} }}]\n"
    return f"{X}{Y}{where} = {{ {text} }}\n"


@pytest.mark.parametrize(("where", "key"), [(where, key) for where, table in MADE.EXAMPLES.items() for key in table])
def test_each_example_is_valid(where, key):
    report = Report()
    document = toml.parse(whole(where, key, MADE.EXAMPLES[where][key]).encode(), Place("f.toml", 0, "/f"), report)
    assert document, report.in_order()
    validate(read(merge([document]), "f.toml", report), report)
    assert report.in_order() == []


def test_the_list_has_each_topic_and_a_page_is_found_by_its_name(tmp_path):
    here = Directory(tmp_path)
    listed = here.output("help")
    for topic in manual.pages():
        assert re.search(rf"^{topic} +\S", listed, re.MULTILINE), topic
    page = here.output("help", "exit", "status")
    assert page == here.output("help", "exit-status")
    assert page.startswith("EXIT STATUS\n")
    assert "\x1b" not in page


def test_a_word_is_searched_in_all_pages(tmp_path):
    here = Directory(tmp_path)
    found = here.output("help", "success_exit_codes")
    assert "orchestrate help definition" in found
    assert "success_exit_codes" in found
    assert here.output("help", "xyzzy", status=2).startswith("orchestrate: unknown command or topic 'xyzzy'")


def test_on_a_terminal_it_goes_through_the_pager_in_colors(tmp_path):
    run = Directory(tmp_path).run(
        "help", "exit-status", terminal=True, env={"PAGER": "sed s/^/:/", "TERM": "xterm-256color"}
    )
    assert run.wait() == 0, str(run)
    assert run.out.startswith(b":\x1b[1mExit status")
    without = Directory(tmp_path).run("help", "exit-status", terminal=True, env={"PAGER": "/nothere/pager"})
    assert without.wait() == 0, str(without)
    assert "EXIT STATUS" in without.text.upper()


def rendered(source, **style):
    return markdown.render(source, Style(**style))


def test_a_page_is_rendered_to_the_width():
    source = (
        "# Title\n\nSome `code that stays` and **bold** text\nwith a [link](https://example.org).\n\n- one\n  two\n"
    )
    assert rendered(source, columns=24) == (
        "TITLE\n\nSome code that stays and\nbold text with a link.\n\n  • one two\n"
    )
    assert rendered("```sh\n$ x  *y*\n\n```\n") == "    $ x  *y*\n\n"
    assert rendered("a\n<!-- not\nshown -->\nb\n") == "a\nb\n"


def test_a_table_is_aligned_and_wrapped():
    source = "| key | meaning |\n|---|---|\n| `a\\|b` | one two three |\n| 漢 | x |\n"
    assert rendered(source, columns=20) == ("key  meaning\n---  -------------\na|b  one two three\n漢   x\n")
    assert rendered(source, columns=17).splitlines()[2:4] == ["a|b  one two", "     three"]
    assert rendered("| | |\n|---|---|\n| a | b |\n") == "a    b\n"


def test_styles_and_hyperlinks_only_if_wanted():
    source = "## Head\n\n`code` [text](https://example.org) [page](logs.md)\n"
    assert rendered(source, colors=True) == (
        "\x1b[1mHead\x1b[0m\n\n\x1b[36mcode\x1b[0m \x1b[4mtext\x1b[0m \x1b[4mpage\x1b[0m\n"
    )
    assert "\x1b]8;;https://example.org\x1b\\text\x1b]8;;\x1b\\" in rendered(source, hyperlinks=True)


@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({}, False),
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7003"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "4999"}, False),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, True),
        ({"TERM": "tmux-256color", "TMUX": "x", "VTE_VERSION": "7003"}, False),
        ({"TERM": "dumb", "VTE_VERSION": "7003"}, False),
        ({"TERM": "xterm", "FORCE_HYPERLINK": "1"}, True),
        ({"TERM": "xterm-kitty", "FORCE_HYPERLINK": "0"}, False),
    ],
)
def test_terminals_that_show_hyperlinks(variables, shown):
    assert settings._shows_hyperlinks(variables.get("TERM", "xterm"), variables) is shown
