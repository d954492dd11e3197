"""The modes that a program has set in its terminal, derived from its output.

A terminal that attaches has none of these modes set, and must have none of them set when it detaches. Known are the DEC
private modes and ANSI modes, key encodings (modifyOtherKeys, the keyboard protocol of kitty), margins, character sets,
tab stops, the cursor's shape, colors, titles, links and everything else in `_UNDO` (ctlseqs of xterm, console_codes(4),
the documentation of kitty). A chunk may end anywhere: the beginning of a sequence is kept, up to CARRY_MAX bytes.
"""

from __future__ import annotations

import re

from orchestrator.terminal.sgr import NO_SGR

ALTERNATE = frozenset({47, 1047, 1049})
# On by default: wrapping, auto-repeat, the cursor, and what terminals agree on as good defaults.
_USUALLY_ON = frozenset({7, 8, 25, 1007, 1034, 1035, 1036, 1070})
_ANSI_USUALLY_ON = frozenset({12})
_ANSI = frozenset({2, 4, 12, 20})  # keyboard lock, insert, no local echo, LF is CR LF
_MOMENTARY = frozenset({3, 40, 2026})  # not entered: another width, output held back
_VT52, _ORIGIN, _WRAP, _FREEZE, _IN_BAND_SIZE, _WINDOWS_KEYS = 2, 6, 7, 2026, 2048, 9001
_NOT_A_MODE = frozenset({_VT52, 1048})  # 1048 saves the cursor
_REPORTING = frozenset({9, 1000, 1001, 1002, 1003, 1004, 2031, _IN_BAND_SIZE, _WINDOWS_KEYS})  # unasked
SWITCHED_MAX = 64
STACK_MAX = 8

# The bytes that undo each setting. The first ones are needed for the others to take effect.
_UNDO = {
    "vt52": b"\x1b<",
    "printer": b"\x1b[4i",
    "auto print": b"\x1b[?4i",
    "status line": b"\x1b[0$}",
    "keypad": b"\x1b>",
    "shape": b"\x1b[0 q",
    "linux cursor": b"\x1b[?0c",
    "leds": b"\x1b[0q",
    "protected": b'\x1b[0"q',
    "extent": b"\x1b[0*x",
    "locator": b"\x1b[0'z",
    "coding": b"\x1b%G",
    "c1": b"\x1b F",
    **{f"keys {number}": b"\x1b[>%dm" % number for number in range(8)},  # 4: modifyOtherKeys
    **{f"format {number}": b"\x1b[>%df" % number for number in range(8)},
    **{f"G{index}": b"\x1b%cB" % intermediate for index, intermediate in enumerate(b"()*+")},
    "link": b"\x1b]8;;\x1b\\",
    "palette": b"\x1b]104\x1b\\",
    "special colors": b"\x1b]105\x1b\\",
    **{f"color {number}": b"\x1b]11%d\x1b\\" % number for number in range(10)},  # OSC 10 to 19
    "pointer": b"\x1b]22;\x1b\\",
    "progress": b"\x1b]9;4;0\x1b\\",
}
_NOT_ENTERED = frozenset(
    {"vt52", "printer", "auto print", "status line", "link", "palette", "special colors", "pointer", "progress"}
    | {f"color {number}" for number in range(10)}
)
_SETTINGS = {b" q": "shape", b"q": "leds", b'"q': "protected", b"*x": "extent", b"$}": "status line", b"'z": "locator"}
_SOFT_RESET = frozenset({"keypad", "protected", "status line", "G0", "G1", "G2", "G3"})
_TAB_STOPS = b"\r\x1b[3g" + b"\x1b[8C\x1bH" * 32 + b"\r\x1b[?5W"  # only xterm supports the last one

