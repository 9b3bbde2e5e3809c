"""Set POSIX ACLs without the tools of the acl package."""

from __future__ import annotations

import os
import struct
from pathlib import Path

USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NOBODY = 0xFFFFFFFF


def set_acl(path: Path, *entries: tuple[int, int, int]) -> None:
    """Set a file's ACL from entries of tag, rights and id; the mask becomes the group bits of its mode."""
    packed = struct.pack("<I", 2)
    for tag, rights, number in entries:
        packed += struct.pack("<HHI", tag, rights, number if tag in (USER, GROUP) else _NOBODY)
    os.setxattr(path, "system.posix_acl_access", packed)


def named(
    kind: int, number: int, rights: int, *, mask: int = 7, group: int = 0, other: int = 0
) -> list[tuple[int, int, int]]:
    """Return the entries of an ACL with rights for one named user or group."""
    entries = [(USER_OBJ, 6, 0), (kind, rights, number), (GROUP_OBJ, group, 0), (MASK, mask, 0), (OTHER, other, 0)]
    return sorted(entries, key=lambda entry: entry[0])
