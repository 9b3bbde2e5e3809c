"""The marks by which union file systems record deletions, and the names they reserve.

Sources: kernel Documentation/filesystems/overlayfs.rst; aufs and fuse-overlayfs 1.10 as measured on layers they wrote.
"""

from __future__ import annotations

import errno
import os
import stat

from tui.core.records import WhiteoutStyle

_DOT_WH = b".wh."
_OPAQUE_NAME = b".wh..wh..opq"
_NAME_MAX = 255
"""Longest file name in bytes (linux/limits.h)."""

_ABSENT = (errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES)


def is_whiteout(status: os.stat_result) -> bool:
    """Return whether a status is that of a whiteout: a character device 0:0."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def uses_dot_wh(style: WhiteoutStyle) -> bool:
    """Return whether names that start with ``.wh.`` are marks in this style, not files."""
    return style in (WhiteoutStyle.AUFS, WhiteoutStyle.FUSE)


def whiteout_of(name: bytes, style: WhiteoutStyle) -> bytes | None:
    """Return the name of the whiteout file for a name, None if it cannot exist."""
    mark = _DOT_WH + name
    return mark if uses_dot_wh(style) and len(mark) <= _NAME_MAX else None


def is_mark(name: bytes, style: WhiteoutStyle) -> bool:
    """Return whether a name is one of the driver's marks or bookkeeping (``.wh..wh.plnk``), which no container sees."""
    return uses_dot_wh(style) and name.startswith(_DOT_WH)


def hidden_name(name: bytes) -> bytes:
    """Return the name that a mark hides, empty for bookkeeping."""
    hidden = name.removeprefix(_DOT_WH)
    return b"" if hidden.startswith((_DOT_WH, b".opq")) else hidden


def xattr_prefix(userxattr: bool) -> str:
    """Return the prefix of overlay's own attributes, which differs with ``userxattr`` (rootless engines)."""
    return "user.overlay." if userxattr else "trusted.overlay."


def overlay_xattr(fd: int, name: str, *, userxattr: bool) -> bytes | None:
    """Return an overlay attribute of a descriptor (O_PATH allowed), None if it is absent or unreadable."""
    return _xattr(fd, xattr_prefix(userxattr) + name)


def _xattr(fd: int, name: str) -> bytes | None:
    try:
        return os.getxattr(f"/proc/self/fd/{fd}", name)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


def is_opaque(fd: int, style: WhiteoutStyle, *, userxattr: bool) -> bool:
    """Return whether a directory hides the contents of the same directory in lower layers."""
    if style is WhiteoutStyle.TREE:
        return False
    if uses_dot_wh(style) and _has(fd, _OPAQUE_NAME):
        return True
    if style is WhiteoutStyle.AUFS:
        return False
    if overlay_xattr(fd, "opaque", userxattr=userxattr) == b"y":
        return True
    return style is WhiteoutStyle.FUSE and _xattr(fd, "user.fuseoverlayfs.opaque") == b"y"


def _has(fd: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def mount_only_feature(fd: int, *, userxattr: bool) -> str:
    """Return the overlay feature that makes an entry meaningless outside its mount (redirect, metacopy), or ""."""
    for name in ("redirect", "metacopy"):
        if overlay_xattr(fd, name, userxattr=userxattr) is not None:
            return name
    return ""
