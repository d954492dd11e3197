"""`scripts/build`: the files of a release, the same bytes each time, and a single file that a bare Python runs."""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from harness import Run, environment

from orchestrator import __version__
from orchestrator.cli import help_model
from orchestrator.cli.commands import completion, man

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.scripts


def build(directory):
    subprocess.run([sys.executable, ROOT / "scripts" / "release.py", directory], check=True)
    return {path.name: path for path in directory.iterdir()}


def digests(files):
    """Of the files by name: pytest would compare megabytes of different bytes for minutes."""
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return build(tmp_path_factory.mktemp("release"))


def test_a_second_build_gives_the_same_bytes(release, tmp_path):
    assert digests(build(tmp_path)) == digests(release)
    assert sorted(release) == [
        f"orchestrate-{__version__}-py3-none-any.whl", f"orchestrate-{__version__}.tar.gz", "orchestrate.pyz"
    ]  # fmt: skip


def test_the_wheel_has_manual_schema_and_shared_files(release):
    with zipfile.ZipFile(release[f"orchestrate-{__version__}-py3-none-any.whl"]) as wheel:
        names = set(wheel.namelist())
        share = f"orchestrate-{__version__}.data/data/share"
        assert wheel.read(f"{share}/man/man1/orchestrate.1").decode() == man.page(help_model.read()) + "\n"
        assert wheel.read(f"{share}/bash-completion/completions/orchestrate").decode() == completion.BASH + "\n"
        assert wheel.read(f"{share}/zsh/site-functions/_orchestrate").decode() == completion.ZSH + "\n"
        assert wheel.read(f"{share}/fish/vendor_completions.d/orchestrate.fish").decode() == completion.FISH + "\n"
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "orchestrator").rglob("*")
        if path.suffix in (".py", ".json", ".typed") or path.parent.name == "manual"
    }
    assert package <= names
    assert not [name for name in names if name.startswith("tests")]


def test_a_wheel_can_be_built_from_the_source_distribution(release):
    with tarfile.open(release[f"orchestrate-{__version__}.tar.gz"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "orchestrator/py.typed"} <= names


@pytest.fixture
def single(release, tmp_path):
    """Run orchestrate.pyz with a Python that has no installed packages."""

    def start(*words):
        command = [sys.executable, "-I", "-S", release["orchestrate.pyz"], *words]
        return Run(command, cwd=tmp_path, terminal=True, env=environment(PAGER="cat", HOME=str(tmp_path)))

    return start


def test_the_single_file_runs_a_system_on_a_bare_python(single, tmp_path):
    (tmp_path / "Procfile").write_text("web: test -t 1 && echo on a terminal; exec sleep 300\n")
    run = single("up")
    run.wait_for(r"^web +\| on a terminal$")
    ps = single("ps")
    assert ps.wait() == 0
    assert "web" in ps.text
    run.stop()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["version"], f"orchestrate {__version__}"),
        (["help", "readiness"], "ready"),
        (["config", "--schema"], "json-schema.org"),
        (["completion", "zsh"], "#compdef orchestrate"),
        (["man"], ".TH ORCHESTRATE 1"),
        (["init", "--print"], "#:schema"),
        (["doctor"], "packages      pexpect"),
    ],
)
def test_the_single_file_has_what_belongs_to_the_package(single, words, text):
    run = single(*words)
    assert run.wait() == 0, str(run)
    assert text in run.text


def test_the_single_file_gives_airflow_its_programs(release, tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from orchestrator.presets.airflow import programs\n"
        "print(programs.command('python', 'prepare')[1])"
    )
    for _ in range(2):
        run = Run(
            [sys.executable, "-I", "-S", "-c", code, release["orchestrate.pyz"]],
            env=environment(HOME=str(tmp_path)),
        )
        assert run.wait() == 0, str(run)
        folder = Path(run.text.strip())
        assert folder.is_relative_to(tmp_path / ".cache" / "orchestrate")
        source = ROOT / "orchestrator" / "presets" / "airflow" / "inside"
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
            path.name: path.read_bytes() for path in source.glob("*.py")
        }
