"""Whose exit status counts if a shell dies of the stop signal: literal command lines and histories."""

import shlex

import pytest

from orchestrator.process.shell_status import passes_on, status_of

WORKER = ["/usr/bin/python3", "worker.py"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "python3 worker.py",
        "cd /srv && python3 worker.py",
        "A=1 B='2; 3' python3 worker.py",
        "sleep 9 | python3 worker.py",
        "echo before; python3 worker.py",
        "echo before\nexec python3 worker.py\n",
        "echo before; (python3 worker.py)",
        "echo before; { /usr/bin/python3 worker.py; }",
        "migrate; ./worker.py",  # with a #! line the interpreter comes first
        "echo 'a; b'; env X=1 python3 worker.py",
        "sleep 9 & python3 worker.py",
        "python3 \\\n worker.py",
    ],
)
def test_the_only_or_the_last_command_counts(text):
    assert passes_on(text, WORKER)


@pytest.mark.parametrize(
    "text",
    [
        "python3 worker.py; echo after",
        "python3 worker.py\necho after",
        "python3 worker.py & wait",
        "while true; do python3 worker.py; done",
        "if true; then python3 worker.py; fi",
        "cat <<END\nit's\nEND\npython3 worker.py",
    ],
)
def test_a_command_with_another_one_after_it_does_not(text):
    assert not passes_on(text, WORKER)


@pytest.mark.parametrize(
    ("chain", "statuses", "living", "status"),
    [
        ((1,), {1: 0}, (), 0),
        ((1,), {1: -15}, (), -15),
        ((1, 2), {1: -15}, (2,), None),
        ((1, 2), {1: -15, 2: 7}, (), 7),
        ((1, 2), {1: -15, 2: -9}, (), -9),
        ((1, 2), {1: -15, 2: -15}, (), -15),
        ((1, 2), {1: 3}, (2,), 3),
        ((1, 2), {1: -11}, (2,), -11),
        ((1, 2, 3), {1: -15, 3: 7}, (), 7),
        ((1, 2, 3), {1: -15, 2: -15}, (3,), None),
        ((1, 2), {1: -15}, (), -15),
    ],
    ids=str,
)
def test_the_first_that_did_not_die_of_the_signal_counts(chain, statuses, living, status):
    assert status_of(chain, statuses, {15}, living.__contains__) == status


def test_any_text_has_an_answer():
    for text in ("'", '"', "$(", "`", "a;;b", "&&&", "(", ";", "\\", "#"):
        assert passes_on(text, shlex.split("x")) in (True, False)
