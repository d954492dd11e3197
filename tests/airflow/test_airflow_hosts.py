"""A real Airflow with Celery on three hosts: a head and two workers, and what breaks between them.

Airflow promises: a task that is lost with its worker is found by its missing heartbeats, and tried again if it has
tries left; what the broker has accepted is run. manual/faults.md has what was measured.
"""

import base64
import re
import signal

import pytest
from airflow_rest import READY
from cluster import HOSTS, WORKERS, Cluster
from harness import pump, until
from hosts import faketime
from test_airflow_celery_real import MISSING

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
VERSION = "3.3.2"  # of the faults
OTHER_KEY = base64.urlsafe_b64encode(bytes(32)).decode()
UNSEEN = "is up here, but the broker does not see it: "


@pytest.mark.parametrize(
    "version",
    [VERSION, *(pytest.param(version, marks=pytest.mark.exhaustive) for version in ("2.11.2", "2.6.3"))],
)
def test_twenty_tasks_run_on_both_workers(version, network):
    cluster = Cluster(version, network).start()
    dag_run = cluster.rest.trigger("twenty")
    assert cluster.rest.to_the_end(dag_run, 300) == "success", cluster.rest.tasks(dag_run)
    ran_on = [host for host, _ in cluster.hosts_of(dag_run).values()]
    assert len(ran_on) == 20
    assert set(ran_on) == set(WORKERS)
    wait_idle(cluster)
    cluster.stop()
    assert [cluster.runs[name].returncode for name in HOSTS] == [-signal.SIGTERM] * 3


def wait_idle(cluster, *names):
    """Wait until the head lists these workers, all without a task."""
    names = sorted(names or WORKERS)
    idle = re.compile(r"worker\.1@(\S+) \(default; 0 tasks\)")
    assert until(lambda: sorted(idle.findall(cluster.ask("head", "info"))) == names, 60, 0.5), cluster.ask(
        "head", "info"
    )


def steady(cluster):
    """Start four tasks of half a minute each, two on each worker; their run, and the hosts by task."""
    dag_run = cluster.rest.trigger("steady")
    running = cluster.wait_running(dag_run, 4)
    assert sorted(running.values()) == ["worker-1", "worker-1", "worker-2", "worker-2"]
    return dag_run, running


def ends_well(cluster, dag_run, timeout=300):
    """Wait for the end of a run, which is a success; the host and number of the last try, by task."""
    assert cluster.rest.to_the_end(dag_run, timeout) == "success", cluster.rest.tasks(dag_run)
    found = cluster.hosts_of(dag_run)
    print(dag_run.rpartition("/")[2], found)
    return found


@pytest.mark.exhaustive
def test_a_link_is_cut_for_a_minute(network):
    cluster = Cluster(VERSION, network).start()
    dag_run, running = steady(cluster)
    cluster.hosts.cut("worker-1")
    said = cluster.why("worker-1")
    assert f"worker {UNSEEN}" in said, said
    assert "does not see" not in cluster.why("worker-2")
    pump(lambda: False, 60)
    listed = cluster.ask("head", "info")
    assert "worker.1@worker-2" in listed
    assert "worker.1@worker-1" not in listed
    cluster.hosts.mend("worker-1")
    tries = ends_well(cluster, dag_run)
    kept = [task for task, host in running.items() if host == "worker-2"]
    assert [tries[task] for task in kept] == [("worker-2", 1)] * 2, "its tasks do not notice"
    assert until(lambda: UNSEEN not in cluster.why("worker-1", "worker"), 120, 1), cluster.why("worker-1", "worker")
    wait_idle(cluster)
    cluster.stop()


@pytest.mark.exhaustive
def test_everything_on_a_host_is_killed(network):
    cluster = Cluster(VERSION, network, quick=True).start()
    dag_run, running = steady(cluster)
    cluster.hosts["worker-2"].kill_everything()
    assert cluster.runs["worker-2"].wait() == -signal.SIGKILL
    tries = ends_well(cluster, dag_run)
    for task, host in running.items():
        assert tries[task] == ("worker-1", 2 if host == "worker-2" else 1)
    wait_idle(cluster, "worker-1")
    said = cluster.why("worker-2")
    assert "the system did not exit cleanly" in said, said
    again = cluster.start_worker("worker-2")
    again.wait_for(r"\| The worker is ready$", READY)
    wait_idle(cluster)
    cluster.stop()


