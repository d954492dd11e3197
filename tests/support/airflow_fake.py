"""The fake Airflow of tests/programs/fake_airflow: an environment with it, and a home."""

import json
import os
import subprocess
import sys
from pathlib import Path

from airflow_rest import free_port
from harness import Run, command_under_test, environment

FAKE = Path(__file__).parent.parent / "programs" / "fake_airflow"


class Fake:
    """An environment with the fake Airflow, and a home."""

    def __init__(self, path):
        self.home = path / "home"
        self.bin = path / "v" / "bin"
        packages = path / "v" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
        self.bin.mkdir(parents=True)
        (packages / "apache_airflow-3.3.2.dist-info").mkdir(parents=True)
        self.packages = packages
        command = self.bin / "airflow"
        command.write_text(f"#!{sys.executable}\nimport sys\nfrom airflow.__main__ import main\nsys.exit(main())\n")
        command.chmod(0o755)
        (self.bin / "python").symlink_to(sys.executable)
        command.write_text(command.read_text().replace(sys.executable, str(self.bin / "python"), 1))

    def variables(self, **changes):
        fixed = {"PYTHONPATH": str(FAKE), "PYTHONDONTWRITEBYTECODE": "1", "AIRFLOW_HOME": str(self.home)}
        return environment(**fixed | changes)

    def start_on(self, host, *options):
        """Start it on one of the hosts of hosts.py."""
        return host.start(*self._command(*options), env=self.variables(ORCHESTRATE_RUNTIME_DIR=str(host.home / ".run")))

    def start(self, *options, terminal=False, on_one_processor=False, **changes):
        beside = ["taskset", "-c", min(os.sched_getaffinity(0))] if on_one_processor else []
        command = [*beside, *self._command(*options)]
        return Run(command, terminal=terminal, columns=140, rows=40, env=self.variables(**changes))

    def _command(self, *options):
        return [
            *command_under_test(),
            "airflow",
            "--airflow",
            self.bin / "airflow",
            "--any-port",
            "--port",
            free_port(),
            *options,
        ]

    def ask(self, *words, **changes):
        command = [*command_under_test(), "airflow", "--airflow", self.bin / "airflow", *words]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=self.variables(**changes), check=False
        )

    def ready(self, *options, **changes):
        run = self.start(*options, **changes)
        run.wait_for(r"Airflow is ready$")
        run.wait_for(r"Do not use this in production!$")
        return run

    @property
    def password_file(self):
        return self.home / "simple_auth_manager_passwords.json.generated"

    @property
    def password(self):
        return json.loads(self.password_file.read_text())["admin"]
