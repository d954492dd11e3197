"""The chain of causes: literal histories in, exact sentences out; any history gives an answer."""

import contextlib
import dataclasses
import json

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.history import record
from orchestrator.history.causes import DEPTH, Causes
from orchestrator.history.record import (
    Link,
    Origin,
    RecordedEvent,
    RecordError,
    RecordKind,
    StartRecord,
)
from orchestrator.history.wording import Words, command_in_words, duration

WORDS = Words(lambda seconds: f"14:02:{seconds:02.0f}", lambda uid: {1000: "alice"}.get(uid, f"uid {uid}"))
FACTS = {
    "format": 1,
    "components": [
        {"name": "disk"},
        {"name": "db", "depends_on": [{"name": "disk", "condition": "ready"}]},
        {"name": "web", "depends_on": [{"name": "db", "condition": "ready", "restart": True}]},
    ],
}
ALICE = Origin(1000, 4711, ("/usr/bin/python3", "/opt/bin/orchestrate", "restart", "db"), "pts/3", "%7")


class History:
    """Writes events as short as possible: each is a second after the one before."""

    def __init__(self):
        self.events = []
        self.add(RecordKind.START, facts=FACTS)

    def add(self, kind, **fields):
        number = len(self.events) + 1
        self.events.append(RecordedEvent(number, kind, time=float(number), uptime=float(number), **fields))
        return number

    def change(self, instance, phase, before, run=1, state="", **fields):
        return self.add(
            RecordKind.CHANGE, instance=instance, phase=phase, before=before, run=run, state=state or phase, **fields
        )

    def start(self, instance, run=1, before="down", **fields):
        self.change(instance, "starting", before, run, **fields)
        self.change(instance, "up", "starting", run, "starting", pid=100 + run)
        return self.change(instance, "ready", "up", run, pid=100 + run)

    def exit(self, instance, phase="failed", state="", run=1, **fields):
        self.change(
            instance,
            "stopping",
            "ready",
            run,
            **{k: fields[k] for k in ("cause", "link", "by", "reason") if k in fields},
        )
        return self.change(instance, phase, "stopping", run, state, **fields)

    def causes(self):
        return Causes(StartRecord(1, tuple(self.events)), WORDS)

    def why(self, instance):
        return lines(self.causes().why(instance))


def lines(chain):
    return [line for step in chain for line in (step.text, *(f"    {one}" for one in step.lines))]


@pytest.fixture
def history():
    return History()


@pytest.mark.parametrize(
    "dead",
    [
        "failed its liveness probe 3 times: tcp 127.0.0.1:5432: connection refused",
        "does not live: tcp 127.0.0.1:5432 failed 3 times: connection refused",  # of version 0.2.0
    ],
)
def test_a_restart_that_follows_a_failed_liveness_probe(dead, history):
    history.start("db")
    history.start("web")
    exited = history.exit("db", "backoff", "restarting", link=Link.PROBE, reason=dead, exit=dead, lines=("a", "b"))
    history.exit("web", "down", "waiting", cause=exited, link=Link.FOLLOW, by="db", exit="was killed by SIGTERM",
                 is_requested=True)  # fmt: skip
    history.start("db", 2, "backoff", cause=exited, link=Link.POLICY)
    history.start("web", 2, cause=exited, link=Link.FOLLOW, by="db")
    db = [
        "db restarted at 14:02:12 because its liveness probe failed 3 times: tcp 127.0.0.1:5432: connection refused",
        "db's last output before that:",
        "    a",
        "    b",
    ]
    assert history.why("db") == db
    assert history.why("web") == ["web restarted at 14:02:15 because db restarted (depends_on, restart = true)", *db]
    assert not history.causes().is_restart_requested("web")


