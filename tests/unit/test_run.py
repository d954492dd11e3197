"""How a run ended, in words."""

import pytest

from orchestrator.model.run import NOT_FOUND, Exit, ExitCause


@pytest.mark.parametrize(
    ("status", "cause", "reason", "in_words", "as_clause", "after"),
    [
        (3, ExitCause.OWN, "", "exited with status 3", "exited with status 3", " after 1.5 s"),
        (-15, ExitCause.STOPPED, "", "killed by SIGTERM", "was killed by SIGTERM", " after 1.5 s"),
        (-9, ExitCause.OOM, "", "killed by the OOM killer", "was killed by the OOM killer", " after 1.5 s"),
        (NOT_FOUND, ExitCause.NOT_STARTED, "no such file", "no such file", "did not start: no such file", ""),
        (NOT_FOUND, ExitCause.UNHEALTHY, "did not get ready", "did not get ready", "did not get ready", ""),
        (1, ExitCause.GUARDIAN_LOST, "lost its guardian", "lost its guardian", "lost its guardian", ""),
    ],
)
def test_words(status, cause, reason, in_words, as_clause, after):
    one = Exit(1, status, cause, reason, 1.5, False)
    assert (one.in_words, one.as_clause, one.after) == (in_words, as_clause, after)
