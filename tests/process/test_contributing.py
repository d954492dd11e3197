"""What CONTRIBUTING.md says of a new verb and a new key: both are added to a copy of the package, and work."""

import json
import shutil
import sys

import pytest
from definitions import STAY, Directory, component
from sources import PACKAGE

# What is put before a text that is in the file once.
VERB = {
    "cli/commands/remote.py": {
        '        ("stop", Group.CHANGE': '        ("pids", Group.LOOK, "print the pids", _pids_arguments),\n',
        "def stop(": '''\
def _pids_arguments(command: Parser) -> None:
    _selected(command)
    command.add_argument("--sum", action="store_true", help="print their sum")


@dataclass(frozen=True, slots=True)
class PidsOptions:
    """The options of `pids`."""

    remote: RemoteOptions
    sum: bool = False


def pids(options: PidsOptions) -> int:
    """Print the pids of components."""
    from orchestrator.cli import client
    from orchestrator.model.control import PidsRequest

    (row,) = client.ask(options.remote.location, PidsRequest(options.remote.names)).rows
    client.print_json((row,)) if options.remote.json else print(sum(row["pids"]) if options.sum else row["pids"])
    return 0


''',
    },
    "model/control.py": {
        '    PS = "ps"': '    PIDS = "pids"\n',
        "    class RunFields(": '    class PidsRow(TypedDict):\n        """All pids."""\n\n        pids: list[int]\n\n',
        "class PsRequest(": (
            'class PidsRequest(Request["PidsRow"]):\n    """The pids of instances."""\n\n'
            '    __slots__ = ()\n    verb = Verb.PIDS\n    absent = {"pids": []}\n\n\n'
        ),
        "*(PsRequest, StartRequest": "PidsRequest,\n        ",
    },
    "control/handler.py": {
        "    PsRequest,\n": "    PidsRequest,\n",
        "            case PsRequest():": (
            "            case PidsRequest():\n"
            '                requester.send(Reply(rows=({"pids": [instance.pid for instance in instances]},)))\n'
        ),
    },
}


KEY = {
    "config/schema/component.py": {
        '        "start_after": ': '        "note": SchemaKey(Text("a note"), "Its purpose."),\n'
    },
    "config/definition.py": {"    start_after: ": '    note: str = ""\n'},
    "config/resolve.py": {"            color=component.color": "            note=component.note,\n"},
    "model/spec.py": {"    start_after: ": '    note: str = ""\n'},
}


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A function that adds texts to a copy of the package, and returns a directory whose commands are the copy's."""
    package, home = tmp_path / "copy" / "orchestrator", tmp_path / "home"
    home.mkdir()
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("COMMAND_UNDER_TEST", f"env PYTHONPATH={package.parent} {sys.executable} -m orchestrator")

    def add(texts):
        for file, by_place in texts.items():
            source = (package / file).read_text()
            for before, text in by_place.items():
                assert source.count(before) == 1, (file, before)
                source = source.replace(before, text + before)
            (package / file).write_text(source)
        return Directory(home)

    return add


def test_three_files_make_a_verb(copy):
    changed = copy(VERB)
    assert "\n  pids           print the pids\n" in changed.output("--help")
    assert "  --sum " in changed.output("pids", "--help")
    assert "pids\tprint the pids" in changed.output("completion", "candidates", "--", "zsh", "pi")
    assert "print the pids" in changed.output("airflow", "--help")
    run = changed.write(component("web", STAY) + component("db", STAY)).up()
    run.wait_for("2 components started")
    rows = map(json.loads, changed.output("ps", "--json").splitlines())
    pids = {row["instance"]: row["pid"] for row in rows}
    assert json.loads(changed.output("pids", "--json")) == {"pids": [pids["web"], pids["db"]]}
    assert changed.output("pids", "web", "--sum") == f"{pids['web']}\n"
    assert "unknown component 'wbe'" in changed.output("pids", "wbe", status=2)
    run.stop()


def test_four_files_make_a_key(copy):
    changed = copy(KEY).write(component("web", STAY, 'note = "for $NAME"'), dot_env="NAME=you")
    assert '\nnote = "for you"\n' in changed.output("config")
    assert '"description": "Its purpose."' in changed.output("config", "--schema")
    assert changed.output("up", "--dry-run").startswith("web: ")
    changed.write(component("web", STAY, "note = 3"))
    assert "orchestrate.toml:3: components.web.note: must be a note, not 3" in changed.output("check", status=2)
