"""The one-line parts of the frame: where am I, and what just happened."""

from __future__ import annotations

from rich.text import Text
from textual.app import RenderResult
from textual.reactive import reactive
from textual.widget import Widget


class TitleLine(Widget):
    """The first line of every screen: the place on the left, the endpoint in the middle, counts on the right."""

    DEFAULT_CSS = "TitleLine { height: 1; background: $panel; color: $foreground; padding: 0 1; }"

    left: reactive[Text] = reactive(Text)
    middle: reactive[Text] = reactive(Text)
    right: reactive[Text] = reactive(Text)

    def render(self) -> RenderResult:
        """Lay the three parts out; the middle gives way first."""
        width = self.content_size.width
        left, middle, right = self.left.copy(), self.middle.copy(), self.right.copy()
        room = width - left.cell_len - right.cell_len - 4
        if room < 12:
            middle = Text()
            right.truncate(max(0, width - left.cell_len - 2), overflow="ellipsis")
        else:
            middle.truncate(room, overflow="ellipsis")
        gap = width - left.cell_len - middle.cell_len - right.cell_len
        before = max(1, gap // 2)
        return Text.assemble(left, " " * before, middle, " " * max(1, gap - before), right, no_wrap=True)


class StatusLine(Widget):
    """The last line above the footer: what just happened or goes on now, in words."""

    DEFAULT_CSS = """
    StatusLine { height: 1; padding: 0 1; color: $text-muted; }
    StatusLine.-good { color: $text-success; }
    StatusLine.-bad { color: $text-error; text-style: bold; }
    """

    message: reactive[Text] = reactive(Text)

    def say(self, text: str, level: str = "") -> None:
        """Show a line; ``level`` is empty, ``good`` or ``bad``. Bad news are marked by a word-like sign too."""
        self.set_class(level == "good", "-good")
        self.set_class(level == "bad", "-bad")
        mark = {"good": "✓ ", "bad": "! "}.get(level, "")
        self.message = Text(mark + text, no_wrap=True, overflow="ellipsis")

    def render(self) -> RenderResult:
        """Return the line."""
        return self.message


class Banner(Widget):
    """A line across the screen that stays while something is wrong."""

    DEFAULT_CSS = """
    Banner { height: auto; display: none; background: $error-muted; color: $text-error; padding: 0 1; }
    Banner.-shown { display: block; }
    """

    message: reactive[Text] = reactive(Text, layout=True)

    def watch_message(self, message: Text) -> None:
        """Hide the line when there is nothing to say."""
        self.set_class(bool(message.plain), "-shown")

    def render(self) -> RenderResult:
        """Return the text."""
        return self.message
