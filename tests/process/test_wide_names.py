"""Names of wide characters: the bars and columns of a system are below each other in the stream, `ps` and `logs`."""

from harness import Run, command_under_test, until

from orchestrator.terminal.width import width


def test_wide_names_leave_the_bars_below_each_other(home):
    run = home.write("web: echo one; exec sleep 1000\n日本語のサービス: echo two; exec sleep 1000\n").up()
    run.wait_for("one")
    run.wait_for("two")
    ps = Run([*command_under_test(), "ps", "--home", home.path])
    assert ps.wait() == 0
    states = {line.split()[0]: width(line[: line.index("running")]) for line in ps.text.splitlines()[1:]}
    assert set(states) == {"web", "日本語のサービス"}
    assert len(set(states.values())) == 1
    logs = Run([*command_under_test(), "logs", "--home", home.path])
    assert logs.wait() == 0
    for text in (run.text, logs.text):
        bars = {width(line[: line.index("|")]) for line in text.splitlines() if "one" in line or "two" in line}
        assert bars == {width("日本語のサービス") + 1}
    run.stop()
    assert until(lambda: run.survivors(0) == [])
