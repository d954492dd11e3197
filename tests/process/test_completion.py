"""Completion in each shell, and the manual page: both are made of what `--help` is made of."""

import argparse
import os
import re
import shutil
import signal
import subprocess
import time

import pexpect
import pyte
import pytest
from definitions import Directory, component
from harness import PATIENCE, Run, command_under_test, environment, until

from orchestrator.cli import help_model
from orchestrator.cli import parser as cli_parser


def output(*words, cwd=None):
    run = Run([*command_under_test(), *words], cwd=cwd, env=environment())
    assert run.wait() == 0, str(run)
    return run.text


class Shell:
    """A real interactive shell on a terminal; what it shows is read by a terminal emulator."""

    BEGIN = {
        "bash": ["bash", "--norc", "--noprofile", "-i"],
        "zsh": ["zsh", "-f", "-i"],
        "fish": ["fish", "--no-config", "-i"],
    }
    SETUP = {
        "bash": 'PS1="%"; bind "set bell-style none"; eval "$(orchestrate completion bash)"',
        "zsh": 'PS1="%%"; autoload -U compinit; compinit -u -D; setopt no_beep; eval "$(orchestrate completion zsh)"',
        "fish": "function fish_prompt; echo -n '%'; end; orchestrate completion fish | source",
    }

    def __init__(self, name, cwd):
        self.name, self.screen = name, pyte.Screen(120, 50)
        self.stream = pyte.ByteStream(self.screen)
        directory = command_under_test()[0].rpartition("/")[0]
        env = environment(PATH=f"{directory}:/usr/bin:/bin", HOME=str(cwd), TERM="xterm", fish_features="no-query-term")
        self.child = pexpect.spawn(self.BEGIN[name][0], self.BEGIN[name][1:], cwd=cwd, env=env, dimensions=(50, 120))
        self.child.delaybeforesend = None
        self.send(f"{self.SETUP[name]}; clear; echo set''up\r")
        self.wait_for("setup")

    def send(self, text):
        self.child.send(text)

    @property
    def shown(self):
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def wait_for(self, *texts):
        """Wait until the screen shows all of these."""
        deadline = time.monotonic() + PATIENCE
        while not all(text in self.shown for text in texts):
            try:
                data = self.child.read_nonblocking(65536, timeout=max(0.01, deadline - time.monotonic()))
            except (pexpect.TIMEOUT, pexpect.EOF):
                pytest.fail(f"no {texts} on the screen of {self.name}:\n{self.shown}")
            if b"\x1b[c" in data:  # fish asks what terminal this is
                self.child.send("\x1b[?62c")
            self.stream.feed(data)
        return self.shown

    def complete(self, line, *expected, tabs=1):
        """Type a line and Tab, and wait for what is expected."""
        self.send("\x15" + line + "\t" * tabs)  # Ctrl-U drops what was there
        self.wait_for(*expected)

    def close(self):
        self.child.close(force=True)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"no {name}"))
                        for name in ("bash", "zsh", "fish")])  # fmt: skip
