"""Which tests the other Pythons run."""

from examples import is_in_part

NAMES = [f"tests/process/test_stop.py::test_it[{number}]" for number in range(100)]


def test_each_test_is_in_exactly_one_part():
    parts = [{name for name in NAMES if is_in_part(name, f"{number}/3")} for number in (1, 2, 3)]
    assert all(parts)
    assert sorted(name for part in parts for name in part) == sorted(NAMES)


def test_without_parts_every_test_is_run():
    assert all(is_in_part(name, "1/1") for name in NAMES)


def test_unit_tests_are_in_every_part():
    assert all(is_in_part(f"tests/unit/test_rows.py::test_{number}", "2/2") for number in range(20))
