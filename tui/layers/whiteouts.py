"""The marks by which overlayfs writes down deletions (kernel: Documentation/filesystems/overlayfs.rst)."""

from __future__ import annotations

import errno
import os
import stat

_ABSENT = (errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES)


def is_whiteout(status: os.stat_result) -> bool:
    """Say whether a status is that of a whiteout: a character device 0:0."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def xattr_prefix(userxattr: bool) -> str:
    """Return the namespace of overlay's own attributes; rootless engines mount with ``userxattr``."""
    return "user.overlay." if userxattr else "trusted.overlay."


def overlay_xattr(fd: int, name: str, *, userxattr: bool) -> bytes | None:
    """Return an overlay attribute of an open or O_PATH descriptor, None where it is absent or not for us to read."""
    try:
        return os.getxattr(f"/proc/self/fd/{fd}", xattr_prefix(userxattr) + name)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


def is_opaque(fd: int, *, userxattr: bool) -> bool:
    """Say whether a directory hides what lies below it in lower layers."""
    return overlay_xattr(fd, "opaque", userxattr=userxattr) == b"y"


def unreadable_alone(fd: int, *, userxattr: bool) -> str:
    """Name the feature that makes an entry meaningless outside its mount: metacopy, redirect; or nothing."""
    for name in ("metacopy", "redirect"):
        if overlay_xattr(fd, name, userxattr=userxattr) is not None:
            return name
    return ""
