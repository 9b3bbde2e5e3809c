"""Text without damage: bytes in, bytes out."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.segment import Segment
from textual.color import Color

from tui.core.errors import EditRefused
from tui.core.text import HIDDEN, HIDDEN_ASTRAL
from tui.files.diff import diff_lines
from tui.files.document import EDIT_LIMIT, Document, hex_lines, is_tabbed, language_of, match_in
from tui.ui.terminal.filter import SafeFilter

PIECES = [b"a", b"\n", b"\r\n", b"\r", b"\x0b", b"\x0c", b"\xc2\x85", b"\xe2\x80\xa8", b"\xff", b"\x1b[2J"]
PIECES += [b"\xef\xbb\xbf", b"\xe2\x80\xae", "é".encode(), "😀".encode(), b"\t", b"\xed\xa0\x80", b"plain text here "]
PIECES += [char.encode() for char in "\u0600\u3164\ufe0f\ufffe\U000110bd\U0001d173\U000e0041\U000e0100\U00100041"]
texts = st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join) | st.binary(max_size=200)


@pytest.mark.case(38)
@given(texts)
def test_unchanged_text_is_unchanged_bytes(data: bytes) -> None:
    document = Document.parse(data)
    if not document.read_only_reason:
        assert document.with_text(document.text) == data


@pytest.mark.case(38)
@given(texts, st.integers(min_value=0, max_value=300))
def test_one_added_letter_is_one_added_byte(data: bytes, place: int) -> None:
    document = Document.parse(data)
    if document.read_only_reason:
        return
    at = min(place, len(document.text))
    new = document.with_text(document.text[:at] + "Z" + document.text[at:])
    assert len(new) == len(data) + 1
    position = next(i for i in range(len(new)) if new[:i] + new[i + 1 :] == data)
    assert new[position : position + 1] == b"Z" or b"Z" in data


@given(texts)
def test_editor_text_has_no_hidden_characters(data: bytes) -> None:
    document = Document.parse(data)
    assert len(document.text.splitlines()) in (document.text.count("\n"), document.text.count("\n") + 1)
    assert not any(c < " " and c not in "\t\n" for c in document.text)
    assert not re.search(f"(?![\t\n])[{HIDDEN}{HIDDEN_ASTRAL}]", document.text)


def test_filter_draws_hidden_characters() -> None:
    text = Document.parse("aaaa\u0600bbbb\U000e0041cccc\x1b".encode()).text
    (segment,) = SafeFilter().apply([Segment(text)], Color(0, 0, 0))
    assert segment.text == "aaaa\ufffdbbbb\ufffdcccc\u241b"


def test_file_with_nul_bytes_is_read_only() -> None:
    document = Document.parse(b"\x7fELF\0\0\0")
    assert document.binary
    with pytest.raises(EditRefused, match="read-only"):
        document.with_text("x")


def test_file_over_edit_limit_is_read_only() -> None:
    assert "larger than 1 MiB" in Document.parse(b"a" * (EDIT_LIMIT + 1)).read_only_reason


def test_crlf_text_stays_crlf() -> None:
    document = Document.parse(b"a\r\nb\r\n")
    assert (document.eol, document.text) == ("CRLF", "a\nb\n")
    assert document.with_text("a\nb\nc\n") == b"a\r\nb\r\nc\r\n"


@pytest.mark.parametrize(
    ("path", "text", "language"),
    [(b"/a/x.py", b"", "python"), (b"/start", b"#!/bin/sh\n", "bash"), (b"/x.yml", b"", "yaml"), (b"/x", b"", None)],
)
def test_language_follows_name_or_shebang(path: bytes, text: bytes, language: str | None) -> None:
    assert language_of(path, Document.parse(text)) == language


def test_hex_line_has_sixteen_bytes() -> None:
    assert list(hex_lines(b"0123456789abcdefg\n")) == [
        "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
        "00000010  67 0a                                             |g.|",
    ]


def test_diff_names_missing_final_newline() -> None:
    assert "\\ the newline at the end is removed" in diff_lines(b"a\n", b"a")


def test_diff_of_binary_files_gives_sizes() -> None:
    assert diff_lines(b"\0a", b"\0ab") == ("binary: 2 B before, 3 B after",)


def test_beginning_is_read_only_whole_lines() -> None:
    document = Document.beginning(b"one\ntwo\nthr", 1 << 30)
    assert document.text == "one\ntwo\n"
    assert document.read_only_reason == "larger than 1 MiB"
    with pytest.raises(EditRefused):
        Document.beginning(b"one\ntwo\nthr", 100).with_text("x")


@pytest.mark.parametrize(
    ("text", "language", "tabbed"),
    [
        ("all: x\n\tcc x\n", None, True),
        ("all: x\n", None, True),
        ("a:\n", "yaml", False),
        ("server {\n    listen 80;\n    index i;\n\tlog l;\n}\n", None, False),
        ("if x:\n\ty()\n", "python", True),
        ("a\tb\n c\n", "toml", False),
    ],
)
def test_tab_indentation_is_detected(text: str, language: str | None, tabbed: bool) -> None:
    assert is_tabbed(Document.parse(text.encode()), language) == tabbed


scalars = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=60)


@pytest.mark.promise("typed-is-saved")
@given(texts, st.lists(scalars | st.text(st.characters(min_codepoint=0xF0000), max_size=9), max_size=5))
def test_any_typed_text_is_saved_unchanged(data: bytes, typed: list[str]) -> None:
    document = Document.parse(data)
    if document.read_only_reason:
        return
    stands = [document.shield_typed(text) for text in typed]
    ends = "\r\n" if document.eol == "CRLF" else "\n"
    assert document.with_text("".join(stands) + document.text) == "".join(typed).replace("\n", ends).encode() + data
    assert not any(re.search(f"(?![\t\n])[{HIDDEN}{HIDDEN_ASTRAL}]", text) for text in stands)
    assert [len(text) for text in stands] == [len(text) for text in typed]


@pytest.mark.promise("typed-is-saved")
def test_every_unicode_character_is_saved() -> None:
    document = Document.parse("\U000f0a1e\U000f001b in plain text\n".encode())
    for plane in range(0, 0xF0000, 0x10000):
        text = "".join(chr(plane + low) for low in range(1, 0x10000) if plane or not 0xD800 <= low <= 0xDFFF)
        assert document.with_text(document.shield_typed(text.replace("\r", ""))) == text.replace("\r", "").encode()
    icons = "".join(map(chr, range(0xF0000, 0xFFFFE, 13)))
    assert document.with_text(document.shield_typed(icons)) == icons.encode()


def test_exhausted_stand_ins_refuse_typing() -> None:
    document = Document.parse(b"plain\n")
    document.shield_typed("".join(map(chr, range(0xF0000, 0x110000))))
    with pytest.raises(EditRefused, match="all private characters"):
        document.shield_typed("\u2028")


def test_external_edit_must_keep_line_ends() -> None:
    document = Document.parse(b"a\r\nb\r\n")
    assert document.text_of(b"a\r\nc\r\n") == "a\nc\n"
    assert document.text_of(b"a\nb\r\n") is None
    whole = Document.parse(b"a\r\nb\r\n", any_ends=True)
    text = whole.text_of(b"a\nb\r\n")
    assert text is not None
    assert whole.with_text(text) == b"a\nb\r\n"


@pytest.mark.parametrize(
    ("line", "words", "column", "found"),
    [
        ("şehir=İSTANBUL port=80", "PORT", 0, (15, 19)),
        ("şehir=İSTANBUL port=80", "istanbul", 0, None),
        ("İİ x İİ x", "İ", 1, (1, 2)),
        ("die Straße", "strasse", 0, (4, 10)),
        ("ﬁle", "i", 0, (0, 1)),
        ("aaa", "a", 3, None),
    ],
)
def test_match_has_the_columns_of_the_line(line: str, words: str, column: int, found: tuple[int, int] | None) -> None:
    assert match_in(line, words, column) == found
