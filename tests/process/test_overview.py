"""`orchestrate --help`: all commands, each in one group, on one page."""

from definitions import Directory

from orchestrator.cli import help_model, help_overview, parser


def test_each_command_is_in_one_group():
    grouped = [name for names in help_overview.GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(command.name for command in help_model.read() if command.name)


def test_the_page_describes_each_command_and_fits(tmp_path):
    text = Directory(tmp_path).output("--help")
    for command in help_model.read()[1:]:
        assert f"\n  {command.name:<13}  {command.help}\n" in text
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) <= 64


def test_the_options_that_it_names_exist():
    known = parser.build()._option_string_actions
    named = [
        word.strip(",`") for line in help_overview._FOOT.splitlines() for word in line.split() if word.startswith("-")
    ]
    assert set(named) <= set(known)
