"""Texts about the endpoints being asked, and for empty lists."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from tui.core.text import printable
from tui.render.containers import Group
from tui.services.feed import Feed, Source

_PATIENCE = 3
"""Seconds after which the waiting time is shown."""


def source_words(source: Source) -> str:
    """Return an endpoint's name, product, storage driver and backing file system."""
    facts = source.facts
    parts = [source.name]
    if facts:
        parts += [f"{facts.product} {facts.version}".strip(), facts.driver.name]
        parts[-1] += f" on {facts.backing}" if facts.backing else ""
    return printable(" · ".join(part for part in parts if part))


def trouble(feed: Feed) -> Iterator[Text]:
    """Yield a line for each endpoint that does not answer."""
    for source in feed.sources:
        if source.problem:
            problem = source.problem.removeprefix(f"{source.name}: ")  # some errors already start with the name
            message = f"{source.name}: {problem}" + (f"; {source.hint}" if source.hint else "")
            yield Text(printable(message) + ("  (trying again by itself; f5 tries now)" if source.live else ""))


def empty_words(feed: Feed, every: tuple[Group, ...], filter_text: str, seconds: float) -> str:
    """Say why no row is shown: a filter, another group, or an Engine that has not answered for ``seconds``."""
    ways_on = "esc or h shows the other ways in"
    if not feed.listed:
        return f"asking the Engine… {int(seconds)} s · {ways_on}" if seconds >= _PATIENCE else "asking the Engine…"
    if not feed.answered:
        return f"nobody has answered yet: {ways_on}"
    elsewhere = ", ".join(f"{group.size:,} in {group.title}" for group in every[1:] if group.size)
    if filter_text and elsewhere:
        return f"nothing here matches {printable(filter_text)}, but {elsewhere}: tab goes there"
    if filter_text and feed.rows:
        return f"nothing matches {printable(filter_text)}: esc clears the filter"
    return "no containers here" + (": tab goes to the next group" if elsewhere else "")
