"""scripts/standalone, scripts/airflow-env and the lock files, without network.

A copy of the scripts is run in a checkout of its own, with a blank in its path and a PATH of its own. The python3
on that PATH is a small program that notes each call: it makes an environment by copying itself, installs by writing
two stubs, and leaves everything else (which version it is, the file lock) to the real Python.
"""

import configparser
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.scripts

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SCRIPTS = REPOSITORY / "scripts"
LOCKS = sorted((SCRIPTS / "locks").glob("*.txt"))
TOOLS = ["cat", "cut", "dirname", "mkdir", "readlink", "rm", "sed", "sha256sum", "shasum"]

FAKE_PYTHON = r"""#!/bin/sh
# FAKE_LOG: where calls are noted. FAKE_NO_VENV, FAKE_UNSUITABLE, FAKE_PIP_FAILS, FAKE_GATE: how it misbehaves.
case "$*" in
*"-m venv "*)
    echo venv >>"$FAKE_LOG"
    mkdir -p "$4/bin" && cat "$0" >"$4/bin/python" && chmod +x "$4/bin/python"
    ;;
*"-m pip "*)
    echo "pip $*" >>"$FAKE_LOG"
    if [ "${FAKE_GATE-}" ]; then
        echo started >"$FAKE_GATE/started"
        read -r _ <"$FAKE_GATE/go"
    fi
    [ -z "${FAKE_PIP_FAILS-}" ] || exit 1
    for stub in airflow orchestrate; do
        stub=${0%/*}/$stub
        printf '#!/bin/sh\nprintf "%%s|" "${0##*/}" "HOME=${AIRFLOW_HOME-}" "$@"\n' >"$stub"
        chmod +x "$stub"
    done
    ;;
*airflow_release.py*)
    echo "release $3" >>"$FAKE_LOG"
    echo "$FAKE_RELEASE"
    exit "${FAKE_RELEASE_STATUS-0}"
    ;;
*)
    echo python >>"$FAKE_LOG"
    case "$*" in
    *ensurepip*) [ -z "${FAKE_NO_VENV-}" ] || exit 1 ;;
    *implementation.name*) [ "${0##*/}" != "${FAKE_UNSUITABLE-}" ] || exit 1 ;;
    esac
    exec "$REAL_PYTHON" "$@"
    ;;
esac
"""