def shell(request, tmp_path):
    (tmp_path / "Procfile").write_text("webby: true\nworker: true\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "Procfile").write_text("another: true\n")
    (tmp_path / "elsewhere" / "other.toml").write_text('[components.tomlly]\ncommand = "true"\nprofiles = ["extra"]\n')
    shell = Shell(request.param, tmp_path)
    yield shell
    shell.close()


def test_each_shell_completes_commands_options_values_and_names(shell):
    shell.complete("orchestrate st", "start", "stop", "status", tabs=2)
    shell.complete("orchestrate stop web", "orchestrate stop webby")
    shell.complete("orchestrate up --det", "orchestrate up --detach")
    shell.complete("orchestrate completion fi", "orchestrate completion fish")
    shell.complete("orchestrate --color alw", "orchestrate --color always")
    shell.complete("orchestrate up --on-exit=ign", "--on-exit=ignore")
    shell.complete("orchestrate signal WINC", "orchestrate signal WINCH")
    shell.complete("orchestrate signal HUP wor", "orchestrate signal HUP worker")
    shell.complete("orchestrate scale wor", "orchestrate scale worker=")
    shell.complete("orchestrate up -l webby,wo", "orchestrate up -l webby,worker")


def test_each_shell_asks_about_the_system_that_the_line_names(shell):
    shell.complete("orchestrate -C elsewhere stop an", "stop another")
    shell.complete("orchestrate stop -f elsewhere/other.toml to", "other.toml tomlly")
    shell.complete("orchestrate --file=elsewhere/other.toml up --profile ex", "--profile extra")
    shell.complete("orchestrate -f else", "-f elsewhere/")
    shell.complete("orchestrate -C else", "-C elsewhere/")


def candidates(cwd, *words, shell="zsh"):
    text = output("completion", "candidates", "--", shell, *words, cwd=cwd)
    return [line.partition("\t")[0] for line in text.splitlines()]


@pytest.fixture
def here(tmp_path):
    directory = Directory(tmp_path)
    directory.write(
        "[init.seed]\ncommand = 'true'\n"
        + component("web", "exec sleep 1000", "replicas = 2")
        + component("db", "exec sleep 1000", 'profiles = ["data"]')
    )
    return directory


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("stop ", ["web", "db"]),
        ("stop web ", ["db"]),
        ("scale ", ["web=", "db="]),
        ("up -m web=2,", ["web=2,web=", "web=2,db="]),
        ("scale web=2 d", ["db="]),
        ("up -x ", ["web", "db"]),
        ("up -x web,", ["web,db"]),
        ("up --exit-code-from ", ["web", "db"]),
        ("up --profile ", ["data"]),
        ("env ", ["web", "db", "seed"]),
        ("run web -- ", [":files"]),
        ("run web ", [":files"]),
        ("signal STO", ["STOP"]),
        ("signal HUP ", ["web", "db"]),
        ("up --on-hangup ", ["stop", "detach"]),
        ("up --log-dir ", [":directories"]),
        ("up --log-size ", []),
        ("--home ", [":directories"]),
        ("-e ", [":files"]),
        ("airflow inf", ["info"]),
        ("help rest", ["restart", "restarts"]),
        ("help airflow inf", ["info"]),
        ("help stop ", []),
        ("screen --at ", ["crash"]),
        ("screen --at=", ["--at=crash"]),
        ("--nothing x", []),
        ("-f - stop ", []),
        ("-f /dev/stdin stop ", []),
        ("-C /no/such/directory stop ", []),
    ],
)
def test_candidates(here, line, expected):
    assert candidates(here.path, *line.split(" ")) == expected


def test_without_a_command_there_are_commands_and_components(here):
    assert {"up", "scale", "web", "db"} <= set(candidates(here.path, ""))
    assert candidates(here.path, "--no-de") == ["--no-deps"]
    assert candidates(here.path, "stop", "--home") == ["--home"]


def test_bash_gets_what_follows_its_word_breaks(here):
    assert candidates(here.path, "--color", "=", "al", shell="bash") == ["always"]
    assert candidates(here.path, "--color", "=", shell="bash") == ["auto", "always", "never"]
    assert candidates(here.path, "up", "-m", "web", "=", "2,d", shell="bash") == ["2,db="]
    assert candidates(here.path, "-f", "'orchestrate.to", shell="bash") == [":files"]


def test_every_option_with_choices_is_completed(here):
    for words, parser in parsers(cli_parser.build(), []):
        for action in parser._actions:
            if action.choices and action.option_strings:
                assert candidates(here.path, *words, action.option_strings[-1], "") == list(action.choices)


def parsers(parser, words):
    yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                yield from parsers(sub, [*words, name])


def test_names_are_those_of_the_running_system(here):
    run = here.up()
    assert until((here.path / ".orchestrate" / "control.sock").exists)
    here.output("wait", "--ready")
    here.output("scale", "web=3")
    (here.path / "orchestrate.toml").write_text(component("later", "true"))
    assert candidates(here.path, "stop", "") == ["web", "web.1", "web.2", "web.3"]
    assert candidates(here.path, "start", "") == ["web", "web.1", "web.2", "web.3", "later"]
    assert candidates(here.path.parent, "-C", str(here.path), "stop", "web.") == ["web.1", "web.2", "web.3"]
    assert candidates(here.path.parent, "--home", str(here.path), "stop", "web.3") == ["web.3"]
    os.kill(run.pid, signal.SIGSTOP)
    assert candidates(here.path, "stop", "") == ["later"]
    os.kill(run.pid, signal.SIGCONT)
    run.stop()


def test_nothing_is_completed_where_there_is_nothing(tmp_path):
    assert candidates(tmp_path, "stop", "") == []


def test_the_manual_page_has_every_command_and_option():
    source = output("man")
    if shutil.which("groff"):
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww"], input=source, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
    plain = source.replace("\\-", "-").replace("\\e", "\\")
    for command in help_model.read():
        assert not command.name or f".SS {command.name}\n" in plain
        for option in command.options:
            assert all(f"\\fB{string}\\fR" in plain.replace("\\f", "\\f") for string in option.strings)
            assert option.help in plain


def test_help_and_manual_page_name_the_same_commands():
    listed = sorted(re.findall(r"^  ([a-z]+) ", output("--help"), re.MULTILINE))
    assert listed == sorted(command.name for command in help_model.read()[1:])
