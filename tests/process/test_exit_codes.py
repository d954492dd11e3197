"""Exit codes: those that a shell shows of the same exits."""

import os

import pytest

from orchestrator.model.errors import as_code


@pytest.mark.parametrize("command", ["exit 5", "kill -KILL $$", "kill -HUP $$"])
def test_the_code_is_the_one_that_a_shell_shows(command):
    status = os.waitstatus_to_exitcode(os.system(command))
    shown = os.waitstatus_to_exitcode(os.system(f"sh -c '{command}' 2>/dev/null; exit $?"))
    assert as_code(status) == shown
