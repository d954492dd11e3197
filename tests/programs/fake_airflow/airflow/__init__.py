"""What the preparation needs of Airflow, and components that behave like Airflow's, in a second. Not Airflow's code.

Set by the test: FAKE_VERSION; FAKE_BROKEN (the migration fails); FAKE_DYING (a component that exits with
0 at once); FAKE_FLOOD (one that prints 500 lines shortly after the start);
FAKE_STALE (one whose heartbeat stays as it was).
"""

import os

__version__ = os.environ.get("FAKE_VERSION", "3.3.2")
