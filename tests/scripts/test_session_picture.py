"""The picture of the README: recorded from a real run, small, and of both themes."""

import re
import shutil
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from harness import Run, environment

ROOT = Path(__file__).resolve().parents[2]
PICTURES = sorted((ROOT / "orchestrator" / "manual").glob("session-*.svg"))


def words(path):
    return " ".join(element.text or "" for element in ET.parse(path).iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_the_picture_is_small_and_tells_the_story(path):
    assert path.stat().st_size < 300_000
    for word in ("orchestrate why web", "exited with status 1", "is waiting for input", "Complete", "nothing left"):
        assert word in words(path)
    assert f"manual/{path.name}" in (ROOT / "README.md").read_text()


@pytest.mark.scripts
@pytest.mark.skipif(not shutil.which("tmux"), reason="no tmux here")
def test_the_script_records_it_again(tmp_path):
    run = Run([sys.executable, ROOT / "scripts" / "session-picture", "--into", tmp_path], env=environment())
    assert run.wait(120) == 0, str(run)
    assert run.survivors(10) == []
    seconds = float(re.search(r"([\d.]+) s", run.text)[1])
    assert 10 < seconds < 30
    assert "nothing left" in words(tmp_path / "session-dark.svg")
