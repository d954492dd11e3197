"""Each step of manual/growing.md, from SQLite to another host: the commands of the page are run, in its order.

Blocks with the word `airflow` run on a host named first, those with `second` on another one; `export` marks those that
need no running Airflow.
"""

import shutil

import pytest
from airflow_rest import installed
from harness import command_under_test
from test_airflow_celery_real import MISSING
from transcripts import Session, blocks

from orchestrator.cli import manual

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
VERSION = "3.3.2"


class HostSession(Session):
    """A shell session on a host, in its home directory."""

    def __init__(self, host, patience, others):
        self.path, self.port, self.patience, self.status = host.directory, 5000, patience, 0
        self._host, self._others = host, others
        programs = host.directory / ".bin"
        programs.mkdir()
        words = " ".join(map(str, command_under_test()))
        (programs / "orchestrate").write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (programs / "orchestrate").chmod(0o755)
        search_path = f"{host.home}/.bin:{installed(VERSION).parent}:{host.environment()['PATH']}"
        self.environment = {"PATH": search_path, "NO_COLOR": "1", "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}

    def _shell(self, command, terminal=False):
        command = command.replace("10.0.0.1", self._others["first"].address)
        return self._host.start("sh", "-c", f"exec 2>&1\n{command}", env=self.environment)

    def _step(self, block, command, expected):
        if command.startswith("scp "):  # there is no ssh between these hosts
            *_, file, target = command.split()
            shutil.copy2(self.path / file, self._others[target.rstrip(":")].directory)
        else:
            super()._step(block, command, expected)


def steps(*, export):
    page = (manual.DIRECTORY / "growing.md").read_text()
    return [b for b in blocks(page) if "airflow" in b.words and ("export" in b.words) is export]


@pytest.mark.exhaustive
def test_each_step_up_to_another_host(network):
    hosts = network("first", "second")
    sessions = {name: HostSession(hosts[name], 300, hosts.hosts) for name in hosts.hosts}
    for block in steps(export=False):
        sessions["second" if "second" in block.words else "first"].run(block)
    assert {name: hosts[name].left() for name in hosts.hosts} == {"first": [], "second": []}, "the page stops it all"


def test_each_export(network):
    hosts = network("first")
    session = HostSession(hosts["first"], 120, hosts.hosts)
    for block in steps(export=True):
        session.run(block)
    assert hosts["first"].left() == []
