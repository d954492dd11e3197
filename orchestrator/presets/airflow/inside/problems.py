"""Problems that keep a worker from starting, collected so that all are reported at once."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping

from . import diagnosis

REACH = "see that the first host was started with --listen ADDRESS, and that no firewall is between the hosts"
PASSWORD = re.compile(r"://[^:@/]*:([^@]+)@")


class Problems:
    """Problems in the order in which they were found, each with a hint, which may be empty. `hidden` are texts to mask:
    some libraries put a URL with its password into their exceptions."""

    def __init__(self, hidden: Iterable[str] = ()) -> None:
        self.found: list[tuple[str, str]] = []
        self._hidden = sorted(hidden, key=len, reverse=True)

    def add(self, text: str, hint: str = "") -> None:
        """Add a problem."""
        for secret in self._hidden:
            text = text.replace(secret, "***")
        self.found.append((text, hint))

    def add_server(self, what: str, error: BaseException) -> None:
        """Add that a server does not answer, or that the package of its client is missing."""
        for cause in diagnosis.causes(error):
            if isinstance(cause, ModuleNotFoundError) and cause.name:
                package = diagnosis.DRIVERS.get(cause.name.partition(".")[0], cause.name)
                text = f"{what} needs the Python package {package}, which is not in {sys.prefix}"
                self.add(text, f"{sys.executable} -m pip install '{package}'")
                return
        self.add(f"{what} does not answer: {diagnosis.reason(error)}", REACH)

    def print(self) -> None:
        """Print the problems. Print a hint that consecutive problems share once, after the last of them."""
        for index, (text, hint) in enumerate(self.found):
            print(f"cannot start worker: {text}", flush=True)
            if hint and (index + 1 == len(self.found) or self.found[index + 1][1] != hint):
                print(f"hint: {hint}", flush=True)


def secrets_of(environ: Mapping[str, str]) -> set[str]:
    """Return the secrets among Airflow's variables: keys, and passwords in URLs."""
    found = set()
    for name, value in environ.items():
        if name.startswith("AIRFLOW__"):
            found |= {value} if name.endswith("_KEY") else set(PASSWORD.findall(value))
    return {secret for secret in found if len(secret) > 5}
