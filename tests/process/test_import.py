"""`orchestrate import`: what it writes passes `check`, and runs as the other tool would run it."""

import shutil
from pathlib import Path

import pytest
from definitions import Directory

EXAMPLES = Path(__file__).parent.parent / "examples" / "import"


@pytest.fixture
def example(tmp_path):
    def copy(name):
        shutil.copytree(EXAMPLES / name, tmp_path / name)
        return Directory(tmp_path / name)

    return copy


LINES = {
    "process-compose/process-compose.yaml": [r"migrate +\| migrated yes hello", r"worker.2 +\| worker in bash for"],
    "mprocs/mprocs.yaml": [r"server +\| server on po\$t", r"words +\| words", r"editor +\| editor"],
    "compose/compose.yaml": [r"setup +\| set up in site", r"web +\| serving in site on \d+"],
    "supervisord/supervisord.conf": [r"web +\| 2", r"worker.1 +\| worker 00 of test", r"mask +\| 0077"],
    "overmind/.overmind.env": [r"web +\| web on \d+", r"assets +\| built", r"worker.2 +\| worker worker.2 blue"],
    "foreman/.foreman": [r"web +\| web on \d+", r"worker.2 +\| worker worker.2"],
}


@pytest.mark.parametrize("path", LINES)
def test_an_example_passes_check_and_runs(example, path):
    name, source = path.split("/")
    here = example(name)
    before = here.run("import", source)
    assert before.wait() == 0
    assert before.text.startswith("wrote orchestrate.toml: ")
    losses = (EXAMPLES / name / "losses.txt").read_text().splitlines()
    assert before.err.decode().splitlines() == [
        f"orchestrate: {source}:{line}".replace(f"{source}:0", source) for line in losses
    ]
    assert "is valid" in here.output("check", "-e", "")
    run = here.up("--any-port")
    for line in LINES[path]:
        run.wait_for(f"^{line}")
    run.stop()


def test_another_place_keeps_the_paths(example):
    here = example("foreman")
    (here.path / "out").mkdir()
    assert here.output("import", ".foreman", "-o", "out/dev.toml").startswith("wrote out/dev.toml: 2 components")
    assert 'cwd = ".."' in (here.path / "out" / "dev.toml").read_text()
    assert "is valid" in here.output("-f", "out/dev.toml", "check")
    assert "already exists" in here.output("import", ".foreman", "-o", "out/dev.toml", status=1)


def test_without_pyyaml_one_line_tells_what_to_install(example):
    here = example("compose")
    (here.path / "yaml.py").write_text("raise ImportError")
    run = here.run("import", "compose.yaml", env={"PYTHONPATH": str(here.path)})
    assert run.wait() == 2
    assert run.err.decode().splitlines() == [
        "orchestrate: cannot import compose.yaml: PyYAML is not installed",
        "hint: run `pip install 'orchestrate[yaml]'`",
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [("none.yaml", "cannot read none.yaml: no such file"), (".", "cannot read .: it is a directory")],
)
def test_a_file_that_cannot_be_read(example, name, words):
    assert example("foreman").output("import", name, status=2).startswith(f"orchestrate: {words}")
