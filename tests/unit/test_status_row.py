"""The row below the merged stream: what it shows in each width."""

import pytest

from orchestrator.model.status import Status
from orchestrator.output.last_row import LastRow
from orchestrator.output.status_row import Item, status_row

KEYS = "u view · r restart … · ? keys"
ITEMS = [Item("web", Status.READY), Item("worker", Status.RUNNING), Item("api", Status.WAITING, "waiting for db")]


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (80, "● web ● worker ○ api (waiting for db) · u view · r restart … · ? keys"),
        (60, "● web ● worker +1 · u view · r restart … · ? keys"),
        (40, "● web +2 · u view · r restart … · ? keys"),
        (33, "u view · r restart … · ? keys"),
        (20, "u view · r restart …"),
        (5, ""),
        (0, ""),
    ],
)
def test_what_fits(columns, shown):
    assert status_row(ITEMS, KEYS, columns, colors=False).decode() == shown


def test_marks_are_colored_and_the_rest_is_dim():
    row = status_row([Item("web", Status.FAILED, "failed")], "? keys", 80, colors=True)
    assert row == "\x1b[2m\x1b[0;31m✗\x1b[m\x1b[2m web (failed) · ? keys\x1b[m".encode()


def test_the_cursor_stays_at_the_end_of_the_unfinished_line():
    row = LastRow(lambda text, columns: text[:columns], lambda: (80, 24))
    assert row.draw(b"Name: ", b"keys") == b"\x1b[?7lName: \r\nkeys\r\x1b[A\x1b[?7h\x1b[7G"
    row.is_drawn = True
    assert row.erase() == b"\r\x1b[J"
    assert row.draw(b"", b"keys") == b"\x1b[?7lkeys\r\x1b[?7h"
    assert row.draw(b"Name: ") == b"\x1b[?7lName: \x1b[?7h"