CARRY_MAX = 64
_C1 = re.compile(rb"\xc2([\x80-\x9f])")  # U+009B is CSI to xterm, for one
_CHANGE = re.compile(
    rb"\x1b(?:"
    rb"\[\?(?P<modes>[0-9;]{1,60})(?P<switch>[hlsr])"
    rb"|\[(?P<ansi>[0-9;]{1,20})(?P<on>[hl])"
    rb"|\[(?P<kitty>[><=])(?P<flags>[0-9;]{0,8})u"
    rb"|\[>(?P<resource>[0-7])(?:;(?P<value>[0-9]{0,4}))?(?P<about>[mfn])"
    rb"|\[(?P<number>[0-9]{0,3})(?P<setting> q|q|\"q|\*x|\$\}|'z)"
    rb"|\[(?P<private>\??)(?P<printer>[45])i"
    rb"|\[\?(?P<cursor>[0-9]{1,3})(?:;[0-9]{1,3}){0,2}c"
    rb"|\[(?P<margins>[0-9;]{0,12})r"
    rb"|(?P<tabs>H|\[[03]?g)|\[\?(?P<usual_tabs>5W)"
    rb"|\[2(?P<stack>[23])(?:;[0-9;]{0,6})?t"
    rb"|(?P<hard>c)|\[(?P<soft>!p)|(?P<keypad>[=>])|(?P<no_vt52><)"
    rb"|(?P<set>[()*+])(?P<charset>[ -/]?[0-~])|%(?P<coding>[@G])|\x20(?P<c1>[FG])"
    rb"|\](?:(?P<title>[012]);|8;[^;\x07\x1b]{0,50};(?P<link>[\x07\x1b]|[^\x07\x1b])"
    rb"|(?P<what>4|5|1[0-9]|22|9;4);(?P<color>[^\x07\x1b]{1,8})|(?P<usual>104|105|11[0-9]|22;)(?=[\x07\x1b;]))"
    rb")"
)
_BEGUN = re.compile(rb"\x1b(?:\[[?><=!]?[0-9;:]{0,60}[ \"*$']?|\][ -~]{0,61}|[()*+% ])?\Z")
_STRING_OPEN = re.compile(rb"\x1b[\]PX^_][^\x07\x18\x1a\x1b]*\x1b?\Z")
_STRING_END = re.compile(rb"[\x07\x18\x1a]|\x1b[^\x1b]|\\")


