"""How many examples a property test draws, how long a flood is, and which tests are run.

A plain pytest draws a tenth. scripts/test sets ORCHESTRATE_ALL_EXAMPLES on its first Python. On the others it sets
ORCHESTRATE_EXAMPLES to a divisor (floods are whole there too), and ORCHESTRATE_TESTS_PART to `1/3` or `2/3`: each of
them runs the unit tests, and the same third of the other tests every time.
"""

import os
import zlib

ALL = "ORCHESTRATE_ALL_EXAMPLES" in os.environ
IS_WHOLE = ALL or "ORCHESTRATE_EXAMPLES" in os.environ
PART = os.environ.get("ORCHESTRATE_TESTS_PART", "1/1")
SHARE = 1 if ALL else int(os.environ.get("ORCHESTRATE_EXAMPLES", "10"))


def examples(count):
    """Return `count`, or its share."""
    return max(min(count, 10), count // SHARE)


def flood(size):
    """Return the size of a flood, or its share: for tests of what takes time in proportion."""
    return size if IS_WHOLE else size // SHARE


def is_in_part(name, part=PART):
    """Return whether the test of this name (its node id) is run, if only `part` of them are."""
    number, _, count = part.partition("/")
    return name.startswith("tests/unit/") or zlib.crc32(name.encode()) % int(count) == int(number) - 1
