"""Measures the coverage of this process and of those it forks, also of those that end without exit handlers.

COVERAGE_RCFILE names the configuration, COVERAGE_FILE the data file; each process writes one of its own.
"""

import os
import signal
import sys
import warnings

import coverage


def measure():
    """Start, and save what was measured at each of the ends of a process that no exit handler sees; return `save`."""
    measured = coverage.Coverage(data_suffix=True, config_file=os.environ["COVERAGE_RCFILE"])
    measured.start()

    def save():
        """Save what was measured so far; say what keeps it from that, and never raise: a fork of a test that does not
        exit here would go on with the other tests."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                measured.save()
        except Exception as error:  # noqa: BLE001 - whatever it is, the process has to end
            print(f"coverage of pid {os.getpid()} is lost: {error!r}", file=sys.stderr)

    def saving(ends):
        def save_first(*arguments, **keywords):
            save()
            return ends(*arguments, **keywords)

        return save_first

    for module, name in ((os, "_exit"), (os, "execve"), (os, "execv"), (signal, "raise_signal")):
        setattr(module, name, saving(getattr(module, name)))
    return save
