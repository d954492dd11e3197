"""The picture of the view: drawn from a real run, small, and of both themes."""

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from harness import Run, environment

from orchestrator.ui.component_list import ComponentList
from orchestrator.ui.status_line import LIST_KEYS
from orchestrator.ui.styled_text import plain

ROOT = Path(__file__).resolve().parents[2]
PICTURES = sorted((ROOT / "orchestrator" / "manual").glob("view-*.svg"))


def words(path):
    return " ".join(element.text or "" for element in ET.parse(path).iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_the_picture_is_small_and_shows_the_view(path):
    assert len(PICTURES) == 2
    assert path.stat().st_size < 300_000
    shown = " ".join(words(path).split())
    heads = "NAME OUTPUT RST PORT CPU MEM"
    for word in (heads, "GET", "failed: exited with status 3", "asks Deploy?", *(what for _, what in LIST_KEYS[:6])):
        assert word in shown
    assert heads == " ".join(plain(ComponentList().draw(60, 3, is_focused=True)[0]).split())
    assert f"manual/{path.name}" in (ROOT / "README.md").read_text()


@pytest.mark.scripts
def test_the_script_draws_it_again(tmp_path):
    pytest.importorskip("pyte")
    run = Run([sys.executable, ROOT / "scripts" / "view-picture", "--into", tmp_path], env=environment())
    assert run.wait(120) == 0, str(run)
    assert run.survivors(10) == []
    assert re.search(r"/orders/\d+", words(tmp_path / "view-dark.svg"))
