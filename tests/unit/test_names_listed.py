"""Lists of names in one line."""

import pytest

from orchestrator.model.names import listed


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, ""),
        (1, "c0"),
        (8, "c0, c1, c2, c3, c4, c5, c6, c7"),
        (1000, "c0, c1, c2, c3, c4, c5, c6, c7, … and 992 more"),
    ],
)
def test_only_the_first_of_many_names_are_listed(count, text):
    assert listed(f"c{number}" for number in range(count)) == text
