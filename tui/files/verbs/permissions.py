"""Parse modes and owners as for chmod and chown. Pure, except for the name lookups that are passed in."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from tui.core.errors import UsageError
from tui.core.id_maps import IdMap, Span, host_id, id_ranges
from tui.core.records import EntryKind
from tui.core.text import printable
from tui.files.tree.snapshots import EntrySnapshot

_CLAUSE = re.compile(r"([ugoa]*)([-+=])([rwxXst]*)")
_OCTAL = re.compile(r"[0-7]{1,4}")
_HIGHEST = 2**32 - 2
"""The highest user and group id; the next one means "unchanged" (chown(2))."""

_SHIFT = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}


def mode_change(text: str) -> Callable[[EntrySnapshot], EntrySnapshot]:
    """Return a function that does what ``chmod TEXT`` does: octal, or clauses such as ``u+x,go-w``. Raises UsageError.

    Without u, g, o or a, all three are meant; the umask is ignored, because it is this host's.
    """
    if _OCTAL.fullmatch(text):
        number = int(text, 8)
        return lambda node: replace(node, mode=number)
    clauses = [_CLAUSE.fullmatch(part) for part in text.split(",")]
    if not all(clauses):
        raise UsageError(f"{printable(text)} is no mode", "such as 0644, +x or u=rw,go=r")
    parsed = [clause.groups() for clause in clauses if clause]

    def change(node: EntrySnapshot) -> EntrySnapshot:
        mode = node.mode
        for who, sign, letters in parsed:
            mode = _apply(mode, who, sign, letters, directory=node.kind is EntryKind.DIRECTORY)
        return replace(node, mode=mode)

    return change


def _apply(mode: int, who: str, sign: str, letters: str, *, directory: bool) -> int:
    groups = "ugo" if not who or "a" in who else who
    bits = mask = 0
    for group in groups:
        mask |= 7 << _SHIFT[group]
        for letter in letters:
            if letter in _BITS:
                bits |= _BITS[letter] << _SHIFT[group]
            elif letter == "X" and (directory or mode & 0o111):
                bits |= 1 << _SHIFT[group]
    if "s" in letters:
        bits |= (0o4000 if "u" in groups else 0) | (0o2000 if "g" in groups else 0)
    if "t" in letters:
        bits |= 0o1000
    if sign == "+":
        return mode | bits
    return mode & ~bits if sign == "-" else mode & ~mask | bits


def owner_change(
    text: str, user: Callable[[str], int], group: Callable[[str], int], ids: IdMap
) -> Callable[[EntrySnapshot], EntrySnapshot]:
    """Return a function that does what ``chown TEXT`` does: ``USER``, ``USER:GROUP`` or ``:GROUP``, names or ids.

    They are the container's; ``ids`` maps them to the host's. As with the kernel, a file loses its setuid and setgid
    bits and its capabilities.
    """
    owner, colon, team = text.partition(":")
    if not owner and not team:
        raise UsageError(f"{printable(text)} is no owner", "such as 1000, www-data or 0:0")
    uid = _of_host(ids.users, user(owner), "user") if owner else None
    gid = _of_host(ids.groups, group(team), "group") if colon and team else None

    def change(node: EntrySnapshot) -> EntrySnapshot:
        new = replace(node, uid=node.uid if uid is None else uid, gid=node.gid if gid is None else gid)
        if new == node or node.kind is not EntryKind.FILE:
            return new
        xattrs = tuple(pair for pair in node.xattrs if pair[0] != "security.capability")
        return replace(new, mode=node.mode & ~0o6000, xattrs=xattrs)

    return change


def _of_host(spans: tuple[Span, ...], number: int, kind: str) -> int:
    host_number = host_id(spans, number)
    if host_number is None:
        raise UsageError(
            f"the container has no {kind} {number}", f"its {kind}s are {id_ranges(spans)}; nothing was changed"
        )
    return host_number


def id_named(name: str, table: bytes, kind: str) -> int:
    """Return a numeric id, or look up a name in the container's /etc/passwd or /etc/group; raises UsageError."""
    if name.isdigit():
        if int(name) > _HIGHEST:
            raise UsageError(f"{printable(name)} is no {kind}", f"the highest number is {_HIGHEST}")
        return int(name)
    for line in table.splitlines():
        fields = line.split(b":")
        if len(fields) > 2 and fields[0] == name.encode() and fields[2].isdigit():
            return int(fields[2])
    raise UsageError(f"the container knows no {kind} {printable(name)}", "give its number")
