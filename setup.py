"""Adds the manual page and the completion scripts to the wheel. All metadata is in setup.cfg."""

import sys
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).resolve().parent
SHARE = ROOT / "build" / "share"


def shared_files() -> list[tuple[str, list[str]]]:
    """Write what is made from the command line, and return it by directory, relative to the prefix."""
    sys.path.insert(0, str(ROOT))
    from orchestrator.cli import help_model
    from orchestrator.cli.commands import completion, man

    texts = {
        "man/man1/orchestrate.1": man.page(help_model.read()),
        "bash-completion/completions/orchestrate": completion.BASH,
        "zsh/site-functions/_orchestrate": completion.ZSH,
        "fish/vendor_completions.d/orchestrate.fish": completion.FISH,
    }
    for name, text in texts.items():
        path = SHARE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    return [(f"share/{Path(name).parent}", [f"build/share/{name}"]) for name in texts]


setup(data_files=shared_files())
