"""Draw a ChartSpec with plotext as ANSI text."""

from __future__ import annotations

import threading

from tui.bench.charts import ChartSpec

RGB = tuple[int, int, int]

PALETTE: tuple[tuple[RGB, str], ...] = (
    ((0x00, 0x9E, 0xE0), "●"),
    ((0xE6, 0x9F, 0x00), "■"),
    ((0x00, 0xB8, 0x84), "◆"),
    ((0xE0, 0x80, 0xB0), "▲"),
    ((0x56, 0xB4, 0xE9), "○"),
    ((0xF0, 0xE4, 0x42), "□"),
    ((0xE0, 0x6C, 0x40), "△"),
    ((0xC8, 0xC8, 0xC8), "◇"),
    ((0xA0, 0x90, 0xE8), "▼"),
)
"""Colours that colour-blind people can distinguish (after Okabe and Ito, lightened), each with its own sign."""

_ONE_FIGURE = threading.Lock()
"""plotext has one figure per process; two threads using it would draw wrong pictures."""


def draw(spec: ChartSpec, width: int, height: int, ink: RGB, paper: RGB) -> str:
    """Return a chart as ANSI text, ``width`` by ``height`` cells."""
    import plotext  # takes 100 ms to import, so only when a chart is drawn

    with _ONE_FIGURE:
        plotext.terminal.limit(False, False)  # the size is the widget's, not the terminal's
        figure = plotext.figure
        figure.clear()
        figure.plot_size(width, height)
        plotext.add_theme("dtui", canvas=paper, text=plotext.pixel(foreground=ink, background=paper))
        figure.theme("dtui")
        for series in spec.series:
            colour, sign = PALETTE[series.style % len(PALETTE)]
            xs, ys = [p[0] for p in series.points], [p[1] for p in series.points]
            line = plotext.marker("braille", plotext.pixel(foreground=colour))
            figure.draw(figure.signal(xs, ys, marker=line).lines(True))
            figure.draw(figure.signal(xs, ys, marker=plotext.marker(sign, plotext.pixel(foreground=colour))))
            if series.unsure:
                unsure_marker = plotext.marker("∘", plotext.pixel(foreground=colour))
                figure.draw(
                    figure.signal([p[0] for p in series.unsure], [p[1] for p in series.unsure], marker=unsure_marker)
                )
        for ruler, ticks in (("x", spec.x_ticks), ("y", spec.y_ticks)):
            if ticks:
                figure.ruler(ruler, "lower" if ruler == "x" else "left").ticks(
                    [t[0] for t in ticks], [t[1] for t in ticks]
                )
        if spec.y_ticks:
            figure.ruler("y", "left").lim(spec.y_ticks[0][0], spec.y_ticks[-1][0])
        return str(figure.build().string()).rstrip("\n")
