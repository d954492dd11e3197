"""How a test that runs as root runs a command without root's privileges."""

import os
import pwd
import subprocess
import sys

import pytest

CHECK = "import orchestrator, os, sys; sys.exit(not os.access(sys.executable, os.X_OK))"


def unprivileged():
    """What stands before a command so that it may not write where root may.

    That is another user, or root without its capabilities where that user cannot reach this Python.
    """
    if os.geteuid() != 0:
        return []
    nobody = str(pwd.getpwnam("nobody").pw_uid)
    ways = [
        ["setpriv", "--reuid", nobody, "--regid", nobody, "--clear-groups"],
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all"],
    ]
    for way in ways:
        run = subprocess.run([*way, sys.executable, "-c", CHECK], capture_output=True, cwd="/", check=False)
        if run.returncode == 0:
            return way
    pytest.skip("no way to run it without privileges")
