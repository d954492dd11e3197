"""`orchestrate import`: the definition of another tool, converted to orchestrate.toml."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from orchestrator.cli import definition_writer, links
from orchestrator.cli.commands.init import summary
from orchestrator.cli.location import TOML
from orchestrator.config.encoding import as_utf8
from orchestrator.config.importers import formats
from orchestrator.config.importers.draft import render
from orchestrator.model.errors import ConfigError
from orchestrator.terminal.escapes import printable_lines


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """The options of `import`: the file of another tool, and the file to write."""

    source: str
    output: str | None = None
    directory: str | None = None
    print: bool = False


def run(options: ImportOptions) -> int:
    """Convert a file, and list on standard error what has no counterpart. Raises ConfigError, OrchestrateError."""
    base = Path(options.directory or ".")
    source = base / options.source
    text = _read(source)
    target = base / options.output if options.output else source.parent / TOML
    draft = formats.convert(text, source.name, definition_writer.look_around(source.parent))
    if options.output:
        draft.rebase(os.path.relpath(source.parent, target.parent))
    written = render(draft)
    if not options.print:
        definition_writer.write_new(target, written)
    for loss in sorted(draft.losses, key=lambda loss: loss.line):
        place = f"{source}:{loss.line}" if loss.line else str(source)
        print(f"orchestrate: {printable_lines(f'{place}: {loss.key}: {loss.text}')}", file=sys.stderr)
    if options.print:
        print(written, end="")
        return 0
    print(links.linked(f"wrote {target}: {summary(draft)}"))
    here = "" if target.name == TOML and target.parent == base else f" -f {target}"
    print(f"next: read it, then run `orchestrate{here} check` and `orchestrate{here}`")
    return 0


def _read(source: Path) -> str:
    try:
        return as_utf8(source.read_bytes()).decode("utf-8", "replace")
    except FileNotFoundError:
        raise ConfigError([f"cannot read {source}: no such file"]) from None
    except IsADirectoryError:
        raise ConfigError([f"cannot read {source}: it is a directory"], "name a file in it") from None
    except OSError as error:
        raise ConfigError([f"cannot read {source}: {(error.strerror or str(error)).lower()}"]) from None
