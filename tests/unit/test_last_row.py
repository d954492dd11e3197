"""The erasure of the last row: which rows it takes in a terminal whose width has changed."""

from orchestrator.output.last_row import ERASE, LastRow


def test_where_rows_are_cut_off_nothing_above_is_erased():
    size = [80, 24]
    for reflows, erased in ((True, b"\r\x1b[1A\x1b[J"), (False, ERASE)):
        size[0] = 80
        row = LastRow(lambda shown, columns: shown[:columns], lambda: tuple(size), reflows=reflows)
        assert b"x" * 60 in row.draw(b"x" * 60)
        row.is_drawn = True
        size[0] = 40
        assert row.erase() == erased
        assert not row.is_drawn
        assert row.erase() == ERASE


def test_a_line_that_is_cut_behind_a_joiner_ends_before_it():
    row = LastRow(lambda shown, columns: shown[: shown.rfind("\u200d".encode()) + 3], lambda: (80, 24))
    assert "\u200d" not in row.draw("abc 👩\u200d👩".encode()).decode()
