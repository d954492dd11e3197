"""Durations: seconds, or numbers with units, in definitions and options."""

import pytest
from definitions import STAY, Directory, component
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli import parser
from orchestrator.config.units import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5),
        ("1m30s", 90),
        ("1m 30s", 90),
        ("90 s", 90),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("500ms", 0.5),
        ("1d2h3m4s5ms", 93784.005),
        ("0s", 0),
    ],
)
def test_units(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "5x", "30s1m", "1s1s", "-1s", "5S", "٥s", "1e3s", " 5s", "1,5s"])
def test_what_is_no_duration(text):
    assert parse_duration(text) is None


@given(st.text(alphabet="0123456789.dhms é", max_size=12))
def test_any_text_is_read_or_refused(text):
    seconds = parse_duration(text)
    assert seconds is None or seconds >= 0


@pytest.fixture
def here(tmp_path):
    return Directory(tmp_path).write(component("web", STAY, 'stop = { timeout = "2s" }'))


@pytest.mark.parametrize("value", ["7", "7s", "7000ms"])
def test_the_grace_period_takes_units(value, here):
    assert parser.parse(["-t", value]).timeout == 7
    assert parser.parse(["wait", "--timeout", value]).limit == 7
    assert "web" in here.output("check", env={"ORCHESTRATE_TIMEOUT": value})
    assert "invalid duration 'soon'" in here.output("check", env={"ORCHESTRATE_TIMEOUT": "soon"}, status=2)


def test_wait_takes_units_and_leaves_names_alone(here):
    run = here.run("up", "-d", "--wait", "20s", "web")
    assert run.wait() == 0, str(run)
    here.output("wait", "--ready", "--timeout", "1m")
    here.output("down")


@pytest.mark.parametrize("words", [["-t", "soon"], ["-t", "2d"], ["--wait=1x"], ["-t=-1s"]])
def test_a_wrong_option_is_told_with_an_example(words, here):
    assert "expected seconds up to 86400, or 5s, 1m30s" in here.output("up", *words, status=2)


def test_a_wrong_key_is_told_with_an_example(here):
    here.write(component("web", STAY, 'stop = { timeout = "soon" }'))
    assert here.output("check", status=2) == (
        "orchestrate: orchestrate.toml:3: components.web.stop.timeout: must be a number of seconds from 0 to 86400,"
        " or a string such as \"1m30s\", not 'soon'\n"
    )
