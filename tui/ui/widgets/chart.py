"""A widget that shows one chart."""

from __future__ import annotations

from rich.text import Text
from textual.app import RenderResult
from textual.reactive import reactive
from textual.widget import Widget

from tui.bench.charts import ChartSpec
from tui.render.chart import draw


class Chart(Widget):
    """One chart, drawn again when its spec, its size or the theme changes."""

    DEFAULT_CSS = "Chart { width: 1fr; height: 1fr; min-height: 6; }"

    spec: reactive[ChartSpec | None] = reactive(None)
    without: reactive[str] = reactive("no numbers yet")
    """Text shown if there is nothing to draw, or too little space."""

    def render(self) -> RenderResult:
        width, height = self.content_size
        if self.spec is None or width < 16 or height < 5 or not any(s.points for s in self.spec.series):
            return Text(self.without, style="italic")
        _, paper = self.background_colors
        return Text.from_ansi(draw(self.spec, width, height, self.styles.color.rgb, paper.rgb), no_wrap=True)