@pytest.mark.exhaustive
def test_a_worker_is_told_to_stop_during_a_task(network):
    """With time enough its tasks end there; without, they are killed and tried again elsewhere."""
    cluster = Cluster(VERSION, network, quick=True)
    cluster.start_head()
    cluster.join()
    for name, grace in zip(WORKERS, (60, 3), strict=True):
        cluster.start_worker(name, "--worker-grace", grace).wait_for(r"\| The worker is ready$", READY)

    first, running = steady(cluster)
    cluster.runs["worker-1"].stop(90)
    assert re.search(
        r"^worker +\| 2 tasks are still running \(.*\); ending them in 60 s$", cluster.runs["worker-1"].text, re.M
    )
    assert cluster.hosts["worker-1"].left() == []
    tries = ends_well(cluster, first)
    assert tries == {task: (host, 1) for task, host in running.items()}
    said = cluster.why("worker-1")
    assert "SIGTERM" in said, said

    cluster.start_worker("worker-1").wait_for(r"\| The worker is ready$", READY)
    second, running = steady(cluster)
    cluster.runs["worker-2"].stop(30)
    assert "; ending them in 3 s" in cluster.runs["worker-2"].text
    assert cluster.hosts["worker-2"].left() == []
    tries = ends_well(cluster, second)
    for task, host in running.items():
        assert tries[task][0] == "worker-1"
        assert (tries[task][1] > 1) is (host == "worker-2"), tries
    cluster.stop()


@pytest.mark.exhaustive
@pytest.mark.parametrize("server", ["redis", "postgresql"])
def test_a_server_is_restarted_during_tasks(network, server):
    cluster = Cluster(VERSION, network, quick=True).start()
    dag_run, _ = steady(cluster)
    cluster.ask("head", "restart", server)
    cluster.ask("head", "wait", "--ready", server)
    said = cluster.why("head", server)
    assert f"restart {server}" in said, said
    ends_well(cluster, dag_run)
    again = cluster.rest.trigger("twenty")
    assert {host for host, _ in ends_well(cluster, again).values()} == set(WORKERS)
    wait_idle(cluster)
    cluster.stop()


@pytest.mark.exhaustive
def test_a_wrong_fernet_key(network):
    """On 3.x it is the head that decrypts, for the tasks of all hosts."""
    cluster = Cluster(VERSION, network, dags=("connected",)).start()
    connection = ["warehouse", "--conn-type", "generic", "--conn-password", "s3cret"]
    cluster.ask("head", "run", "--", "connections", "add", *connection)
    ends_well(cluster, cluster.rest.trigger("connected"))
    assert "does not decrypt" not in cluster.why("head", "api-server")
    cluster.runs["head"].stop(60)
    assert cluster.hosts["head"].left() == []

    cluster.settings["AIRFLOW__CORE__FERNET_KEY"] = OTHER_KEY
    cluster.rest.forget_login()
    cluster.start_head()
    fault = "[core] fernet_key does not decrypt connection warehouse; set it to the key that encrypted it"
    assert re.search(rf"^orchestrate +\| {re.escape(fault)}$", cluster.runs["head"].text, re.M)
    dag_run = cluster.rest.trigger("connected")
    assert cluster.rest.to_the_end(dag_run, 120) == "failed", cluster.rest.tasks(dag_run)
    assert f"api-server is up here, but {fault}" in cluster.why("head")
    cluster.stop()


@pytest.mark.exhaustive
def test_a_worker_of_2_x_with_a_wrong_fernet_key_is_refused(network):
    """There, each worker decrypts for its tasks."""
    cluster = Cluster("2.11.2", network)
    cluster.start_head()
    cluster.join()
    file = cluster.hosts["worker-1"].directory / "worker.env"
    text, count = re.subn(
        "(?m)^(AIRFLOW__CORE__FERNET_KEY=).*$",
        rf"\g<1>{base64.urlsafe_b64encode(bytes(32)).decode()}",
        file.read_text(),
    )
    assert count == 1
    file.write_text(text)
    refused = cluster.start_worker("worker-1")
    assert refused.wait(READY) == 1
    line = r"\| cannot start worker: \[core\] fernet_key does not decrypt connection \w+ and \d+ more of head$"
    refused.wait_for(line)
    assert "fernet_key does not decrypt" in cluster.why("worker-1")
    cluster.stop()


@pytest.mark.exhaustive
@pytest.mark.skipif(faketime() is None, reason="not installed: libfaketime")
def test_a_clock_is_a_minute_off(network):
    """Such a worker is refused. If its clock goes wrong later, its tasks still end as they should."""
    cluster = Cluster(VERSION, network)
    cluster.start_head()
    cluster.join()
    cluster.hosts["worker-1"].set_clock(60)
    refused = cluster.start_worker("worker-1")
    assert refused.wait(READY) == 1
    refused.wait_for(r"\| cannot start worker: the clock of this host is \d+ s ahead of that of head$")
    assert re.search(r"is (59|60|61) s ahead", refused.text)
    said = cluster.why("worker-1")
    assert "the clock of this host" in said, said
    assert cluster.hosts["worker-1"].left() == []

    cluster.hosts["worker-1"].set_clock(0)
    for name in WORKERS:
        cluster.start_worker(name).wait_for(r"\| The worker is ready$", READY)
    cluster.hosts["worker-1"].set_clock(60)
    ran_on = {host for host, _ in ends_well(cluster, cluster.rest.trigger("twenty")).values()}
    assert ran_on == set(WORKERS)
    cluster.stop()
