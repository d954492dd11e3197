"""`orchestrate help`: topics, pages, a command's help, a search; the pager; the pages that are made from code."""

import importlib.machinery
import importlib.util
import re
from pathlib import Path

import pytest
from definitions import Directory, component

from orchestrator.cli import manual, markdown, parser, settings
from orchestrator.cli.commands import help as help_command
from orchestrator.cli.markdown import Style
from orchestrator.config import toml
from orchestrator.config.definition import merge
from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.loading import read
from orchestrator.config.validate import validate
from orchestrator.terminal.hyperlinks import linked

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
    elif where == "restart":
        text = text if key == "policy" else f'policy = "always", {text}'
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


def test_urls_and_paths_become_hyperlinks():
    def shown(text):
        return linked(text, "box").replace("\x1b]8;;", "<").replace("\x1b\\", ">")

    assert shown("open http://localhost:8080/, please.") == (
        "open <http://localhost:8080/>http://localhost:8080/<>, please."
    )
    assert shown("home /srv/my app") == "home <file://box/srv/my>/srv/my<> app"
    assert shown("and/or / 1/2 ~/x a:/b") == "and/or / 1/2 ~/x a:/b"


@pytest.mark.parametrize("links", [True, False])
def test_own_lines_have_hyperlinks_if_the_terminal_shows_them_and_no_bell_or_title(links, tmp_path):
    """The failure of a probe is reported with its URL; a component's line stays as it was."""
    probe = 'ready = { http = "http://127.0.0.1:1/", retries = 1 }'
    here = Directory(tmp_path).write(component("web", "echo see http://a.example/; exec sleep 1000", probe))
    run = here.run(terminal=True, env={"FORCE_HYPERLINK": str(int(links)), "TERM": "xterm-256color"})
    run.wait()
    lines = bytes(run.out).split(b"\n")
    assert b"\x07" not in run.out
    assert not re.search(rb"\x1b\][012];", run.out)
    assert [line for line in lines if b"did not get ready" in line and b"]8;;http://127.0.0.1:1/" in line] or not links
    assert not [line for line in lines if b"]8;;" in line and (b"orchestrate" not in line or not links)]


@pytest.mark.parametrize("links", [True, False])
def test_messages_and_tables_have_hyperlinks_if_the_terminal_shows_them(links, tmp_path):
    here = Directory(tmp_path)
    env = {"FORCE_HYPERLINK": str(int(links)), "TERM": "xterm-256color", "XDG_RUNTIME_DIR": str(tmp_path)}
    here.write("[components.web]\ncommand = 'exec sleep 1000'\n")
    link = re.compile(rb"\x1b\]8;;file://[^/]+" + bytes(tmp_path) + rb"[/\w.-]*\x1b\\")

    def shown(*words):
        run = here.run(*words, terminal=True, env=env, columns=200)
        run.wait()
        return bytes(run.out)

    detached = shown("up", "-d")
    assert b"1 component started" in detached
    found = {words: shown(*words) for words in [("ls",), ("doctor",), ("up",), ("-f", f"{tmp_path}/x", "check")]}
    assert here.output("down") == ""
    found["bundle"] = shown("bundle", f"{tmp_path}/x.zip")
    found["export"] = shown("export", "procfile")
    found["why"] = shown("why")
    for words, out in found.items():
        assert bytes(tmp_path) in out, words
        assert bool(link.search(out)) is links, (words, out)
    plain = here.run("ls", env=env)  # a pipe
    plain.wait()
    assert b"\x1b" not in plain.out + plain.err


def test_help_of_a_command_that_starts_nothing_shows_no_option_of_a_stop():
    for words in (["check"], ["config"], ["doctor"], ["export"], ["airflow", "info"]):
        text = _help_of(words)
        assert "--home" in text
        assert "--end-survivors" not in text
        assert "--timeout" not in text
        assert "state and stop" not in text
        assert parser.parse([*words, *(["procfile"] if words == ["export"] else []), "-t", "5"]).timeout == 5
    assert "--end-survivors" in _help_of(["up"])
    assert "--end-survivors" in _help_of(["airflow"])


def _help_of(words):
    found = parser.build()
    for word in words:
        found = help_command._children(found)[word]
    return found.format_help()


def test_each_help_fits_or_is_in_groups():
    def parsers(above, name):
        for child, below in help_command._children(above).items():
            yield f"{name} {child}", below
            yield from parsers(below, f"{name} {child}")

    for name, command in parsers(parser.build(), "orchestrate"):
        groups = [group for group in command._action_groups if group._group_actions]
        assert len(command.format_help().splitlines()) <= 24 or len(groups) > 2, name


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
