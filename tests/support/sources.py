"""The package's source files, each read and parsed once for all tests that check the source."""

import ast
import functools
import gc
from pathlib import Path

import orchestrator

PACKAGE = Path(orchestrator.__file__).parent


@functools.cache
def files():
    """Every source file of the package, sorted."""
    return tuple(sorted(PACKAGE.rglob("*.py")))


@functools.cache
def parsed(path):
    """The tree of a source file."""
    gc.disable()  # all nodes are kept: to look for garbage among them takes two thirds of the time
    try:
        return ast.parse(path.read_text(encoding="utf-8"), str(path))
    finally:
        gc.enable()


@functools.cache
def nodes(path):
    """Every node of a source file, as ast.walk yields them."""
    return tuple(ast.walk(parsed(path)))
