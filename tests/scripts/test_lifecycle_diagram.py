"""The diagram of the lifecycle: drawn from the table, whole, and the one in docs is up to date."""

import re
import subprocess
import sys
from pathlib import Path

from orchestrator.model.lifecycle import IGNORE, IMPOSSIBLE, TABLE, State

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "scripts" / "lifecycle-diagram"
MOVES = {(state.name, row[0].name) for (state, _), row in TABLE.items() if row not in (IGNORE, IMPOSSIBLE)}


def drawn(*options):
    command = [sys.executable, SCRIPT, *options]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_the_page_is_what_the_script_draws_now():
    page = (ROOT / "orchestrator" / "model" / "lifecycle.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{drawn()}```\n" in page, "run scripts/lifecycle-diagram --write"


def test_every_transition_of_the_table_is_an_arrow_and_no_other_is():
    assert set(re.findall(r"^    (\w+) --> (\w+): ", drawn(), re.MULTILINE)) == MOVES
    assert set(re.findall(r"^    (\w+) -> (\w+) \[", drawn("--dot"), re.MULTILINE)) == MOVES
    assert {name for move in MOVES for name in move} == {state.name for state in State}
