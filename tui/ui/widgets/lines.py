"""The one-line widgets: title, status, key list, banner and text input."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.app import ComposeResult, RenderResult
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Footer, Input
from textual.widgets._footer import FooterKey

_SHORTEST = 8
"""Minimum width in cells of a shortened name."""


class TitleLine(Widget):
    """The first line of every screen: location on the left, endpoint in the middle, counts on the right."""

    DEFAULT_CSS = "TitleLine { height: 1; background: $panel; color: $foreground; padding: 0 1; }"

    left: reactive[Text] = reactive(Text)
    middle: reactive[Text] = reactive(Text)
    right: reactive[Text] = reactive(Text)
    middle_stays = False

    def render(self) -> RenderResult:
        """Lay out the three parts; the middle gives way first, or the right one if ``middle_stays``.

        A long name on the left is shortened so that what follows it stays visible, such as a container's state.
        """
        width = self.content_size.width
        stays = self.middle if self.middle_stays else self.right
        left = _shortened(self.left, width - min(stays.cell_len, width // 2) - 4)
        middle, right = self.middle.copy(), self.right.copy()
        if self.middle_stays:
            room = width - left.cell_len - middle.cell_len - 4
            right = right if room >= right.cell_len else Text()
        room = width - left.cell_len - right.cell_len - 4
        if room < min(12, middle.cell_len):
            middle = Text()
            right.truncate(max(0, width - left.cell_len - 2), overflow="ellipsis")
        else:
            middle.truncate(room, overflow="ellipsis")
        gap = width - left.cell_len - middle.cell_len - right.cell_len
        before = max(1, gap // 2)
        return Text.assemble(left, " " * before, middle, " " * max(1, gap - before), right, no_wrap=True)


_STEP = " ▸ "


def _shortened(breadcrumb: Text, room: int) -> Text:
    """Return a breadcrumb whose longest part, a name, is cut to fit into ``room`` cells."""
    over = breadcrumb.cell_len - room
    if over <= 0:
        return breadcrumb.copy()
    parts = breadcrumb.split(_STEP)
    longest = max(range(len(parts)), key=lambda number: parts[number].cell_len)
    parts[longest].truncate(max(_SHORTEST, parts[longest].cell_len - over), overflow="ellipsis")
    return Text(_STEP).join(parts)


class StatusLine(Widget):
    """The line above the footer that says what just happened or is under way; bad news may take three lines."""

    DEFAULT_CSS = """
    StatusLine { height: auto; min-height: 1; max-height: 3; padding: 0 1; color: $text-muted; }
    StatusLine.-good { color: $text-success; }
    StatusLine.-bad { color: $text-error; text-style: bold; }
    """

    message: reactive[Text] = reactive(Text, layout=True)

    def say(self, text: str, level: str = "") -> None:
        """Show a message; ``level`` is empty, ``good`` or ``bad``, which a sign shows even without colour."""
        self.set_class(level == "good", "-good")
        self.set_class(level == "bad", "-bad")
        mark = {"good": "✓ ", "bad": "! "}.get(level, "")
        self.message = Text(mark + text, no_wrap=level != "bad", overflow="fold" if level == "bad" else "ellipsis")

    def render(self) -> RenderResult:
        return self.message


_STAY = frozenset(("escape", "question_mark", "f1", "q"))
"""Keys that are always shown: the way out, and the way to all other keys."""


class Keys(Footer):
    """The footer. If not all keys fit, the last ones are left out, except those in ``_STAY``."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False, compact=True)
        self._laid_out_for = 0

    def compose(self) -> ComposeResult:
        """Yield as many keys as fit."""
        keys = [key for key in super().compose() if isinstance(key, FooterKey)]
        self._laid_out_for = room = self.app.size.width
        for key in reversed([key for key in keys if key.key not in _STAY]):
            if sum(map(_key_width, keys)) > room:
                keys.remove(key)
        yield from keys

    def on_resize(self) -> None:
        """Recompose if the width has changed."""
        if self._laid_out_for not in (0, self.app.size.width):
            self.call_after_refresh(self.recompose)


def _key_width(key: FooterKey) -> int:
    return cell_len(f"{key.key_display} {key.description} ")


class Banner(Widget):
    """A line across the screen that is shown while something is wrong."""

    DEFAULT_CSS = """
    Banner { height: auto; display: none; background: $error-muted; color: $text-error; padding: 0 1; }
    Banner.-shown { display: block; }
    """

    message: reactive[Text] = reactive(Text, layout=True)

    def watch_message(self, message: Text) -> None:
        """Hide the banner if the message is empty."""
        self.set_class(bool(message.plain), "-shown")

    def render(self) -> RenderResult:
        return self.message


_EDITS = {
    key: binding.action for binding in Input.BINDINGS if isinstance(binding, Binding) for key in binding.key.split(",")
} | {"tab": "app.focus_next", "shift+tab": "app.focus_previous"}
"""Actions of the editing keys, such as backspace."""


class Line(Input):
    """A one-line input; Enter calls ``accept`` with its text.

    It runs the actions of editing keys itself, as the editor does, because Textual 8.2.8 runs bound keys one turn later
    than letters. Keys that were typed right after Enter may arrive here after the focus has moved; they are sent again
    to the widget that has the focus.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", "go")]

    def __init__(
        self,
        accept: Callable[[str], object],
        value: str = "",
        *,
        placeholder: str = "",
        id: str = "",  # noqa: A002 - Textual's word
        hidden: bool = False,
    ) -> None:
        super().__init__(value, placeholder=placeholder, id=id or None, classes="line")
        self._accept = accept
        if hidden:
            self.hide()

    def show(self) -> None:
        """Show and focus the line at once, because the next key is meant for it."""
        self.display = self.can_focus = True
        self.screen.set_focus(self)

    def hide(self) -> None:
        """Hide the line, so that it cannot be focused."""
        self.display = self.can_focus = False

    async def _on_key(self, event: events.Key) -> None:
        late = self.screen.focused is not self or self.app.screen is not self.screen
        action = _EDITS.get(event.key)
        if not late and action is None:
            if is_text(event) and not event.is_printable:  # Textual drops what Python does not call printable
                event.stop()
                event.prevent_default()
                self._put(event.character or "")
            return
        event.stop()
        event.prevent_default()
        if late:
            self.app.post_message(events.Key(event.key, event.character))
        elif event.key == "enter":
            self._accept(self.value)
        elif action:
            event.stop(await self.app.run_action(action, self))  # ^c without a selection is left to the app

    def _on_paste(self, event: events.Paste) -> None:
        """Insert pasted text unchanged, without trailing line ends; refuse text with other line ends or NUL.

        Textual 8.2.8 splits it at many characters, U+2028 among them, and drops all but the first part.
        """
        event.stop()
        event.prevent_default()
        text = event.text.rstrip("\r\n")
        if any(char in text for char in "\r\n\0"):
            self.app.notify("not pasted: it is more than one line", severity="warning", markup=False)
        elif text:
            self._put(text)

    def _put(self, text: str) -> None:
        start, end = sorted(self.selection)
        self.replace(text, start, end)


def is_text(event: events.Key) -> bool:
    """Return whether a key inserts a character, which may be one that Python does not call printable."""
    return (
        event.character is not None
        and len(event.character) == 1
        and event.character >= " "
        and event.character != "\x7f"
    )