def test_a_requested_restart_names_who_asked(history):
    history.start("db")
    history.start("web")
    asked = history.add(RecordKind.REQUEST, verb="restart", names=("db",), origin=ALICE)
    for name, link in (("web", {"link": Link.FOLLOW, "by": "db"}), ("db", {"link": Link.REQUEST})):
        history.exit(name, "down", "waiting", cause=asked, exit="was killed by SIGTERM", is_requested=True, **link)
    history.start("db", 2, cause=asked, link=Link.REQUEST)
    history.start("web", 2, cause=asked, link=Link.FOLLOW, by="db")
    db = "db restarted at 14:02:13 because 'orchestrate restart db' was run by alice (pid 4711, pts/3, tmux pane %7)"
    assert history.why("db") == [db]
    assert history.why("web") == ["web restarted at 14:02:16 because db restarted (depends_on, restart = true)", db]
    assert history.causes().is_restart_requested("web")


@pytest.mark.parametrize("command", ["orchestrate ui --home /srv", "/usr/bin/python3 -m orchestrator airflow ui"])
def test_a_key_of_the_view_is_not_a_command(history, command):
    history.start("db")
    origin = Origin(1001, 5, command=tuple(command.split()))
    asked = history.add(RecordKind.REQUEST, verb="restart", names=("db",), origin=origin)
    history.start("db", 2, cause=asked, link=Link.REQUEST)
    assert history.why("db") == [
        "db restarted at 14:02:06 because restart was requested in the view by uid 1001 (pid 5)"
    ]


def test_followers_at_a_distance(history):
    for name in ("a", "b", "c"):
        history.start(name)
    asked = history.add(RecordKind.REQUEST, verb="restart", names=("a",), origin=Origin(1001, 5))
    history.start("a", 2, cause=asked, link=Link.REQUEST)
    history.start("b", 2, cause=asked, link=Link.FOLLOW, by="a")
    history.start("c", 2, cause=asked, link=Link.FOLLOW, by="b")
    assert history.why("c") == [
        "c restarted at 14:02:18 because b restarted (depends_on, restart = true)",
        "b restarted at 14:02:15 because a restarted (depends_on, restart = true)",
        "a restarted at 14:02:12 because 'orchestrate restart a' was run by uid 1001 (pid 5)",
    ]


def test_a_crash_that_ends_the_system(history):
    history.start("db")
    exited = history.exit("db", exit="exited with status 3", lasted=62.0, link=Link.EXIT, lines=("disk full",))
    stop = history.add(RecordKind.STOP, cause=exited, link=Link.EXIT)
    history.start("web")
    history.exit(
        "web", "down", "stopped", cause=stop, link=Link.SYSTEM, exit="was killed by SIGTERM", is_requested=True
    )
    history.add(RecordKind.END, reason="with status 3", status=3)
    system = [
        "the system stopped at 14:02:07 because db exited with status 3 at 14:02:06 after 1 min 2 s",
        "db's last output before that:",
        "    disk full",
    ]
    assert lines(history.causes().why_stopped()) == [
        "the system exited with status 3 at 14:02:13 after 13.0 s", *system
    ]  # fmt: skip
    assert history.why("web") == ["web stopped at 14:02:12 because the system stopped", *system]
    assert history.why("db") == [
        "db failed at 14:02:06: it exited with status 3 after 1 min 2 s",
        *system[1:],
    ]


def test_a_kill_that_was_not_ours(history):
    history.start("db")
    exited = history.exit("db", "backoff", "restarting", exit="was killed by SIGKILL", status=-9, lasted=2.0,
                          link=Link.EXIT, pause=1.0)  # fmt: skip
    assert history.why("db") == [
        "db exited at 14:02:06: it was killed by SIGKILL after 2.0 s (orchestrate did not send that signal);"
        " it starts again in 1.0 s"
    ]
    history.start("db", 2, "backoff", cause=exited, link=Link.POLICY)
    assert history.why("db") == [
        "db restarted at 14:02:07 because it was killed by SIGKILL at 14:02:06 after 2.0 s"
        " (orchestrate did not send that signal)"
    ]


def test_a_signal_ends_the_system(history):
    got = history.add(RecordKind.SIGNAL, reason="SIGTERM (the kernel does not report the sender)")
    history.add(RecordKind.STOP, cause=got, link=Link.SIGNAL)
    assert lines(history.causes().why_stopped()) == [
        "the system stopped at 14:02:03 because the supervisor received SIGTERM (the kernel does not report the sender)"
    ]


