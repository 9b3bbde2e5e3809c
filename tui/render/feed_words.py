"""Texts about the endpoints being asked, and for empty lists."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from tui.core.text import printable
from tui.render.containers import Group
from tui.services.feed import Feed, Source

_SHOW_SECONDS_AFTER = 3
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
            yield Text(printable(message) + ("  (retrying by itself; f5 retries now)" if source.live else ""))


def empty_words(feed: Feed, groups: tuple[Group, ...], filter_text: str, seconds: float) -> str:
    """Say why no row is shown: a filter, another group, or an Engine that has not answered for ``seconds``."""
    hint = "esc or h shows what else can be opened"
    if not feed.listed:
        return (
            f"asking the Engine… {int(seconds)} s · {hint}" if seconds >= _SHOW_SECONDS_AFTER else "asking the Engine…"
        )
    if not feed.answered:
        return f"no Engine has answered yet: {hint}"
    other_groups = ", ".join(f"{group.size:,} in {group.title}" for group in groups[1:] if group.size)
    if filter_text and other_groups:
        return f"nothing here matches {printable(filter_text)}, but {other_groups}: tab goes there"
    if filter_text and feed.containers:
        return f"nothing matches {printable(filter_text)}: esc clears the filter"
    return "no containers here" + (": tab goes to the next group" if other_groups else "")
