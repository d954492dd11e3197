"""Interleaved repetitions: all contenders in each turn, a different one first each time."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from benchmarks import processes
from benchmarks.contenders import Contender

Figure = TypeVar("Figure")


def interleaved(
    contenders: Sequence[Contender], repetitions: int, measure: Callable[[Contender], Figure]
) -> dict[str, list[Figure]]:
    """Measure every contender once in each turn; return all figures by contender, in the order of turns."""
    figures: dict[str, list[Figure]] = {contender.name: [] for contender in contenders}
    for turn in range(repetitions):
        first = turn % len(contenders)
        for contender in (*contenders[first:], *contenders[:first]):
            try:
                figures[contender.name].append(measure(contender))
            finally:
                processes.end_strays()
    return figures