class World:
    """A checkout with two Airflows, a PATH, and the log of what was called on it."""

    def __init__(self, root: Path) -> None:
        self.checkout = root / "a checkout"
        self.scripts = self.checkout / "scripts"
        self.venvs = self.checkout / ".venv"
        self.home = root / "airflow-3.3"
        self.log = root / "log"
        self.log.touch()
        (self.scripts / "locks").mkdir(parents=True)
        for name in ("common.sh", "standalone", "airflow-env", "airflow_release.py"):
            shutil.copy(SCRIPTS / name, self.scripts)
        self.write_lock("3.3.2", "# python: 3.10-3.99\n")
        self.write_lock("2.6.3", "# python: 3.7-3.9\n")
        (self.scripts / "locks" / "pip.txt").write_text("# python: 3.10-\n")
        (self.scripts / "locks" / "test.txt").write_text(
            "odd[extra]==1.2 ; python_full_version < '3.11' \\\n    --hash=sha256:00\n"
        )
        (self.checkout / "setup.cfg").write_text("[metadata]\n")
        self.tools = root / "tools"
        self.tools.mkdir()
        for tool in [*TOOLS, "chmod"]:
            if found := shutil.which(tool):
                (self.tools / tool).symlink_to(found)
        self.add_python("python3")
        self.environment = {
            "PATH": str(self.tools),
            "HOME": str(root),
            "FAKE_LOG": str(self.log),
            "REAL_PYTHON": sys.executable,
        }

    def write_lock(self, version: str, text: str) -> None:
        (self.scripts / "locks" / f"airflow-{version}.txt").write_text(text)

    def add_python(self, name: str) -> None:
        (self.tools / name).write_text(FAKE_PYTHON)
        (self.tools / name).chmod(0o755)

    def start(self, script: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [self.scripts / script, *arguments],
            cwd="/",
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, script: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        with self.start(script, *arguments, **environment) as process:
            out, err = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()

    def installations(self) -> list[str]:
        return [call for call in self.calls() if call.startswith("pip ")]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def assert_refused(result: "subprocess.CompletedProcess[str]", *expected: str) -> None:
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for text in expected:
        assert text in result.stderr


@pytest.mark.parametrize("arguments", [["--airflow", "9.9"], ["--airflow=9.9"]])
def test_an_unknown_version_is_refused_in_the_words_of_the_index(world: World, arguments: list[str]) -> None:
    said = "unknown Airflow version '9.9': the package index has 3.2.2, 3.3.2"
    result = world.run("standalone", *arguments, FAKE_RELEASE=said, FAKE_RELEASE_STATUS="2")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == f"standalone: {said}"
    assert not (world.venvs / "airflow-9.9").exists()


@pytest.mark.parametrize("version", ["", "../test", "*", "3.3.2/", "3.3.", "v3", "3 3", "-3.3.2", "3.3.2; true"])
def test_a_version_is_no_path_and_no_pattern(world: World, version: str) -> None:
    said = f"invalid Airflow version '{version}': expected one such as 3.3.2"
    assert_refused(world.run("standalone", f"--airflow={version}"), f"standalone: {said}")
    assert_refused(world.run("airflow-env", version), f"airflow-env: {said}")
    assert world.calls() == []


def test_a_version_without_a_lock_file_gets_what_there_was_at_its_release(world: World) -> None:
    for _ in range(2):
        result = world.run("airflow-env", "3.2.2", FAKE_RELEASE="3.10-3.99 2026-05-30")
        assert (result.returncode, result.stdout) == (0, f"{world.venvs}/airflow-3.2.2\n"), result.stderr
    pip, airflow = world.installations()
    assert pip.endswith(f"--require-hashes --requirement {world.scripts}/locks/pip.txt")
    assert f" --python {world.venvs}/airflow-3.2.2/bin/python install " in airflow
    assert airflow.endswith(" --uploaded-prior-to 2026-05-30T23:59:59Z apache-airflow==3.2.2")
    assert world.calls().count("release 3.2.2") == 1
    assert result.stderr == ""


def test_a_version_without_a_lock_file_needs_a_python_of_its_time(world: World) -> None:
    result = world.run("airflow-env", "2.7.3", FAKE_RELEASE="3.7-3.9 2023-11-07")
    assert result.returncode == 2
    assert "airflow-env: cannot make " in result.stderr
    assert "no Python 3.7 to 3.9 on PATH" in result.stderr


@pytest.mark.parametrize("argument", ["--prot", "-x", "8080", ""])
def test_standalone_names_the_options_there_are(world: World, argument: str) -> None:
    result = world.run("standalone", argument)
    assert_refused(result, f"standalone: unknown argument '{argument}'", "--airflow VERSION", "--help", "--")
    assert world.calls() == []


def test_standalone_asks_for_the_version(world: World) -> None:
    assert_refused(world.run("standalone", "--airflow"), "standalone: --airflow needs a version")


def test_airflow_env_asks_for_one_version(world: World) -> None:
    assert_refused(world.run("airflow-env"), "airflow-env: ")
    assert_refused(world.run("airflow-env", "3.3.2", "2.6.3"), "airflow-env: ")


@pytest.mark.parametrize("script", ["standalone", "airflow-env"])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(world: World, script: str, option: str) -> None:
    result = world.run(script, option)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"usage: scripts/{script} ")
    assert world.calls() == []


def test_the_help_names_the_default_version(world: World) -> None:
    text = (world.scripts / "standalone").read_text()
    assert re.findall(r"^default=(.*)$", text, re.M) == re.findall(r"default: (\d[\d.]*)", text)


@pytest.mark.parametrize("script", [["standalone"], ["airflow-env", "3.3.2"]])
def test_a_python_without_venv_gets_one_line_and_leaves_nothing(world: World, script: list[str]) -> None:
    result = world.run(*script, FAKE_NO_VENV="1")
    assert_refused(result, f"{script[0]}: {world.tools}/python3 ", "apt install python3-venv")
    assert not world.venvs.exists()


def test_no_python_at_all_gets_one_line(world: World) -> None:
    (world.tools / "python3").unlink()
    assert_refused(world.run("standalone"), "no Python 3.10 or later", "python3 is not found")
    assert not world.venvs.exists()


def test_an_unsuitable_python_gets_one_line(world: World) -> None:
    assert_refused(world.run("airflow-env", "2.6.3"), "no Python 3.7 to 3.9", "python3 is CPython 3.")
    assert not world.venvs.exists()