def test_a_signal_names_its_sender(history):
    sender = Origin(1000, 4711, ("/usr/bin/bash",), "pts/3")
    got = history.add(RecordKind.SIGNAL, reason="SIGTERM", origin=sender)
    history.add(RecordKind.STOP, cause=got, link=Link.SIGNAL)
    (line,) = lines(history.causes().why_stopped())
    assert line.endswith("because the supervisor received SIGTERM from 'bash' of alice (pid 4711, pts/3)")


def test_what_an_instance_waits_for(history):
    assert history.why("web") == [
        "web waits for db (ready), which waits for disk (ready), which was never started"
    ]  # fmt: skip
    history.exit("disk", exit="exited with status 3", link=Link.EXIT)
    assert history.why("web") == [
        "web waits for db (ready), which waits for disk (ready), which failed at 14:02:03: exited with status 3"
    ]
    assert history.why("unknown") == ["unknown was never started"]
    killed = Causes(StartRecord(1, tuple(history.events)), WORDS, is_cut=True)
    assert lines(killed.why("web"))[0].startswith("web was never started: it waited for db (ready), which waited for")
    history.add(RecordKind.END, reason="with status 0")
    assert history.why("web") == [
        "web was never started: it waited for db (ready), which waited for disk (ready), which failed at 14:02:03:"
        " exited with status 3"
    ]


def test_what_an_instance_waits_for_that_is_to_start_again(history):
    history.start("db")
    history.start("web")
    asked = history.add(RecordKind.REQUEST, verb="restart", names=("db",), origin=ALICE)
    history.exit("web", "down", "waiting", cause=asked, link=Link.FOLLOW, by="db", exit="was killed by SIGTERM",
                 is_requested=True)  # fmt: skip
    history.change("db", "stopping", "ready", cause=asked, link=Link.REQUEST)
    assert history.why("web") == [
        "web waits for db (ready), which has been stopping since 14:02:11",
        "web stopped at 14:02:10 because db restarted (depends_on, restart = true)",
        "db restarts because 'orchestrate restart db' was run by alice (pid 4711, pts/3, tmux pane %7)",
    ]


def test_a_stop_instead_of_the_next_restart(history):
    history.start("db")
    history.exit("db", "backoff", "restarting", link=Link.EXIT, exit="exited with status 3", pause=9.0, lines=("a",))
    asked = history.add(RecordKind.REQUEST, verb="stop", names=("db",), origin=ALICE)
    history.change("db", "down", "backoff", state="stopped", cause=asked, link=Link.REQUEST)
    assert history.why("db") == [
        "db stopped at 14:02:08 because 'orchestrate restart db' was run by alice (pid 4711, pts/3, tmux pane %7)",
        "db exited with status 3 at 14:02:06",
        "db's last output before that:",
        "    a",
    ]


def test_a_chain_ends_where_the_record_does(history):
    history.start("web", 2, cause=99, link=Link.FOLLOW, by="db")
    assert history.why("web") == ["web restarted at 14:02:02 because db restarted (depends_on, restart = true)"]
    history.start("db", 3, cause=98, link=Link.POLICY)
    assert history.why("db") == ["db restarted at 14:02:05; the record does not contain the cause"]


def test_a_dependency_cycle_in_the_facts_ends():
    components = [{"name": a, "depends_on": [{"name": b}]} for a, b in ("ab", "ba")]
    events = (RecordedEvent(1, RecordKind.START, facts={"components": components}),)
    assert Causes(StartRecord(1, events), WORDS).why("a")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (("/usr/bin/python3.11", "/x/bin/orchestrate", "restart", "db"), "orchestrate restart db"),
        (("python", "-S", "-m", "orchestrator", "stop"), "orchestrate stop"),
        (("/x/orchestrate", "down"), "orchestrate down"),
        ((), ""),
    ],
)
def test_a_command_is_shown_as_it_was_typed(argv, text):
    assert command_in_words(argv) == text


