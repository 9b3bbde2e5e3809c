"""Text that tries to control a terminal, and a check that none of it reached one."""

from __future__ import annotations

import re

from tui.core.text import HIDDEN, HIDDEN_ASTRAL

MARK = "pwn"
"""Text in most of the commands, by which they are recognised."""

COMMANDS = tuple(
    text.encode("utf-8", "surrogateescape")
    for text in (
        "\x1b]52;c;cHdu\x07",  # the clipboard
        "\x1b]0;pwn\x07",  # the title
        "\x1b]2;pwn\x1b\\",
        "\x1b]8;;pwn:x\x1b\\y\x1b]8;;\x1b\\",  # a link
        "\x1b]4;1;?\x07",  # a query whose answer arrives as typed input
        "\x1bPpwn\x1b\\",  # DCS, APC, PM, SOS
        "\x1b_pwn\x1b\\",
        "\x1b^pwn\x1b\\",
        "\x1bXpwn\x1b\\",
        "\x1b[3J\x1b[2J\x1b[6n\x1b[5i\x1b[21t",
        "\x1b[?1003h\x1b[?1049l\x1b[8;7;6m",
        "\x1bc\x1b(0\x1b#8\x1bZ",
        "\x9b2J\x9d0;pwn\x9c\x90pwn\x9c\x9fpwn\x9c",  # the same in one character
        "\udc9b2J\udc9d0;pwn\udc9c\udcff",  # and as the bytes that 8-bit terminals obey
        "\u202epwn\u202c\u2066\u2069\u200b\u200f\u2028\ufeff\U000e0041\u061c",  # bidirectional and invisible characters
        "rm\b\b\x7fpwn\rpwn\x0b\x0c\x0e\x0f\x05\x07",  # overprinted, and other controls
        "[/nope][red]pwn[@click=app.exit]pwn[/]",  # Textual's own markup
    )
)

_OWN = re.compile(
    r"\x1b\[[0-9;]*m"  # colours
    r"|\x1b\[\d+;\d+H|\r\n|\r\x1b\[K"  # cursor position, and the command line's progress line
    r"|\x1b\[\?(?:7|25|1000|1003|1004|1006|1015|1049|2004|2026|2048)[hl]"  # modes, set at the start, reset at the end
    r"|\x1b\[[<>][0-9;]*[um]"
    r"|\x1b\[\?(?:2026|2048)\$p"
    r"|\x1b\]22;[a-z-]+\x07"  # pointer shape
)
_UNSEEN = re.compile(f"[{HIDDEN}{HIDDEN_ASTRAL}]")


def obeyed(raw: bytes) -> list[str]:
    """Return everything that a terminal would obey or hide and that is not one of the app's own sequences."""
    text = _OWN.sub("", raw.decode("utf-8", "surrogateescape"))
    return [text[max(0, match.start() - 10) : match.end() + 20] for match in _UNSEEN.finditer(text)]
