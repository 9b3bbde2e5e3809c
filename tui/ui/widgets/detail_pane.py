"""The details of one container, below the list."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.text import Text
from textual.content import Content
from textual.widgets import Static

from tui.core.records import Container, Details
from tui.core.text import printable
from tui.render.containers import detail_lines


class DetailPane(Static):
    """Shows the details of one container under its name, or a message instead."""

    def show_name(self, container: Container) -> None:
        """Put the container's name into the border."""
        self.border_title = Content(printable(container.name))
        self.border_subtitle = Content(printable(container.short_id))

    def show_details(self, details: Details, changes: str = "") -> None:
        """Show details; ``changes`` summarises the layer once it is counted."""
        self.update(detail_lines(details, datetime.now(UTC), changes))

    def show_note(self, text: str, style: str = "") -> None:
        """Show a message instead of details."""
        self.update(Text(printable(text), style=style))
