"""Count what a container changed, for titles and the detail pane."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tui.core.errors import DtuiError
from tui.core.records import Change, Details
from tui.core.text import count_of
from tui.engine.endpoint import Endpoint
from tui.engine.live.archive import archive_of
from tui.layers.changes import changes
from tui.layers.usage import usage
from tui.layers.view import LayerView


def change_words(counts: Counter[Change]) -> str:
    """Format counts as ``6 changes: A 2  M 2  D 2``."""
    total = sum(counts.values())
    if not total:
        return "no changes"
    letters = "  ".join(f"{change.value} {counts[change]:,}" for change in Change if counts[change])
    return f"{count_of(total, 'change')}: {letters}"


def summarise_layer(endpoint: Endpoint, details: Details, stop: Callable[[], bool]) -> tuple[int | None, str]:
    """Return the bytes in the writable layer, and the counts of its changes as text.

    Reads the whole layer, so call it from a worker thread; ``stop`` ends it early.
    """
    try:
        archive = archive_of(endpoint, details)
        if archive:
            return endpoint.size(details.container.id), change_words(Counter(change for _, change in archive.changes()))
        if details.stack is None or not details.access.kind.readable:
            return None, ""
        with LayerView.open(details.stack, details.mounts) as view:
            size = usage(view, stop)
            counts = Counter(change.change for change in changes(view, stop))
    except DtuiError as error:
        return None, str(error)
    return size, change_words(counts)
