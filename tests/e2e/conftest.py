"""The app in a real terminal, driven as a person would."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.terminal import Terminal

Open = Callable[..., Terminal]


@pytest.fixture
def terminal() -> Iterator[Open]:
    """Open terminals; all of them are closed after the test."""
    opened: list[Terminal] = []

    def open_terminal(*args: str, size: tuple[int, int] = (120, 40), env: dict[str, str] | None = None) -> Terminal:
        opened.append(Terminal(*args, size=size, env=env))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.abandon()