class Modes:
    """Tracks the modes of a terminal from its output, and returns how another terminal enters and leaves them."""

    __slots__ = (
        "_ansi",
        "_carry",
        "_in_string",
        "_is_cut",
        "_kitty",
        "_saved",
        "_set",
        "_switched",
        "is_inside",
        "margins",
        "tabs",
        "titles",
    )

    def __init__(self) -> None:
        self._carry = b""
        self._in_string = False
        self.is_inside = False  # whether the next chunk may continue a sequence
        self._is_cut = False  # whether the chunk ended with the first byte of what may be a C1 control
        self._forget()

    def _forget(self) -> None:
        self._switched: set[int] = set()  # private modes that differ from the default
        self._saved: dict[int, bool] = {}
        self._ansi: set[int] = set()
        self._set: dict[str, bytes] = {}  # changed settings of _UNDO, and the bytes that set them
        self._kitty: dict[bool, list[bytes]] = {False: [b""], True: [b""]}  # by screen; the first is not on the stack
        self.margins = b""  # top and bottom, as the program has set them
        self.tabs = False  # whether the tab stops have changed
        self.titles = 0  # titles that the program has saved

    def feed(self, chunk: bytes) -> bool:
        """Take a chunk of output. Return whether it has sequences other than SGR; without them it costs one search.

        A chunk without ESC and without the first byte of a C1 control need not be fed unless `is_inside`.
        """
        escapes = self._feed(chunk)
        self.is_inside = bool(self._carry) or self._in_string or self._is_cut
        return escapes

    def _feed(self, chunk: bytes) -> bool:
        if self._is_cut or b"\xc2" in chunk:
            chunk = self._without_c1(chunk)
        if self._in_string:
            self._in_string = not _STRING_END.search(chunk)
        if self._carry:
            chunk, self._carry = self._carry + chunk, b""
        if b"\x1b" not in chunk or not NO_SGR.search(chunk):
            return False
        for match in _CHANGE.finditer(chunk):
            self._change(match)
        if begun := _BEGUN.search(chunk, max(0, len(chunk) - CARRY_MAX)):
            self._carry = begun.group()
        if not self._in_string or b"\x1b" in chunk:
            self._in_string = bool(_STRING_OPEN.search(chunk, max(0, chunk.rfind(b"\x1b", 0, -1))))
        return True

    def _without_c1(self, chunk: bytes) -> bytes:
        """Return a chunk with ESC sequences for the C1 controls, which are U+0080 to U+009F."""
        if self._is_cut:
            chunk = b"\xc2" + chunk
        self._is_cut = chunk.endswith(b"\xc2")
        return _C1.sub(lambda control: bytes((0x1B, control[1][0] - 0x40)), chunk[: len(chunk) - self._is_cut])

    def _change(self, match: re.Match[bytes]) -> None:
        match match.lastgroup:
            case "switch":
                self._change_private([int(n) for n in match["modes"].split(b";") if n], match["switch"])
            case "on":
                for number in {int(n) for n in match["ansi"].split(b";") if n} & _ANSI:
                    _put(self._ansi, number, on=(match["on"] == b"h") is not (number in _ANSI_USUALLY_ON))
            case "flags":
                self._change_kitty(match["kitty"], match["flags"])
            case "about":
                self._change_keys(match)
            case "setting":
                self._note(_SETTINGS[match["setting"]], match, on=bool(match["number"].strip(b"0")))
            case "printer":
                self._note("auto print" if match["private"] else "printer", match, on=match["printer"] == b"5")
            case "cursor":
                self._note("linux cursor", match, on=bool(match["cursor"].strip(b"0")))
            case "margins":
                self.margins = match["margins"].strip(b";")
            case "tabs" | "usual_tabs":
                self.tabs = match.lastgroup == "tabs"
            case "stack":
                self.titles = min(self.titles + 1, STACK_MAX) if match["stack"] == b"2" else max(self.titles - 1, 0)
            case "hard":
                self._forget()
            case "soft":
                self._reset()
            case "keypad":
                self._note("keypad", match, on=match["keypad"] == b"=")
            case "no_vt52":
                self._set.pop("vt52", None)
            case "charset":
                self._note(f"G{b'()*+'.index(match['set'])}", match, on=match["charset"] != b"B")
            case "coding":
                self._note("coding", match, on=match["coding"] == b"@")
            case "c1":
                self._note("c1", match, on=match["c1"] == b"G")
            case "title":
                self.titles = max(self.titles, 1)  # the caller has saved the title before, see `saves_title`
            case "link":
                self._note("link", match, on=match["link"] not in b"\x07\x1b")
            case "color":
                self._change_color(match)
            case "usual":
                self._set.pop(_name_of_color(match["usual"]), None)

    def _change_private(self, numbers: list[int], what: bytes) -> None:
        for number in numbers:
            if what == b"s":
                if len(self._saved) < SWITCHED_MAX:
                    self._saved[number] = self.is_on(number)
            elif what != b"r" or number in self._saved:
                self._switch(number, on=self._saved[number] if what == b"r" else what == b"h")

    def _switch(self, number: int, *, on: bool) -> None:
        if number == _VT52 and not on:
            self._set["vt52"] = b"\x1b[?2l"
        elif number not in _NOT_A_MODE and (len(self._switched) < SWITCHED_MAX or number in self._switched):
            _put(self._switched, number, on=on is not (number in _USUALLY_ON))

    def _change_kitty(self, what: bytes, flags: bytes) -> None:
        stack = self._kitty[self.alternate]
        number, _, how = flags.partition(b";")
        if what == b">":
            stack[1:] = [*stack[1:][1 - STACK_MAX :], number or b"0"]
        elif what == b"<":
            del stack[max(1, len(stack) - max(1, int(number or 1))) :]
        else:
            new, old = int(number or 0), int(stack[-1] or 0)
            combined = old | new if how == b"2" else old & ~new if how == b"3" else new
            stack[-1] = b"%d" % combined if combined or len(stack) > 1 else b""

    def _change_keys(self, match: re.Match[bytes]) -> None:
        number, value = int(match["resource"]), match["value"]
        if match["about"] == b"f":
            self._note(f"format {number}", match, on=bool((value or b"").strip(b"0")))
        else:  # n disables the resource, which is not the default either
            self._note(f"keys {number}", match, on=match["about"] == b"n" or bool((value or b"").strip(b"0")))

    def _change_color(self, match: re.Match[bytes]) -> None:
        what, value = match["what"], match["color"]
        if b"?" not in value:
            name = {b"9;4": "progress", b"22": "pointer"}.get(what) or _name_of_color(b"1%02d" % int(what))
            self._note(name, match, on=what != b"9;4" or not value.startswith(b"0"))

    def _note(self, name: str, match: re.Match[bytes], *, on: bool) -> None:
        if on:
            self._set[name] = match.group()
        else:
            self._set.pop(name, None)

    def _reset(self) -> None:
        """Apply DECSTR: a soft reset, which does not affect the screen, the mouse and key protocols."""
        self._switched -= {1, _ORIGIN, 7, 25, 66, 69}
        self._ansi.clear()
        self.margins = b""
        for name in _SOFT_RESET:
            self._set.pop(name, None)

    # The present modes

    def is_on(self, number: int) -> bool:
        """Whether a DEC private mode is on."""
        return (number in self._switched) is not (number in _USUALLY_ON)

    def is_ansi_on(self, number: int) -> bool:
        """Whether an ANSI mode is on."""
        return (number in self._ansi) is not (number in _ANSI_USUALLY_ON)

    @property
    def alternate(self) -> bool:
        """Whether the alternate screen is shown."""
        return not ALTERNATE.isdisjoint(self._switched)

    @property
    def full_screen(self) -> bool:
        """Whether a full-screen program has it: in the alternate screen, or as top(1): keypad on, cursor hidden."""
        return self.alternate or ("keypad" in self._set and 25 in self._switched)

    @property
    def kitty_flags(self) -> int:
        """The flags of kitty's keyboard protocol that are in force."""
        return int(self._kitty[self.alternate][-1] or 0)

    @property
    def shape(self) -> bytes:
        """The parameter of DECSCUSR; empty for the default."""
        return self._set.get("shape", b"")[2:-2]

    @property
    def encodes_keys(self) -> bool:
        """Whether the terminal sends keys as escape sequences that it would send as one byte otherwise."""
        return bool(self.kitty_flags) or "keys 4" in self._set or _WINDOWS_KEYS in self._switched

    @property
    def reports(self) -> bool:
        """Whether the terminal sends something without a key pressed: releases of keys, mouse, focus, size, colors."""
        return self.kitty_flags & 2 != 0 or not _REPORTING.isdisjoint(self._switched)

    @property
    def has_in_band_size(self) -> bool:
        """Whether the program requests each new size as input (mode 2048)."""
        return _IN_BAND_SIZE in self._switched

    def saves_title(self, chunk: bytes) -> bool:
        """Return whether `chunk`, not fed yet, sets a title while the title before is not saved."""
        first = None if self.titles else _TITLE_OR_SAVED.search(self._carry + chunk)
        return first is not None and first["title"] is not None

    # Entering and leaving the modes

    @property
    def enter(self) -> bytes:
        """The bytes that put a terminal without modes into the present ones."""
        first = sorted(self._switched & ALTERNATE)
        return b"".join(
            (
                *self._enter_kitty(alternate=False),
                *(_private(number, on=True) for number in first),
                b"\x1b[H\x1b[2J" if first else b"",
                *(
                    _private(number, on=number not in _USUALLY_ON)
                    for number in sorted(self._switched - ALTERNATE - _MOMENTARY)
                ),
                *(_ansi(number, on=number not in _ANSI_USUALLY_ON) for number in sorted(self._ansi - {2})),
                *(sequence for name, sequence in self._set.items() if name not in _NOT_ENTERED),
                *self._enter_kitty(alternate=True),
            )
        )

    def _enter_kitty(self, *, alternate: bool) -> list[bytes]:
        base, *stack = self._kitty[alternate] if alternate <= self.alternate else [b""]
        return [*([b"\x1b[=%bu" % base] if base else []), *(b"\x1b[>%bu" % flags for flags in stack)]

    def _leave_kitty(self, *, alternate: bool) -> bytes:
        base, *stack = self._kitty[alternate]
        return (b"\x1b[<%du" % len(stack) if stack else b"") + (b"\x1b[=0u" if base else b"")

    @property
    def leave(self) -> bytes:
        """The bytes that undo the present modes, and any open color, link or line drawing."""
        last = sorted(self._switched & ALTERNATE)
        others = self._switched - ALTERNATE - {_FREEZE, _ORIGIN, _WRAP}  # 1049 may save and restore the last two
        margins = b"\x1b7\x1b[r\x1b8" if self.margins else b""  # without 7 and 8 the cursor goes home
        return b"".join(
            (
                b"\x18" if self._in_string or self._carry else b"",  # ends the sequence
                *(undo for name, undo in _UNDO.items() if name in self._set),
                _private(_FREEZE, on=False) if _FREEZE in self._switched else b"",
                *(_private(number, on=number in _USUALLY_ON) for number in sorted(others)),
                *(_ansi(number, on=number in _ANSI_USUALLY_ON) for number in sorted(self._ansi)),
                self._leave_kitty(alternate=True) if last else b"",
                b"\x1b[r" if last else b"",  # moves the cursor, but the alternate screen's only
                *(_private(number, on=False) for number in last),
                self._leave_kitty(alternate=False),
                margins,
                _private(_WRAP, on=True) if _WRAP in self._switched else b"",
                _TAB_STOPS if self.tabs else b"",
                b"\x1b[?6l\x1b[999;1H" if _ORIGIN in self._switched else b"",  # goes home too, so to the last row
                b"\x1b[23;0t" * self.titles,
                b"\x1b(B\x0f\x1b[m",
            )
        )


_TITLE_OR_SAVED = re.compile(rb"\x1b(?:(?P<title>\][012];)|\[22(?:;[0-9;]{0,6})?t)")
SAVE_TITLE = b"\x1b[22;0t"


def _name_of_color(reset: bytes) -> str:
    return {b"104": "palette", b"105": "special colors", b"22;": "pointer"}.get(reset) or f"color {int(reset) - 110}"


def _put(numbers: set[int], number: int, *, on: bool) -> None:
    if on:
        numbers.add(number)
    else:
        numbers.discard(number)


def _private(number: int, *, on: bool) -> bytes:
    return b"\x1b[?%d%b" % (number, b"h" if on else b"l")


def _ansi(number: int, *, on: bool) -> bytes:
    return b"\x1b[%d%b" % (number, b"h" if on else b"l")