def test_durations():
    assert [duration(s) for s in (-5, 4.25, 200, 7500, 190000)] == [
        "0.0 s",
        "4.2 s",
        "3 min 20 s",
        "2 h 5 min",
        "2 d 4 h",
    ]


# Any history

NAMES = st.sampled_from(["disk", "db", "web", "x"])
TEXT = st.text(max_size=8) | st.sampled_from(
    ["does not live: a failed once: b", "failed its liveness probe once: a: b"]
)
EVENTS = st.builds(
    RecordedEvent,
    number=st.integers(1, 12),
    kind=st.sampled_from(RecordKind),
    time=st.floats(0, 1e9),
    uptime=st.floats(-5, 1e9),
    cause=st.integers(-1, 14),
    link=st.sampled_from(Link),
    by=NAMES | st.just(""),
    instance=NAMES | st.just(""),
    run=st.integers(0, 3),
    pid=st.integers(0, 3),
    phase=st.sampled_from(["down", "starting", "up", "ready", "stopping", "killing", "backoff", "failed", "", "new"]),
    before=st.sampled_from(["down", "starting", "ready", "stopping", "backoff", ""]),
    state=st.sampled_from(["waiting", "starting", "ready", "failed", "stuck", "", "odd"]),
    exit=st.sampled_from(["", "exited with status 1", "was killed by SIGKILL"]),
    is_requested=st.booleans(),
    reason=TEXT,
    lines=st.lists(TEXT, max_size=2).map(tuple),
    origin=st.none() | st.just(ALICE),
    facts=st.sampled_from(
        [
            {},
            FACTS,
            {"components": 3},
            {"components": [1, {"name": 2}, {"name": "db", "depends_on": 3}]},
            {"components": [{"name": "web", "depends_on": [1, {"name": 5}, {"condition": []}]}]},
        ]
    ),
)


def answers(found):
    causes = Causes(found, WORDS)
    for name in (*causes.instances, "nobody"):
        assert 1 <= len(causes.why(name)) <= 3 * DEPTH
        causes.last_exit(name), causes.is_restart_requested(name), causes.was_ready(name), causes.component_of(name)
    causes.why_stopped()


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(EVENTS, max_size=14))
def test_any_history_gives_an_answer(events):
    answers(StartRecord(1, tuple(events)))


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(EVENTS, max_size=6), st.data())
def test_any_damaged_record_gives_an_answer(events, data):
    """Cut anywhere, two writers mixed, a byte flipped, a field of another type."""
    raw = b"".join(dataclasses.replace(e, facts={**e.facts, "format": 1}).encode() for e in events)
    if raw and data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw = raw[:at] + data.draw(st.binary(max_size=3)) + raw[at + data.draw(st.integers(0, 40)) :]
    with contextlib.suppress(RecordError):
        answers(record.decode(1, raw.split(b"\n")))


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
                    max_leaves=6)  # fmt: skip


@settings(max_examples=examples(100), deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from([f.name for f in dataclasses.fields(RecordedEvent)] + ["more"]), JSON),
        max_size=4,
    )
)
def test_fields_of_any_type_give_an_answer(objects):
    lines = [json.dumps({**one, "kind": kind, "number": n + 1}).encode()
             for one in objects for n, kind in enumerate(["change", "request", "stop", "end"])]  # fmt: skip
    answers(record.decode(1, lines))


@given(EVENTS)
def test_what_is_written_is_read_again(event):
    (again,) = record.decode(1, [dataclasses.replace(event, facts={"format": 1}).encode()]).events
    for one in dataclasses.fields(RecordedEvent):
        if one.name not in ("time", "uptime", "facts"):
            assert getattr(again, one.name) == getattr(event, one.name), one.name
    assert abs(again.uptime - event.uptime) <= 0.001


@pytest.mark.parametrize("found", [0, 2, "1", None, 99999999999])
def test_another_format_is_rejected_in_one_line(found):
    line = json.dumps({"number": 1, "kind": "start", "facts": {"format": found}}).encode()
    with pytest.raises(
        RecordError, match=r"^cannot read x: an? (older|newer) orchestrate wrote it \(format .*, expected 1\)$"
    ):
        record.decode(1, [line], "x")
