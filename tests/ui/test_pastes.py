"""Bracketed pastes as a terminal sends them, in whatever pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual._xterm_parser import XTermParser

from tui.ui.terminal.driver import Pastes


def sent(pieces: list[str]) -> list[str]:
    """Return what keys and pastes come out, a paste in brackets."""
    pastes, parser, found = Pastes(), XTermParser(False), []
    for data in pieces:
        for piece in pastes.keys(data):
            for event in parser.feed(piece):
                if isinstance(event, events.Paste):
                    found.append(f"[{pastes.text}]")
                elif isinstance(event, events.Key):
                    found.append(event.character or event.key)
    return found


def cut(data: str, places: list[int]) -> list[str]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(edges)]


@pytest.mark.promise("typed-is-saved")
@given(
    st.lists(st.text("ab\x1b[20~\0\r\u2028\U000f0a1e", max_size=12).filter(lambda t: "\x1b[201~" not in t), max_size=3),
    st.lists(st.integers(0, 200), max_size=8),
)
def test_paste_survives_any_chunking(texts: list[str], places: list[int]) -> None:
    data = "k" + "".join(f"\x1b[200~{text}\x1b[201~k" for text in texts)
    if any((text + "\x1b[201~").find("\x1b[201~") != len(text) for text in texts):
        return
    assert sent(cut(data, places)) == ["k", *[one for text in texts for one in (f"[{text}]", "k")]]


def test_escape_in_paste_is_text() -> None:
    assert sent(["\x1b[200~a\x1b[31mb\x1b", "c\0d\x1b[201~"]) == ["[a\x1b[31mb\x1bc\0d]"]
