"""A list of any length that paints only the visible lines."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.ui.actions import bindings


class VirtualList(ScrollView, can_focus=True):
    """Rows with a cursor; a subclass implements :meth:`count` and :meth:`row`.

    A million rows cost no more than a screenful, whereas Tree, DataTable and RichLog measure every row.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--cursor", "rows--header"}
    BINDINGS: ClassVar[list[BindingType]] = bindings("move")
    DEFAULT_CSS = """
    VirtualList { scrollbar-size: 1 1; }
    VirtualList > .rows--cursor { background: $surface-lighten-2; }
    VirtualList:focus > .rows--cursor { background: $primary-muted; color: $text; text-style: bold; }
    VirtualList:nocolor > .rows--cursor { text-style: underline; }
    VirtualList:nocolor:focus > .rows--cursor { text-style: reverse; }
    VirtualList > .rows--header { color: $text-muted; }
    """

    cursor: reactive[int] = reactive(0)
    has_cursor = True
    header_height = 0

    class Moved(Message):
        """The cursor moved to another row, or the row under it changed."""

        def __init__(self, rows: VirtualList, index: int) -> None:
            super().__init__()
            self.rows = rows
            self.index = index

        @property
        def control(self) -> VirtualList:
            """The list that sent the message."""
            return self.rows

    class Chosen(Moved):
        """Enter was pressed on a row, or the row under the cursor was clicked."""

    def count(self) -> int:
        """Return the number of rows."""
        raise NotImplementedError

    def row(self, index: int, width: int) -> Text:
        """Return one row; ``width`` is the number of cells that fit without scrolling sideways."""
        raise NotImplementedError

    def header(self, width: int) -> Text:
        """Return the line that stays on top if ``header_height`` is 1."""
        raise NotImplementedError

    def content_width(self) -> int:
        """Return the cells of the widest row, for scrolling sideways; 0 if rows never scroll sideways."""
        return 0

    @property
    def inner(self) -> Size:
        """The space for rows; ``size`` would include the scrollbars."""
        return self.scrollable_size

    @property
    def visible_rows(self) -> int:
        """How many rows are visible at once, at least one."""
        return max(1, self.inner.height - self.header_height)

    def rows_changed(self) -> None:
        """Measure and paint again after the rows changed; keep the cursor in range."""
        count = self.count()
        self.virtual_size = Size(self.content_width(), count + self.header_height)
        self.cursor = max(0, min(self.cursor, count - 1))
        self.refresh()

    def on_resize(self) -> None:
        """Measure again; keep the cursor visible."""
        self.rows_changed()
        if self.has_cursor:
            self.show_row(self.cursor)

    def render_line(self, y: int) -> Strip:
        width = self.inner.width
        scroll_x, scroll_y = self.scroll_offset
        base = self.rich_style
        if y < self.header_height:
            style = base + self.get_component_rich_style("rows--header")
            return self._strip(self.header(width), 0, width).apply_style(style)
        index = scroll_y + y - self.header_height
        if index >= self.count():
            return Strip.blank(width, base)
        strip = self._strip(self.row(index, width), scroll_x, width)
        if self.has_cursor and index == self.cursor:
            strip = strip.apply_style(self.get_component_rich_style("rows--cursor"))
        return strip.apply_style(base)

    def _strip(self, text: Text, scroll_x: int, width: int) -> Strip:
        strip = Strip(text.render(self.app.console), text.cell_len)
        return strip.crop_extend(scroll_x, scroll_x + width, None)

    def watch_cursor(self, _old: int, new: int) -> None:
        """Keep the cursor visible and post :class:`Moved`."""
        self.show_row(new)
        self.refresh()
        self.post_message(self.Moved(self, new))

    def show_row(self, index: int) -> None:
        """Scroll so that a row is visible."""
        top = int(self.scroll_y)
        if index < top:
            self._scroll_rows(index)
        elif index >= top + self.visible_rows:
            self._scroll_rows(index - self.visible_rows + 1)

    def _scroll_rows(self, top: int) -> None:
        # forced, because a list that has just grown gets the scrollbar that lets it scroll one layout later
        self.scroll_to(y=top, animate=False, force=True)

    def _page(self) -> int:
        return max(1, self.visible_rows - 1)

    def _move(self, by: int) -> None:
        if not self.has_cursor:
            self._scroll_rows(int(self.scroll_y) + by)
            return
        self.cursor = max(0, min(self.cursor + by, self.count() - 1))

    def action_cursor_up(self) -> None:
        self._move(-1)

    def action_cursor_down(self) -> None:
        self._move(1)

    def action_page_up(self) -> None:
        self._move(-self._page())

    def action_page_down(self) -> None:
        self._move(self._page())

    def action_first(self) -> None:
        self._move(-self.count())

    def action_last(self) -> None:
        self._move(self.count())

    def action_choose(self) -> None:
        """Post :class:`Chosen` for the row under the cursor."""
        if self.count():
            self.post_message(self.Chosen(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the clicked row; a click on the cursor's row chooses it."""
        offset = event.get_content_offset(self)
        index = int(self.scroll_y) + (offset.y if offset else 0) - self.header_height
        if offset is None or offset.y < self.header_height or index >= self.count():
            return
        if index == self.cursor:
            self.action_choose()
        self.cursor = index
