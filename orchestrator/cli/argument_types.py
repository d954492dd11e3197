"""The types of arguments: each function reads a text, or raises ArgumentTypeError with what was expected."""

from __future__ import annotations

import argparse
import re

from orchestrator.config.units import parse_duration

DAY = 86400


def seconds(text: str) -> float:
    """Read a duration: a number of seconds, or with units."""
    value = parse_duration(text)
    if value is None:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
    if not 0 <= value <= DAY:
        raise argparse.ArgumentTypeError(f"invalid duration {text!r}: expected seconds up to {DAY}, or 5s, 1m30s")
    return value


def count(text: str) -> int:
    """Read a number of lines."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"invalid number of lines {text!r}: expected a whole number")
    return int(text)


def size(text: str) -> int:
    """Read a number of bytes, with k, M or G for thousands, millions or billions of them."""
    match = re.fullmatch(r"([0-9]{1,15})([kmg]?)b?", text.lower())
    if not match or not int(match[1]):
        raise argparse.ArgumentTypeError(f"invalid size {text!r}: expected bytes, or a number with k, M or G")
    unit: int = 1000 ** " kmg".index(match[2] or " ")
    return int(match[1]) * unit


def files(text: str) -> int:
    """Read a number of files, one at least."""
    if not re.fullmatch(r"[0-9]{1,4}", text) or not int(text):
        raise argparse.ArgumentTypeError(f"invalid number of files {text!r}: expected 1 to 9999")
    return int(text)


def starts(text: str) -> int:
    """Read a number of starts."""
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise argparse.ArgumentTypeError(f"invalid number of starts {text!r}: expected 0 to 9999")
    return int(text)


def start(text: str) -> int:
    """Read the number of a start; negative numbers count from the last one."""
    if not re.fullmatch(r"-?[0-9]{1,9}", text) or not int(text):
        raise argparse.ArgumentTypeError(f"invalid start {text!r}: expected a number, or -1 for the last, -2, ...")
    return int(text)


def workers(text: str) -> int:
    """Read a number of workers."""
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) > 1000:
        raise argparse.ArgumentTypeError(f"invalid number of workers {text!r}: expected 0 to 1000")
    return int(text)


def tasks(text: str) -> int:
    """Read a number of tasks, one at least."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"invalid number of tasks {text!r}: expected 1 to 10000")
    return int(text)


def port(text: str) -> int:
    """Read the number of a port."""
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"invalid port {text!r}: expected 1 to 65535")
    return int(text)


def speed(text: str) -> float:
    """Read the speed of a replay."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"invalid speed {text!r}: expected 0.01 to 1000")
    return value
