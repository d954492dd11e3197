"""Reads the .env files of one start, each file once: a pipe, such as `-e <(command)`, gives its content only once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.config.diagnostics import Place, Report
from orchestrator.config.encoding import as_utf8

if TYPE_CHECKING:
    from orchestrator.config.environment import Layers


class EnvFiles:
    """A cache of the files that were read, by path and by inode. It lasts as long as the system, because `scale` reads
    them later."""

    def __init__(self) -> None:
        self._by_path: dict[str, bytes] = {}
        self._by_inode: dict[tuple[int, int], bytes] = {}

    def add(
        self, layers: Layers, path: str, wanted_by: Place | str, report: Report, *, required: bool = True
    ) -> Layers:
        """Return the layers with the variables of one more file; `wanted_by` is the place that names it. A file that is
        not `required` may be missing."""
        from orchestrator.config import dotenv

        try:
            text = self._read(path).decode("utf-8", "surrogateescape")
        except (FileNotFoundError, NotADirectoryError) as error:
            if required:
                report.problem(wanted_by, f"cannot read {path}: {str(error.strerror).lower()}")
            return layers
        except (OSError, ValueError) as error:
            reason = str(getattr(error, "strerror", None) or error).lower()
            report.problem(wanted_by, f"cannot read {path}: {reason}")
            return layers
        assignments, problems = dotenv.parse(text, path)
        report.problems += problems
        return layers.with_file(path, assignments, report)

    def _read(self, path: str) -> bytes:
        full = os.path.abspath(path)
        if full in self._by_path:
            return self._by_path[full]
        status = os.stat(full)
        inode = status.st_dev, status.st_ino
        if inode not in self._by_inode:
            self._by_inode[inode] = as_utf8(Path(full).read_bytes())
        self._by_path[full] = self._by_inode[inode]
        return self._by_path[full]
