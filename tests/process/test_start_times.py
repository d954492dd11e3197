"""Times of a start and its critical path, from the events of a record."""

import itertools
import xml.etree.ElementTree as ElementTree

from definitions import Directory, component

from orchestrator.history.record import RecordedEvent, RecordKind, StartRecord
from orchestrator.history.start_times import as_mermaid, as_svg, as_text, critical_path, of_record, path_in_words

NEEDS = {"migrate": {}, "db": {}, "web": {"db": "ready", "cache": "started"}, "cache": {}, "lazy": {"web": "ready"}}
# name, seconds, phase
CHANGES = [
    ("migrate", 0.0, "starting"), ("migrate", 0.1, "up"), ("migrate", 0.1, "ready"), ("migrate", 1.0, "down"),
    ("db", 1.0, "starting"), ("cache", 1.0, "starting"), ("cache", 1.1, "up"), ("cache", 1.1, "ready"),
    ("db", 1.2, "up"), ("db", 6.0, "ready"), ("web", 6.0, "starting"), ("web", 6.1, "up"), ("web", 7.5, "ready"),
]  # fmt: skip


def times():
    numbers = itertools.count(1)
    described = [
        {"name": name, "depends_on": [{"name": other, "condition": how} for other, how in needs.items()]}
        for name, needs in NEEDS.items()
    ]
    start = RecordedEvent(
        next(numbers), RecordKind.START, facts={"components": described, "steps": ["migrate"], "format": 1}
    )
    changes = [
        RecordedEvent(next(numbers), RecordKind.CHANGE, uptime=at, instance=name, run=1, phase=phase,
              exit="exited with status 0" if phase == "down" else "")
        for name, at, phase in CHANGES
    ]  # fmt: skip
    return of_record(StartRecord(1, (start, *changes)))


def test_the_table_marks_what_decided():
    assert as_text(times(), critical_path(times())).splitlines() == [
        "  NAME     STARTED  UP     READY  WAITED FOR",
        "* migrate  0.0 s    0.1 s  1.0 s  -",
        "* db       1.0 s    1.2 s  6.0 s  migrate (succeeded)",
        "  cache    1.0 s    1.1 s  1.1 s  migrate (succeeded)",
        "* web      6.0 s    6.1 s  7.5 s  db (ready), cache (started)",
        "  lazy     -        -      -      web (ready)",
        "critical path: migrate 1.0 s → db 5.0 s → web 1.5 s",
    ]


def test_diagrams():
    lines = as_mermaid(times(), critical_path(times())).splitlines()
    assert "    n1 ==>|ready| n3" in lines
    assert "    n2 -->|started| n3" in lines
    assert lines[-1] == "    class n0,n1,n3 critical"
    root = ElementTree.fromstring(as_svg(times(), critical_path(times())))
    assert len(root.findall("{*}rect")) == 5  # one is the background
    assert root.findall("{*}text")[-1].text.startswith("critical path: migrate")


def test_some_rows_have_the_critical_path_of_all():
    path = critical_path(times())
    cache, db = (tuple(one for one in times() if one.name == name) for name in ("cache", "db"))
    line = "critical path: migrate 1.0 s → db 5.0 s → web 1.5 s"
    assert as_text(cache, path).splitlines()[1:] == ["  cache  1.0 s    1.1 s  1.1 s  migrate (succeeded)", line]
    assert as_text(db, path).splitlines()[1:] == ["* db    1.0 s    1.2 s  6.0 s  migrate (succeeded)", line]
    assert "critical" not in as_mermaid(cache, path)
    assert as_mermaid(db, path).splitlines()[-1] == "    class n0 critical"
    assert line in as_svg(cache, path)


def test_of_a_record_that_lost_its_beginning():
    assert of_record(StartRecord(1, ())) == ()
    assert critical_path(()) == ()
    assert path_in_words(()) == ""
    assert as_text((), ()).splitlines() == ["  NAME  STARTED  UP  READY  WAITED FOR"]


def test_of_a_real_start(tmp_path):
    here = Directory(tmp_path)
    run = here.write(
        component("db", "echo ready; read x", 'ready = { log = "ready" }')
        + component("web", "echo ready; read x", 'depends_on = { db = { condition = "ready" } }')
    ).up()
    run.wait_ready("db", "web")
    lines = here.output("graph", "--times").splitlines()
    assert [line[:6].split() for line in lines[1:3]] == [["*", "db"], ["*", "web"]]
    assert lines[3].startswith("critical path: db ")
    assert here.output("graph", "--times", "--mermaid").startswith("flowchart LR")
    assert here.output("graph", "--times", "--svg", "web").startswith("<svg ")
    assert "--dot" in here.output("graph", "--times", "--dot", status=2)
    assert "--svg" in here.output("graph", "--svg", status=2)
    run.stop()
