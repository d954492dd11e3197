"""How many examples a property test draws, and how long a flood is: a tenth in a plain pytest.

scripts/test sets ORCHESTRATE_ALL_EXAMPLES on its first Python. On the others it sets ORCHESTRATE_EXAMPLES to a divisor:
floods are whole there too.
"""

import os

ALL = "ORCHESTRATE_ALL_EXAMPLES" in os.environ
IS_WHOLE = ALL or "ORCHESTRATE_EXAMPLES" in os.environ
SHARE = 1 if ALL else int(os.environ.get("ORCHESTRATE_EXAMPLES", "10"))


def examples(count):
    """Return `count`, or its share."""
    return max(min(count, 10), count // SHARE)


def flood(size):
    """Return the size of a flood, or its share: for tests of what takes time in proportion."""
    return size if IS_WHOLE else size // SHARE
