"""Filters the bytes of a component that may reach the merged screen.

A component owns its pty and may send anything to it; the merged screen is shared. So of all escape sequences
(ECMA-48) only SGR (colors) and hyperlinks (OSC 8) pass; cursor movement, clear screen, titles, clipboard, device
queries and mode changes do not. A sequence never extends past the end of its line, so an unterminated one cannot
swallow what follows; CAN and SUB end one too. Bytes that are not UTF-8, and C1 controls hidden in it, are shown as
U+FFFD: some terminals take a bare 0x9b for CSI.

Foreign text is also made safe for our messages: characters that could control a terminal are shown as U+FFFD.

Those are the C0 and C1 controls and DEL: ESC begins a sequence, as U+009B does in some terminals, and ENQ is answered.
"""

from __future__ import annotations

import re

from orchestrator.terminal.sgr import SGR, open_style

ESC = b"\x1b"
SEQUENCE_MAX = 4096  # bytes of an incomplete sequence that are held back

# A URI is printable ASCII (OSC 8 proposal): a control character in it could end the sequence early.
LINK = re.compile(rb"\x1b\]8;[ -~]{0,4000}(?:\x07|\x1b\\)")

# One alternative a class of ECMA-48, each also in the form that the end of the line cut off. The parameter runs are
# bounded by their byte classes, so the expression is linear in the length of the line.
_REST = (
    rb"(?:"
    rb"\[[0-?]*[ -/]*(?:[@-~]|$)?"  # CSI
    rb"|[\]PX^_][^\x07\x18\x1a\x1b]*(?:\x07|\x1b\\)?"  # OSC, DCS, SOS, PM, APC: strings
    rb"|[ -/]+[0-~]?"  # nF: character sets
    rb"|[0-Z\\^-~]"  # Fp, Fe, Fs
    rb"|$)?"
)
ANY = re.compile(rb"\x1b" + _REST)
_ALL_BUT_SGR = re.compile(rb"\x1b(?!" + SGR.pattern.removeprefix(rb"\x1b") + rb")" + _REST)

# All C0 controls but TAB, and DEL: BEL would ring, SO and SI would switch the character set of the whole screen.
CONTROLS = bytes(b for b in range(32) if b != 9) + b"\x7f"
_CONTROLS_BUT_ESC = CONTROLS.replace(ESC, b"")

C1 = re.compile("[\x80-\x9f]")
LINK_BEGIN = b"\x1b]8;"
RESET = b"\x1b[m"
LINK_END = b"\x1b]8;;\x1b\\"
_NO_LINK = re.compile(rb"\x1b\]8;[^;]*;(?:\x07|\x1b\\)")
JOINER = "\u200d".encode()
_LOOSE_JOINERS = re.compile(rb"(?<!%b)(?:%b)+(?=(?:%b|%b)*\r?(?:\n|\Z))" % (JOINER, JOINER, SGR.pattern, LINK.pattern))


def keep_colors(line: bytes) -> bytes:
    """Remove every escape sequence but SGR and hyperlinks, and all other control characters but TAB."""
    if ESC in line:
        if LINK_BEGIN in line:  # their ends are control characters too
            return b"".join(_clean_between(ANY.sub(_allowed, line)))
        line = _ALL_BUT_SGR.sub(b"", line)
    return _clean(line, _CONTROLS_BUT_ESC)


def drop_loose_joiners(shown: bytes) -> bytes:
    """Remove each zero width joiner at the end of a line that is drawn; it joins nothing there.

    Fact: tmux 3.3 joins it with what is drawn next, wherever that is, and loses a character of it.
    """
    return _LOOSE_JOINERS.sub(b"", shown) if JOINER in shown else shown


def no_escapes(line: bytes) -> bytes:
    """Remove every escape sequence; all other bytes stay as they are, for a file or a pipe."""
    return ANY.sub(b"", line) if ESC in line else line


def plain(line: bytes) -> bytes:
    """Remove every escape sequence and all control characters but TAB, for a terminal without colors."""
    return _clean(no_escapes(line))


def unterminated(text: bytes) -> int:
    """Return where an escape sequence or a character begins that the end of `text` cuts off; its length for none.

    The only cut that cannot be moved is in a string (OSC, DCS, …) of more than SEQUENCE_MAX bytes: see `STRING_OPEN`.
    """
    start = max(0, len(text) - SEQUENCE_MAX)
    escape = text.rfind(ESC, start)
    if (
        escape >= 0
        and (match := ANY.match(text, escape))
        and match.end() == len(text)
        and not _COMPLETE.fullmatch(match[0])
    ):
        return escape
    for back in range(1, min(4, len(text)) + 1):
        byte = text[-back]
        if byte >= 0xC0:
            wanted = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(text) - back if wanted > back else len(text)
        if byte < 0x80:
            break
    return len(text)


STRING_OPEN = re.compile(rb"\x1b[\]PX^_][^\x07\x18\x1a\x1b]*\Z")
STRING_END = re.compile(rb"[\x07\x18\x1a]|\x1b\\?")
_COMPLETE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[0-OQ-WYZ\\`-~])")


def _allowed(match: re.Match[bytes]) -> bytes:
    sequence = match.group()
    return sequence if SGR.fullmatch(sequence) or LINK.fullmatch(sequence) else b""


def _clean_between(line: bytes) -> list[bytes]:
    pieces: list[bytes] = []
    position = 0
    for match in ANY.finditer(line):
        pieces.append(_clean(line[position : match.start()]))
        pieces.append(match.group())
        position = match.end()
    pieces.append(_clean(line[position:]))
    return pieces


def _clean(text: bytes, controls: bytes = CONTROLS) -> bytes:
    text = text.translate(None, controls)
    if text.isascii():
        return text
    return C1.sub("�", text.decode("utf-8", "replace")).encode()


def open_link(link: bytes, line: bytes) -> bytes:
    """Return the hyperlink that is open after `line`, if `link` was open before it; empty for none."""
    for match in LINK.finditer(line):
        sequence = match.group()
        link = b"" if _NO_LINK.fullmatch(sequence) else sequence
    return link


__all__ = [
    "ANY",
    "C1",
    "ESC",
    "JOINER",
    "LINK_BEGIN",
    "LINK_END",
    "RESET",
    "SEQUENCE_MAX",
    "SGR",
    "STRING_END",
    "STRING_OPEN",
    "drop_loose_joiners",
    "keep_colors",
    "no_escapes",
    "open_link",
    "open_style",
    "plain",
    "unterminated",
]

_CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), "�")
_WITHIN_LINES = {code: shown for code, shown in _CONTROLS.items() if chr(code) not in "\t\n"}


def printable_line(text: str) -> str:
    """Return the text without line ends and tabs."""
    return text.translate(_CONTROLS)


def printable_lines(text: str) -> str:
    """Return the text with its line ends and tabs kept."""
    return text.translate(_WITHIN_LINES)
