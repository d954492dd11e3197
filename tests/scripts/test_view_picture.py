"""The picture of the view: drawn from a real run, small, and of both themes."""

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from harness import Run, environment

ROOT = Path(__file__).resolve().parents[2]
PICTURES = sorted((ROOT / "orchestrator" / "manual").glob("view-*.svg"))


def words(path):
    return " ".join(element.text or "" for element in ET.parse(path).iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_the_picture_is_small_and_shows_the_view(path):
    assert len(PICTURES) == 2
    assert path.stat().st_size < 300_000
    for word in ("NAME", "GET", "failed: exited with status 3", "asks Deploy?", "attach"):
        assert word in words(path)


@pytest.mark.scripts
def test_the_script_draws_it_again(tmp_path):
    pytest.importorskip("pyte")
    run = Run([sys.executable, ROOT / "scripts" / "view-picture", "--into", tmp_path], env=environment())
    assert run.wait(120) == 0, str(run)
    assert run.survivors(10) == []
    assert re.search(r"/orders/\d+", words(tmp_path / "view-dark.svg"))
