"""The log files of a home, read by hand."""

import re

STAMP = re.compile(rb"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ", re.MULTILINE)


def logs(home):
    return home.path / ".orchestrate" / "logs"


def parts(directory, name="web"):
    """The files of one log, the oldest first."""
    return sorted(
        directory.glob(f"{name}.log*"), key=lambda path: -int(path.suffix[1:] if path.suffix != ".log" else 0)
    )


def text(directory, name="web"):
    return STAMP.sub(b"", b"".join(part.read_bytes() for part in parts(directory, name)))


def log_of(home, name):
    """The log of an instance, with the older parts, without timestamps."""
    return text(logs(home), name)
