"""What the workers of the container list tell it."""

from __future__ import annotations

from textual.message import Message

from tui.core.errors import DtuiError
from tui.core.records import Container, Details


class DetailsArrived(Message):
    """Details of a container came, or the reason why not."""

    def __init__(self, container: Container, details: Details | None, error: DtuiError | None = None) -> None:
        super().__init__()
        self.container = container
        self.details = details
        self.error = error


class SummaryArrived(Message):
    """The changes in a container's layer are counted."""

    def __init__(self, container: Container, size: int | None, summary: str) -> None:
        super().__init__()
        self.container = container
        self.size = size
        self.summary = summary