def test_another_python_on_the_path_serves_when_python3_does_not(world: World) -> None:
    world.add_python("python3.12")
    result = world.run("airflow-env", "3.3.2", FAKE_UNSUITABLE="python3")
    assert result.returncode == 0, result.stderr
    assert len(world.installations()) == 1


def test_python_is_chosen_by_the_environment(world: World) -> None:
    (world.tools / "python3").rename(world.tools / "my python")
    result = world.run("airflow-env", "3.3.2", PYTHON=str(world.tools / "my python"))
    assert result.returncode == 0, result.stderr


def test_standalone_becomes_orchestrate(world: World) -> None:
    result = world.run("standalone", "--", "--port", "8 1", "--help", AIRFLOW_HOME="/a home")
    assert result.returncode == 0, result.stderr
    airflow = world.venvs / "airflow-3.3.2" / "bin" / "airflow"
    assert result.stdout == f"orchestrate|HOME=/a home|airflow|--airflow|{airflow}|--port|8 1|--help|"


def test_each_version_line_has_a_home_unless_one_is_named(world: World) -> None:
    def home_of(*arguments: str, **environment: str) -> str:
        result = world.run("standalone", *arguments, FAKE_RELEASE="3.10-3.99 2026-05-30", **environment)
        assert result.returncode == 0, result.stderr
        return result.stdout.split("|")[1].removeprefix("HOME=")

    root = world.home.parent
    assert home_of() == home_of("--airflow", "3.3.0rc1", "ps") == f"{root}/airflow-3.3"
    assert home_of("--airflow=2.10.5") == home_of("--airflow", "2.10", "logs", "-f") == f"{root}/airflow-2.10"
    assert home_of("--airflow", "2.10.5", AIRFLOW_HOME="/mine") == "/mine"
    assert home_of("--", "--home", "/other") == home_of("ps", "--home=/other") == ""
    assert home_of("run", "--", "--home", "/of/the/command") == f"{root}/airflow-3.3"


IN_ANOTHER_TERMINAL = (
    "standalone: in another terminal: {0.scripts}/standalone ps (or logs, why, restart, down;"
    " it runs {0.venvs}/orchestrate/bin/orchestrate airflow ps)\n"
    "standalone: Airflow's own command: {0.scripts}/standalone run -- dags list"
    " (it runs {0.venvs}/airflow-3.3.2/bin/airflow)\n"
)


def test_standalone_prints_how_to_reach_both_programs(world: World) -> None:
    assert world.run("standalone").stderr.endswith(IN_ANOTHER_TERMINAL.format(world))
    world.write_lock("2.6.3", "# python: 3.7-3.99\n")
    assert "standalone --airflow 2.6.3 ps (or" in world.run("standalone", "--airflow=2.6.3").stderr


def test_a_command_for_what_runs_installs_no_airflow(world: World) -> None:
    result = world.run("standalone", "logs", "-f", "api server")
    assert (result.returncode, result.stdout) == (0, f"orchestrate|HOME={world.home}|airflow|logs|-f|api server|")
    assert len(world.installations()) == 1
    assert not (world.venvs / "airflow-3.3.2").exists()
    result = world.run("standalone", "run", "--", "dags", "list")
    airflow = world.venvs / "airflow-3.3.2" / "bin" / "airflow"
    assert result.stdout == f"orchestrate|HOME={world.home}|airflow|--airflow|{airflow}|run|--|dags|list|"
    assert len(world.installations()) == 2
    assert world.run("standalone", "ps").stdout == f"orchestrate|HOME={world.home}|airflow|--airflow|{airflow}|ps|"


def test_standalone_has_every_command_of_orchestrate_airflow() -> None:
    from orchestrator.cli import help_model

    (airflow,) = (command for command in help_model.read() if command.name == "airflow")
    text = (SCRIPTS / "standalone").read_text()
    (listed,) = re.findall(r"^    (attach \|[^)]*)\)", text, re.M)
    assert set(re.split(r"[|\s\\]+", listed)) >= set(airflow.commands)


def test_standalone_works_through_a_symbolic_link(world: World, tmp_path: Path) -> None:
    (world.tools / "linked").symlink_to(world.scripts / "standalone")
    (world.scripts / "linked").symlink_to(world.tools / "linked")
    result = world.run("linked")
    assert result.returncode == 0, result.stderr
    assert (world.venvs / "orchestrate").is_dir()


