"""Airflow with Celery on three hosts: a head with all but workers, and two hosts with one worker each.

The hosts are those of hosts.py. Each has its own AIRFLOW_HOME with its own copy of the DAG files; a worker knows what
is in the file of `orchestrate airflow join`, and nothing else.
"""

import re
import shlex
import shutil

from airflow_rest import DAGS, READY, SETTINGS, Airflow, Rest
from harness import command_under_test, pump, until

WORKERS = ("worker-1", "worker-2")
HOSTS = ("head", *WORKERS)
SLOTS = 2  # tasks of one worker at a time
QUICK = {  # for tests: Airflow's defaults are 5 and 10 minutes
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "30",
    "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
}


class HeadRest(Rest):
    """Airflow's REST interface, asked on the head."""

    def __init__(self, airflow, host):
        super().__init__(airflow, "http://127.0.0.1:8080")
        self._host = host

    def forget_login(self):
        """Log in again: the head was started with other secrets."""
        self._token = None

    def get(self, path, data=None, login=True):
        with self._host.network():
            return super().get(path, data, login)


class Cluster(Airflow):
    """One of them; `home` is that of the head as tests see it. `runs` are its systems by host."""

    def __init__(self, version, network, *, quick=False, dags=("twenty",)):
        self.hosts = network(*HOSTS)
        self.head = self.hosts["head"]
        super().__init__(version, self.head.directory / "airflow")
        self.inside = self.head.home / "airflow"
        self.runs = {}
        self.rest = HeadRest(self, self.head)
        self.settings = {name: self.settings[name] for name in SETTINGS if name in self.settings}
        del self.settings["AIRFLOW__CORE__DAGS_FOLDER"]
        if quick:
            self.settings |= QUICK
        for name in HOSTS:
            folder = self.hosts[name].directory / "airflow" / "dags"
            folder.mkdir(parents=True)
            for dag in dags:
                shutil.copy(DAGS / f"{dag}.py", folder)

    def words(self, *words):
        """A command line of `orchestrate airflow` for any of the hosts: all have the same paths."""
        action = [] if words[0].startswith("-") else words[:1]
        return [*command_under_test(), "airflow", *action, "--home", self.inside, *words[len(action) :]]

    def start_head(self, *options):
        """Start all but workers, and wait until they are ready."""
        celery = ["--executor", "celery", "--with", "redis,postgresql", "--workers", "0"]
        more = ["--listen", self.head.address, "--airflow", self.command, *options]
        run = self.head.start(*self.words(*celery, *more), env=self.settings)
        self.runs["head"] = run
        run.wait_for(r"\| Airflow is ready$", READY)
        return run

    def join(self):
        """Write the file for workers on the head, and bring it to the other hosts."""
        ran = self.head.ask("sh", "-c", f"{shlex.join(map(str, self.words('join')))} > worker.env")
        assert ran.returncode == 0, ran.stderr
        for name in WORKERS:
            shutil.copy(self.head.directory / "worker.env", self.hosts[name].directory)
        return ran.stderr

    def start_worker(self, name, *options):
        """Start the worker of a host; it is not ready yet."""
        words = ["worker", "--env", "/mnt/worker.env", "--airflow", self.command, "--concurrency", SLOTS]
        run = self.hosts[name].start(*self.words(*words, *options))
        self.runs[name] = run
        return run

    def start(self):
        """Start it all."""
        self.start_head()
        self.join()
        for name in WORKERS:  # one after the other: to import Airflow takes a processor of its own
            self.start_worker(name).wait_for(r"\| The worker is ready$", READY)
        return self

    def ask(self, host, *words):
        """What a command in a second terminal on a host prints."""
        ran = self.hosts[host].ask(*self.words(*words))
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def why(self, host, *names):
        """What `why` says there, in one line."""
        return re.sub(r"\s+", " ", self.ask(host, "why", *names)).strip()

    def wait_running(self, dag_run, count, timeout=90):
        """Wait until so many tasks of a run are running; their hosts, by task."""

        def look():
            tasks = self.rest.get(f"{dag_run}/taskInstances")[1]["task_instances"]
            found = {task["task_id"]: task["hostname"] for task in tasks if task["state"] == "running"}
            return found if len(found) >= count else None

        found = until(look, timeout, 0.5)
        assert found, self.rest.tasks(dag_run)
        return found

    def hosts_of(self, dag_run):
        """The hosts on which the tasks of a run have run, by task, and their tries."""
        tasks = self.rest.get(f"{dag_run}/taskInstances")[1]["task_instances"]
        return {task["task_id"]: (task["hostname"], task["try_number"]) for task in tasks}

    def stop(self, timeout=120):
        """Stop it all, workers first. Nothing is left on any host."""
        for name in [*WORKERS, "head"]:
            if (run := self.runs.get(name)) and run.returncode is None:
                run.stop(timeout)
        pump(lambda: False, 0.1)
        assert {name: self.hosts[name].left() for name in HOSTS} == {name: [] for name in HOSTS}
