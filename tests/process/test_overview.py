"""`orchestrate --help`: all commands, each in one group, on one page."""

from definitions import Directory

from orchestrator.cli import help_model, parser
from orchestrator.cli.arguments import Group


def test_each_command_is_in_the_group_that_the_parser_gives_it(tmp_path):
    """Groups are separated by an empty line; the first part of the page is its usage, the last are options."""
    parts = Directory(tmp_path).output("--help").split("\n\n")
    shown = {part.partition(":")[0]: [line.split()[0] for line in part.splitlines()[1:]] for part in parts}
    for group in Group:
        assert shown[group.value] == [one.name for one in help_model.read() if one.group is group]


def test_the_page_describes_each_command_and_fits(tmp_path):
    text = Directory(tmp_path).output("--help")
    for command in help_model.read()[1:]:
        assert f"\n  {command.name:<13}  {command.help}\n" in text
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) <= 64


def test_the_options_that_it_names_exist():
    known = parser.build()._option_string_actions
    named = [word.strip(",`") for line in parser._FOOT.splitlines() for word in line.split() if word.startswith("-")]
    assert set(named) <= set(known)