def test_a_second_run_starts_no_python_and_no_installation(world: World) -> None:
    first = world.run("standalone")
    assert len(world.installations()) == 2
    world.log.write_text("")
    second = world.run("standalone")
    assert (second.returncode, second.stdout, second.stderr) == (0, first.stdout, IN_ANOTHER_TERMINAL.format(world))
    assert world.calls() == []


def test_airflow_env_prints_the_path_alone(world: World, tmp_path: Path) -> None:
    path = tmp_path / "some where" / "airflow-3.3.2"
    for _ in range(2):
        result = world.run("airflow-env", "3.3.2", ORCHESTRATE_VENVS=str(path.parent))
        assert (result.returncode, result.stdout) == (0, f"{path}\n")
    assert len(world.installations()) == 1
    assert not world.venvs.exists()


def test_a_relative_directory_is_made_absolute(world: World, tmp_path: Path) -> None:
    relative = os.path.relpath(tmp_path / "venvs", "/")
    result = world.run("airflow-env", "3.3.2", ORCHESTRATE_VENVS=relative)
    assert result.stdout == f"/{relative}/airflow-3.3.2\n"


def test_installations_demand_hashes(world: World) -> None:
    world.run("airflow-env", "3.3.2")
    [installation] = world.installations()
    lock = world.scripts / "locks" / "airflow-3.3.2.txt"
    assert installation.endswith(f"--require-hashes --requirement {lock}")


def test_the_checkout_is_installed_with_the_tested_versions(world: World) -> None:
    world.run("standalone")
    constraints = world.venvs / "orchestrate" / "constraints.txt"
    assert constraints.read_text().strip() == "odd==1.2 ; python_full_version < '3.11'"
    assert world.installations()[0].endswith(f"--constraint {constraints} --editable {world.checkout}")


def test_a_changed_lock_makes_the_environment_anew(world: World) -> None:
    world.run("airflow-env", "3.3.2")
    leftover = world.venvs / "airflow-3.3.2" / "leftover"
    leftover.touch()
    world.write_lock("3.3.2", "# python: 3.10-3.99\n# changed\n")
    assert world.run("airflow-env", "3.3.2").returncode == 0
    assert len(world.installations()) == 2
    assert not leftover.exists()


@pytest.mark.parametrize("name", ["setup.cfg", "setup.py", "pyproject.toml"])
def test_changed_metadata_installs_orchestrate_anew_and_airflow_not(world: World, name: str) -> None:
    world.run("standalone")
    (world.checkout / name).write_text("# changed\n")
    assert world.run("standalone").returncode == 0
    assert ["--editable" in call for call in world.installations()] == [True, False, True]


def test_a_moved_checkout_makes_its_environments_anew(world: World) -> None:
    world.run("airflow-env", "3.3.2")
    moved = world.checkout.rename(world.checkout.parent / "moved")
    world.scripts = moved / "scripts"
    assert world.run("airflow-env", "3.3.2").stdout == f"{moved}/.venv/airflow-3.3.2\n"
    assert len(world.installations()) == 2


def test_an_environment_whose_python_is_gone_is_made_anew(world: World) -> None:
    world.run("airflow-env", "3.3.2")
    python = world.venvs / "airflow-3.3.2" / "bin" / "python"
    python.unlink()
    python.symlink_to(world.tools / "gone")
    assert world.run("airflow-env", "3.3.2").returncode == 0
    assert len(world.installations()) == 2


