"""Text that can be read without colours, where NO_COLOR asks for none."""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

_COLOURED = 48
"""How far red, green and blue of a grey may lie apart."""


class PlainInk(LineFilter):
    """Gives coloured text the ink of plain text, before Textual turns it to the grey of the colour's own brightness.

    Dark red on black is nearly black then; what is meant stands in marks and words besides.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments, their coloured letters black or white."""
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
