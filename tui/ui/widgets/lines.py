"""The one-line parts of the frame: where am I, what just happened, and lines to type in."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text
from textual import events
from textual.app import RenderResult
from textual.binding import Binding
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input


class TitleLine(Widget):
    """The first line of every screen: the place on the left, the endpoint in the middle, counts on the right."""

    DEFAULT_CSS = "TitleLine { height: 1; background: $panel; color: $foreground; padding: 0 1; }"

    left: reactive[Text] = reactive(Text)
    middle: reactive[Text] = reactive(Text)
    right: reactive[Text] = reactive(Text)
    middle_stays = False

    def render(self) -> RenderResult:
        """Lay the three parts out; the middle gives way first, or the right one where the middle matters more."""
        width = self.content_size.width
        left, middle, right = self.left.copy(), self.middle.copy(), self.right.copy()
        if self.middle_stays:
            room = width - left.cell_len - middle.cell_len - 4
            right = right if room >= right.cell_len else Text()
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
    """The last line above the footer: what just happened or goes on now, in words. Bad news may take three."""

    DEFAULT_CSS = """
    StatusLine { height: auto; min-height: 1; max-height: 3; padding: 0 1; color: $text-muted; }
    StatusLine.-good { color: $text-success; }
    StatusLine.-bad { color: $text-error; text-style: bold; }
    """

    message: reactive[Text] = reactive(Text, layout=True)

    def say(self, text: str, level: str = "") -> None:
        """Show a line; ``level`` is empty, ``good`` or ``bad``. Bad news are marked by a word-like sign too."""
        self.set_class(level == "good", "-good")
        self.set_class(level == "bad", "-bad")
        mark = {"good": "✓ ", "bad": "! "}.get(level, "")
        self.message = Text(mark + text, no_wrap=level != "bad", overflow="fold" if level == "bad" else "ellipsis")

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


_EDITS = {
    key: binding.action for binding in Input.BINDINGS if isinstance(binding, Binding) for key in binding.key.split(",")
} | {"tab": "app.focus_next", "shift+tab": "app.focus_previous"}
"""What keys do in a line, such as backspace."""


class Line(Input):
    """A line to type in; Enter gives its text to ``taken``.

    Every key waits its turn, as in the editor: Textual 8.2.8 runs bound keys a turn later than letters. What is typed
    right behind Enter may be on its way here already when the focus goes on: it is sent on to whoever has it then.
    """

    def __init__(
        self,
        taken: Callable[[str], object],
        value: str = "",
        *,
        placeholder: str = "",
        id: str = "",  # noqa: A002 - Textual's word
        hidden: bool = False,
    ) -> None:
        super().__init__(value, placeholder=placeholder, id=id or None, classes="line")
        self._taken = taken
        if hidden:
            self.hide()

    def show(self) -> None:
        """Show the line and give it the keys at once: the next one is meant for it."""
        self.display = self.can_focus = True
        self.screen.set_focus(self)

    def hide(self) -> None:
        """Hide the line; a hidden one takes no keys."""
        self.display = self.can_focus = False

    async def _on_key(self, event: events.Key) -> None:
        late = self.screen.focused is not self or self.app.screen is not self.screen
        action = _EDITS.get(event.key)
        if not late and action is None:
            return
        event.stop()
        event.prevent_default()
        if late:
            self.app.post_message(events.Key(event.key, event.character))
        elif event.key == "enter":
            self._taken(self.value)
        elif action:
            event.stop(await self.app.run_action(action, self))  # ^c with nothing selected goes on to the app