def test_a_failed_installation_leaves_nothing(world: World) -> None:
    result = world.run("airflow-env", "3.3.2", FAKE_PIP_FAILS="1")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith("airflow-env: cannot make ")
    assert not (world.venvs / "airflow-3.3.2").exists()
    assert world.run("airflow-env", "3.3.2").returncode == 0


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Two named pipes: an installation says in `started` that it has begun, and ends when it reads from `go`."""
    path = tmp_path / "gate"
    path.mkdir()
    os.mkfifo(path / "started")
    os.mkfifo(path / "go")
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_is_made_good_by_the_next(world: World, gate: Path, number: int) -> None:
    with world.start("airflow-env", "3.3.2", FAKE_GATE=str(gate)) as interrupted:
        assert (gate / "started").read_text() == "started\n"
        os.killpg(interrupted.pid, number)
        out, _ = interrupted.communicate()
    assert interrupted.returncode != 0
    assert out == ""
    result = world.run("airflow-env", "3.3.2")
    assert result.returncode == 0, result.stderr
    assert len(world.installations()) == 2
    assert "waiting" not in result.stderr


def test_of_two_runs_at_once_one_installs_and_the_other_waits(world: World, gate: Path) -> None:
    with world.start("airflow-env", "3.3.2", FAKE_GATE=str(gate)) as first:
        assert (gate / "started").read_text() == "started\n"
        with world.start("airflow-env", "3.3.2") as second:
            assert second.stderr is not None
            assert "waiting for another run" in second.stderr.readline()
            (gate / "go").write_text("\n")
            answers = [process.communicate()[0] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0]
    assert answers == [f"{world.venvs}/airflow-3.3.2\n"] * 2
    assert len(world.installations()) == 1


def test_uv_is_used_where_there_is_one_and_pip_where_it_fails(world: World) -> None:
    uv = world.tools / "uv"
    uv.write_text('#!/bin/sh\necho "uv $*" >>"$FAKE_LOG"\nexit "${FAKE_UV-0}"\n')
    uv.chmod(0o755)
    assert world.run("airflow-env", "3.3.2").returncode == 0
    assert world.installations() == []
    world.write_lock("3.3.2", "# python: 3.10-3.99\n# changed\n")
    result = world.run("airflow-env", "3.3.2", FAKE_UV="2")
    assert result.returncode == 0
    assert "airflow-env: uv could not install airflow-3.3.2.txt: trying pip" in result.stderr
    assert len(world.installations()) == 1
    calls = [call for call in world.calls() if call.startswith("uv ")]
    assert ["--require-hashes" in call for call in calls] == [True, True]


def test_an_environment_by_a_real_python_and_a_blank_in_its_path(world: World) -> None:
    """The function other scripts use, with a real Python and an installer of the caller's."""
    script = world.scripts / "make"
    script.write_text(
        '#!/bin/sh\nset -eu\nscripts=${0%/*} me=make\n. "$scripts/common.sh"\n'
        'note() { printf "%s|" "$@" >"$1/noted"; }\nmake_venv real 3.10- note one "two three"\necho "$venv"\n'
    )
    script.chmod(0o755)
    for _ in range(2):
        result = world.run("make", PYTHON=sys.executable)
        assert (result.returncode, result.stdout) == (0, f"{world.venvs}/real\n"), result.stderr
    assert (world.venvs / "real" / "noted").read_text() == f"{world.venvs}/real|one|two three|"
    python = world.venvs / "real" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "--version"], check=True, capture_output=True)


def test_each_airflow_has_its_lock_file() -> None:
    names = {path.name for path in LOCKS}
    versions = {"2.6.3", "2.11.2", "3.0.6", "3.1.8", "3.3.2"}
    assert names == {
        "test.txt",
        "pip.txt",
        "lowest.txt",
        "example-django.txt",
        "example-fastapi.txt",
        *(f"airflow-{version}.txt" for version in versions),
    }


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_file_has_hashes_and_no_url(path: Path) -> None:
    text = path.read_text()
    assert re.search(r"^# python: 3\.\d+-(3\.\d+)?$", text, re.M)
    assert "//" not in text
    requirement = re.compile(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+( ; [^\\]+?)?(\s+--hash=sha256:[0-9a-f]{64})+")
    lines = text.replace("\\\n", "").splitlines()
    unlike = [line for line in lines if not line.startswith("#") and not requirement.fullmatch(line)]
    assert unlike == []


@pytest.mark.parametrize("version", ["2.6.3", "2.11.2", "3.0.6", "3.1.8", "3.3.2"])
def test_a_lock_file_has_the_airflow_it_is_named_after(version: str) -> None:
    assert f"\napache-airflow=={version} " in (SCRIPTS / "locks" / f"airflow-{version}.txt").read_text()


def test_the_test_lock_has_all_that_orchestrate_depends_on() -> None:
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(REPOSITORY / "setup.cfg")
    needed = set(re.findall(r"^([\w.-]+)", setup["options"]["install_requires"], re.M))
    locked = set(re.findall(r"^([\w.-]+)", (SCRIPTS / "locks" / "test.txt").read_text(), re.M))
    assert needed <= locked


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck")
@pytest.mark.parametrize("script", ["standalone", "airflow-env", "lock", "common.sh"])
def test_the_scripts_are_clean_posix_sh(script: str) -> None:
    result = subprocess.run(["shellcheck", "-x", SCRIPTS / script], check=False, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "")
