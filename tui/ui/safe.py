"""The last line of defence between strangers' bytes and the operator's terminal."""

from __future__ import annotations

import re

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

SHIELD = 0xF0000
"""Offset of the private-use plane in which the editor keeps characters a TextArea would alter (editing.document)."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SHIELDED = re.compile("[\U000f0000-\U000fffff]")


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group()) - SHIELD
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


class SafeFilter(LineFilter):
    """Removes control and bidi characters from all that is painted, and draws shielded ones as pictures.

    Textual 8.2.8 passes ESC, OSC and C1 bytes through every widget; only its own control segments may hold them.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments with nothing in their text that a terminal could obey."""
        return [
            segment
            if segment.control or (segment.text.isascii() and segment.text.isprintable())
            else Segment(_SHIELDED.sub(_picture, _CONTROL.sub("", segment.text)), segment.style, None)
            for segment in segments
        ]
