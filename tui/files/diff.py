"""The difference between two versions of a file, for people. Pure."""

from __future__ import annotations

import difflib

_LINES = 2_000
"""Lines of a diff to show at most."""


def diff_lines(old: bytes, new: bytes) -> tuple[str, ...]:
    """Return a unified diff without file names; of binary files only the sizes."""
    if old == new:
        return ("no difference",)
    if b"\0" in old[:8192] or b"\0" in new[:8192]:
        return (f"binary: {len(old):,} B before, {len(new):,} B after",)
    before = old.decode("utf-8", "surrogateescape").split("\n")
    after = new.decode("utf-8", "surrogateescape").split("\n")
    if max(len(before), len(after)) > 20 * _LINES:
        return (f"{len(before):,} lines before, {len(after):,} after: too long to show",)
    lines = list(difflib.unified_diff(before, after, lineterm="", n=3))[2:]
    if not old.endswith(b"\n") and new.endswith(b"\n"):
        lines.append("\\ a newline at the end is added")
    elif old.endswith(b"\n") and not new.endswith(b"\n"):
        lines.append("\\ the newline at the end is removed")
    hidden = len(lines) - _LINES
    return (*lines[:_LINES], f"… {hidden:,} more lines") if hidden > 0 else tuple(lines)
