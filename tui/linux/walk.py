"""Open a path inside a root without openat2 (before Linux 5.6): component by component, following symlinks ourselves.

Each name is opened with O_PATH and O_NOFOLLOW below the directory before it, so that nothing can lead out: ``..`` goes
back along the directories really walked, and an absolute symlink starts again at the root.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack

_MAX_LINKS = 40
"""Symlinks followed in one path, as in the kernel."""


def _fail(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _mount_of(fd: int) -> str:
    """Return the id of the mount that a descriptor lies on (proc(5), fdinfo, Linux 3.15)."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as info:
        return next(line for line in info if line.startswith("mnt_id:")).split()[1]


def _is_magic(directory: int) -> bool:
    """Return whether symlinks in a directory are the kernel's own, which jump anywhere regardless of their text."""
    with ExitStack() as exit_stack:
        proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        exit_stack.callback(os.close, proc)
        return os.fstat(directory).st_dev == os.fstat(proc).st_dev or _mount_of(directory) == _mount_of(proc)


def open_inside(root: int, path: bytes, flags: int, mode: int = 0, *, follow: bool = True, cross: bool = True) -> int:
    """Open a path below ``root`` as openat2 does with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS.

    Without ``follow`` any symlink is ELOOP, without ``cross`` any other mount is EXDEV. Raises OSError.
    """
    todo = [part for part in path.split(b"/") if part not in (b"", b".")][::-1]
    links = 0
    with ExitStack() as exit_stack:
        walked = [root]
        while todo:
            name = todo.pop()
            if name == b"..":
                walked = walked[:-1] or [root]
                continue
            last = not todo
            if last and flags & os.O_CREAT:
                return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=walked[-1])
            fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=walked[-1])
            exit_stack.callback(os.close, fd)
            if not cross and _mount_of(fd) != _mount_of(root):
                raise _fail(errno.EXDEV)
            if stat.S_ISLNK(os.fstat(fd).st_mode) and not (last and flags & os.O_NOFOLLOW):
                links += 1
                if not follow or links > _MAX_LINKS or _is_magic(walked[-1]):
                    raise _fail(errno.ELOOP)
                target = os.readlink(b"", dir_fd=fd)
                if target.startswith(b"/"):
                    walked = [root]
                todo += [part for part in target.split(b"/") if part not in (b"", b".")][::-1]
                continue
            walked.append(fd)
        return _reopen(walked[-1], flags)


def _reopen(fd: int, flags: int) -> int:
    """Open anew, with the requested flags, what an O_PATH descriptor holds."""
    kind = os.fstat(fd).st_mode
    if flags & os.O_DIRECTORY and not stat.S_ISDIR(kind):
        raise _fail(errno.ENOTDIR)
    if flags & os.O_PATH:
        return os.dup(fd)
    if stat.S_ISLNK(kind):
        raise _fail(errno.ELOOP)
    return os.open(f"/proc/self/fd/{fd}", flags & ~os.O_NOFOLLOW | os.O_CLOEXEC)
