"""Readable text without colours, for NO_COLOR."""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

_COLOURED = 48
"""Largest difference between red, green and blue that still counts as grey."""


class PlainInk(LineFilter):
    """Draw coloured text in the plain text colour, before Textual turns it into grey of the same brightness.

    Dark red on black would be almost black. The meaning is also in marks and words.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment
            if segment.control or segment.style is None or segment.style.color is None
            else Segment(segment.text, _plain(segment.style, background), None)
            for segment in segments
        ]


@lru_cache(1024)
def _plain(style: Style, background: Color) -> Style:
    if style.color is None or style.color.is_default:
        return style
    ink = style.color.get_truecolor()
    if max(ink) - min(ink) <= _COLOURED:
        return style
    cell_background = (
        Color.from_rich_color(style.bgcolor) if style.bgcolor and not style.bgcolor.is_default else background
    )
    letters = 224 if cell_background.brightness < 0.5 else 16
    return style + Style(color=RichColor.from_rgb(letters, letters, letters))
