"""A list of check boxes that is readable without colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui.core.text import printable


@dataclass(frozen=True, slots=True)
class Tick:
    """One line: its name, its description, and why it cannot be ticked (empty if it can)."""

    name: str
    description: str
    why_not: str = ""


class Ticks(OptionList):
    """Check boxes that space toggles; Enter is left to the dialog."""

    BINDINGS: ClassVar[list[BindingType]] = [("space", "tick", "tick")]
    DEFAULT_CSS = """
    Ticks { height: auto; max-height: 60vh; border: none; padding: 0; }
    Ticks:focus { border: none; }
    """

    class Changed(Message):
        """A line was ticked or unticked."""

    def __init__(
        self,
        lines: tuple[Tick, ...],
        ticked: tuple[str, ...],
        *,
        id: str | None = None,  # noqa: A002 - Textual's word
        classes: str | None = None,
    ) -> None:
        self._ticks = lines
        self._ticked_names = {line.name for line in lines if line.name in ticked and not line.why_not}
        options = (Option(self._text(line), disabled=bool(line.why_not)) for line in lines)
        super().__init__(*options, id=id, classes=classes)

    @property
    def ticked(self) -> tuple[str, ...]:
        """The ticked names, in the order of the list."""
        return tuple(line.name for line in self._ticks if line.name in self._ticked_names)

    def on_mount(self) -> None:
        """Put the cursor on the first line that can be ticked."""
        self.highlighted = next((number for number, line in enumerate(self._ticks) if not line.why_not), None)

    def _text(self, line: Tick) -> Text:
        sign = " – " if line.why_not else "[x]" if line.name in self._ticked_names else "[ ]"
        return Text(f"{sign} {printable(line.name):<16} {printable(line.why_not or line.description)}", no_wrap=True)

    def action_tick(self) -> None:
        """Toggle the line under the cursor."""
        index = self.highlighted
        if index is None or self._ticks[index].why_not:
            return
        self._ticked_names ^= {self._ticks[index].name}
        self.replace_option_prompt_at_index(index, self._text(self._ticks[index]))
        self.post_message(self.Changed())
