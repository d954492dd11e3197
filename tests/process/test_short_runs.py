"""Runs that end at once: while other components still start, and before their last output is read."""

import os

from definitions import STAY
from lateness import Late
from test_order_system import component, ended, here, lines_of

__all__ = ["here"]
MANY = [f"c{number}" for number in range(20)]


def test_components_that_end_while_others_are_started_are_not_forgotten(here):
    """Each start of a multiprocessing.Process waits for those that have ended: nobody else hears of their end."""
    short = [component(name, "seq 300; exit 3", 'on_exit = "ignore"') for name in MANY]
    run = ended(here.write("\n".join(short)).up(), 3)
    own = lines_of(run, "orchestrate")
    for name in MANY:
        assert sum(line.startswith(f"{name} exited with status 3 after ") for line in own) == 1, str(run)
        assert lines_of(run, name) == [str(number) for number in range(1, 301)]
    lines = run.text.splitlines()
    late = [name for name in MANY if not _says_all_before_its_end(lines, name)]
    if late:
        raise Late(f"read only after the word of their end: {late}")


def _says_all_before_its_end(lines, name):
    said = [at for at, line in enumerate(lines) if line.startswith(f"{name.ljust(11)} | ")]
    end = [at for at, line in enumerate(lines) if line.startswith(f"orchestrate | {name} exited")]
    return said[-1] < end[0]


def test_a_line_without_an_end_stands_before_the_word_of_the_end(home):
    """What a program says last, when it gives up, often has no line feed."""
    run = home.write(web="printf 'cannot bind'; exit 3").up()
    assert run.wait() == 3
    lines = [line for line in run.text.splitlines() if "component started" not in line]
    said, ended_at = lines.index("web         | cannot bind"), lines[1].startswith("orchestrate | web exited")
    assert (said, ended_at) == (0, True), str(run)


def test_a_line_that_others_of_its_tree_may_go_on_with_is_not_ended(here):
    """Its leader ends in the middle of it. On pipes: a terminal is hung up then."""
    os.mkfifo(here.path / "go")
    command = "trap '' TERM; printf 'one '; (read x < go; echo two) & exit 3"
    text = component("web", command, 'on_exit = "ignore"', "tty = false")
    run = here.write(text + component("stay", STAY)).up()
    run.wait_for("web exited with status 3")
    (here.path / "go").write_text("now\n")
    run.wait_for(r"^web +\| one two$")
    run.stop()
