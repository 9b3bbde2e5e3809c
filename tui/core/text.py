"""Text made safe and short for people: untrusted strings, sizes, ages, modes."""

from __future__ import annotations

import os
import re
import stat
from datetime import UTC, datetime

HIDDEN = (
    "\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3164\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\ud800-\udfff"
)
"""Characters that a terminal may obey, hide or misplace, as the inside of a regular expression's brackets.

C0, C1, DEL, bidi and other format characters, fillers, variation selectors, default-ignorable characters,
noncharacters, surrogates.
"""

HIDDEN_ASTRAL = (
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""The same, above the Basic Multilingual Plane."""

NONCHARACTERS = "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0xF0000, 0x10000))
"""Noncharacters above the Basic Multilingual Plane."""

_UNSAFE = re.compile(f"[{HIDDEN}{HIDDEN_ASTRAL}{NONCHARACTERS}\ue000-\uf8ff\U000f0000-\U0010ffff]")
"""What is never printed as it is: hidden characters, and private-use ones, which each font draws differently."""

_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\x1b": "\\e"}


def _escape(match: re.Match[str]) -> str:
    char = match.group()
    if char in _NAMED:
        return _NAMED[char]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8, kept by surrogateescape
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(text: str | bytes) -> str:
    """Return untrusted text with everything that a terminal could obey or hide shown as visible escapes.

    The result is a single line and safe on a terminal, but still must not be parsed as markup. It is for display only:
    backslashes are not escaped, so only the original identifies a file.
    """
    decoded = os.fsdecode(text) if isinstance(text, bytes) else text
    if decoded.isascii() and decoded.isprintable():  # most names are, and a list redraws them often
        return decoded
    return _UNSAFE.sub(_escape, decoded)


def human_size(size: int | None) -> str:
    """Return a byte count in decimal units as Docker prints it (``18.2 kB``); an em dash for None."""
    if size is None:
        return "—"
    value = float(size)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.95 or unit == "TB":
            return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable: TB ends the loop")


def count_of(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the plural unless the number is one: ``1,004 containers``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


_AGES = ((86_400 * 365, "y"), (86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def human_age(since: datetime, current_time: datetime) -> str:
    """Return the time between two aware datetimes in its largest unit (``2 min``); "now" for a future moment.

    The epoch stands for an unknown time and gives an em dash.
    """
    if not since.timestamp():
        return "—"
    seconds = int((current_time - since).total_seconds())
    for length, unit in _AGES:
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return "now"


def time_text(time_ns: int, time_format: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    """Format nanoseconds since the epoch; an em dash for a time outside the calendar, which any file may carry."""
    try:
        return f"{datetime.fromtimestamp(time_ns / 1e9, UTC):{time_format}}"
    except (OverflowError, ValueError, OSError):
        return "—"


def mode_text(mode: int) -> str:
    """Return permission bits as ls prints them, without the type: ``rwsr-xr-x``."""
    return stat.filemode(stat.S_IFREG | mode)[1:]
