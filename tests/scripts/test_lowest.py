"""The lock file of the lowest versions is what setup.cfg declares."""

import configparser
import re
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent


def test_the_lowest_versions_are_those_that_are_declared():
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    declared = dict(re.findall(r"^(\w+) *>= *([\d.]+)", setup["options"]["install_requires"], re.MULTILINE))
    assert set(declared) >= {"blessed", "filelock", "pexpect"}
    lowest = (CHECKOUT / "scripts" / "locks" / "lowest.txt").read_text()
    locked = dict(re.findall(r"^(\w+)==([\d.]+)", lowest, re.MULTILINE))
    for name, version in declared.items():
        assert re.fullmatch(rf"{re.escape(version)}(\.0)*", locked[name]), name
