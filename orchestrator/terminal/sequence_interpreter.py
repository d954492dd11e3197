"""Carries out controls and escape sequences on a screen: which sequences are known, and what each of them does.

`terminal.sequence_parser` finds the sequences, and `terminal.pyte_screen` changes the cells. Unknown sequences have no
effect.

pyte's own parser is not used: it prints the text of DCS, APC and of CSI with intermediates (`CSI ! p`), takes
`CSI > 4 m` for SGR, ignores `ESC ( 0` in UTF-8, raises TypeError for `CSI ? 1 m`, and has no bound for an OSC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from orchestrator.terminal.pyte_screen import (
    ALTERNATE,
    GRAPHICS,
    INSERT,
    LATIN_1,
    NEW_LINE,
    ORIGIN,
    REVERSE,
    PyteScreen,
)
from orchestrator.terminal.screen_cells import parameter, styled


class SequenceInterpreter:
    """The target of a parser. `draw` is that of the screen."""

    def __init__(self, screen: PyteScreen) -> None:
        self._screen = screen
        self.draw = screen.draw

    def control(self, character: str) -> None:
        """Carry out a C0 control. C1 controls have no effect: in UTF-8 they are most often garbage."""
        screen = self._screen
        match character:
            case "\n" | "\v" | "\f":
                screen.index()
                if NEW_LINE in screen.mode:
                    screen.cursor.x = 0
            case "\r":
                screen.cursor.x = 0
            case "\b":
                screen.cursor.x = max(0, min(screen.cursor.x, screen.columns) - 1)
            case "\t":
                if screen.cursor.x < screen.columns:
                    screen.tab()
            case "\x0e":
                screen.charset = 1
            case "\x0f":
                screen.charset = 0

    def escape(self, intermediates: str, final: str) -> None:
        """Carry out an escape sequence that is neither CSI nor a string."""
        screen = self._screen
        match intermediates, final:
            case "", "7":
                screen.save_cursor()
            case "", "8":
                screen.restore_cursor()
            case "", "D":
                screen.index()
            case "", "E":
                screen.cursor.x = 0
                screen.index()
            case "", "M":
                screen.reverse_index()
            case "", "H":
                screen.set_tab_stop()
            case "", "c":
                screen.reset()
            case "", "=" | ">":
                self._set_private([66], final == "=")
            case "#", "8":
                screen.margins = None
                screen.alignment_display()
                screen.cursor_position()
            case "(", _:
                screen.g0_charset = GRAPHICS if final == "0" else LATIN_1
            case ")", _:
                screen.g1_charset = GRAPHICS if final == "0" else LATIN_1

    def osc(self, text: str) -> None:
        """Carry out an operating system command: the title."""
        code, _, rest = text.partition(";")
        if code in ("0", "2"):
            self._screen.title = "".join(c for c in rest if c.isprintable())

    def csi(self, name: str, text: str) -> None:
        """Carry out a control sequence; `name` is its prefix, intermediates and final byte."""
        screen = self._screen
        if name == "m":
            screen.set_style(styled(screen.cursor.attrs, text))
            return
        words = [parameter(word) for word in text.replace(":", ";").split(";")]
        if action := _ACTIONS.get(name):
            action(screen, max(1, words[0]))
            return
        first = words[0]
        second = words[1] if len(words) > 1 else 0
        match name:
            case "H" | "f":
                screen.cursor_position(first, second)
            case "J" | "?J":
                screen.erase_in_display(first)
            case "K" | "?K":
                screen.erase_in_line(first)
            case "r":
                screen.set_region(first, second)
            case "g":
                screen.clear_tab_stop(first)
            case "h" | "l":
                known = {INSERT, NEW_LINE} & set(words)
                screen.mode = screen.mode | known if name == "h" else screen.mode - known
            case "?h" | "?l":
                self._set_private(words, name == "?h")
            case "s" if not text:
                screen.save_cursor()
            case "u" if not text:
                screen.restore_cursor()
            case "!p":
                screen.soft_reset()

    def _set_private(self, modes: Iterable[int], is_set: bool) -> None:
        screen = self._screen
        for mode in modes:
            if mode in ALTERNATE:
                screen.switch(to_alternate=is_set, mode=mode)
            elif mode == 1048:
                screen.save_cursor() if is_set else screen.restore_cursor()
                continue
            screen.private = screen.private | {mode} if is_set else screen.private - {mode}
            if mode == ORIGIN:
                screen.cursor_position()
            elif mode == REVERSE:
                screen.dirty.update(range(screen.lines))


_ACTIONS: dict[str, Callable[[PyteScreen, int], object]] = {
    "@": PyteScreen.insert_characters,
    "A": PyteScreen.up,
    "B": PyteScreen.down,
    "C": PyteScreen.forward,
    "D": PyteScreen.back,
    "E": PyteScreen.next_line,
    "F": PyteScreen.previous_line,
    "G": PyteScreen.to_column,
    "I": PyteScreen.tabs,
    "L": PyteScreen.insert_lines,
    "M": PyteScreen.delete_lines,
    "P": PyteScreen.delete_characters,
    "S": PyteScreen.scroll_up,
    "T": PyteScreen.scroll_down,
    "X": PyteScreen.erase_characters,
    "Z": PyteScreen.back_tabs,
    "`": PyteScreen.to_column,
    "a": PyteScreen.forward,
    "b": PyteScreen.repeat,
    "d": PyteScreen.to_line,
    "e": PyteScreen.down,
}
