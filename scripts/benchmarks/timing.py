"""What start-up and shutdown have in common: one duration of orchestrate and its rivals, side by side."""

from collections.abc import Callable

from benchmarks import report
from benchmarks.contenders import AGAINST, Contender, orchestrates, rivals
from benchmarks.report import Column, Row
from benchmarks.running import Run, Settings, start_silent
from benchmarks.turns import interleaved
from benchmarks.workspace import Workspace

REPETITIONS = 7
COLUMNS = (
    Column("components", "components", "d"),
    Column("orchestrate", "orchestrate s", ".3f"),
    Column("honcho", "honcho s", ".3f"),
    Column("ratio", "ratio", ".2f"),
    Column(AGAINST, "against s", ".3f"),
    Column("ratio_against", "ratio", ".2f"),
)


def compare(count: int, duration: Callable[[Run, float], float], settings: Settings, space: Workspace) -> Row:
    """Return medians over `count` silent components; `duration` gets the run and its start-up time, in seconds."""

    def seconds(contender: Contender) -> float:
        run, until_up = start_silent(contender, count, space)
        with run:
            return duration(run, until_up)

    samples = interleaved([orchestrates()[0], *rivals()], settings.repetitions(REPETITIONS), seconds)
    own, another = samples["orchestrate"], samples.get(AGAINST)
    return {
        "components": count,
        **{name: report.median(values) for name, values in samples.items()},
        "ratio": report.paired_ratio(own, samples.get("honcho", [])),
        **({} if another is None else {"ratio_against": report.paired_ratio(own, another)}),
        "samples": samples,
    }
