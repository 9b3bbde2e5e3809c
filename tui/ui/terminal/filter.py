"""Keeps untrusted bytes from reaching the operator's terminal as control sequences."""

from __future__ import annotations

import re

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tui.core.text import HIDDEN, HIDDEN_ASTRAL, NONCHARACTERS
from tui.files import SHIELD

_HIDDEN = re.compile(f"[{HIDDEN}{HIDDEN_ASTRAL}{NONCHARACTERS}]")
_SHIELDED = re.compile("[\U000f0000-\U0010ffff]")


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group()) - SHIELD
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


class SafeFilter(LineFilter):
    """Removes hidden characters from all output, and draws shielded control characters as symbols.

    Textual 8.2.8 passes ESC, OSC and C1 bytes through every widget; only its own control segments may contain them.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments without anything that a terminal would interpret."""
        return [
            segment
            if segment.control or (segment.text.isascii() and segment.text.isprintable())
            else Segment(_SHIELDED.sub(_picture, _HIDDEN.sub("", segment.text)), segment.style, None)
            for segment in segments
        ]
