"""Typed wrappers of Linux system calls that Python's os module lacks. Every failure is an OSError.

They are called through ctypes rather than a C extension, so that dtui installs without a compiler; no package on PyPI
offers openat2 and the mount API together.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Callable
from enum import IntEnum, IntFlag
from functools import cache, lru_cache
from typing import Any

from tui.linux.walk import open_inside

_TRIES = 128
"""How often to retry EAGAIN: any rename or mount on the host makes openat2 return it for a path with ``..``."""

_MISSING = (errno.ENOSYS, errno.EPERM)
"""Errors of a call that the kernel does not have or that a seccomp filter forbids."""

_OPENAT2, _FSOPEN, _FSCONFIG, _FSMOUNT = 437, 430, 431, 432  # the same on every architecture (syscall tables >= 5.1)

_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1

O_PATH = os.O_PATH


@cache
def _fstatfs() -> Callable[[int, Any], int]:
    function = ctypes.CDLL(None, use_errno=True).fstatfs
    function.argtypes = (ctypes.c_int, ctypes.c_void_p)
    return function


def file_system_of(fd: int) -> int:
    """Return the magic number of the file system that a descriptor is on (linux/magic.h)."""
    answer = (ctypes.c_long * 64)()  # struct statfs begins with the type, a word wide
    if _fstatfs()(fd, answer) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer[0] & 0xFFFFFFFF


class Resolve(IntFlag):
    """How openat2 may resolve a path (linux/openat2.h)."""

    NO_XDEV = 0x01
    NO_MAGICLINKS = 0x02
    NO_SYMLINKS = 0x04
    BENEATH = 0x08
    IN_ROOT = 0x10


class MountAttr(IntFlag):
    """Attributes of a new mount (linux/mount.h)."""

    RDONLY = 0x1
    NOSUID = 0x2
    NODEV = 0x4
    NOEXEC = 0x8
    NOATIME = 0x10


class _Command(IntEnum):
    """Commands of fsconfig (linux/mount.h)."""

    SET_FLAG = 0
    SET_STRING = 1
    SET_FD = 5
    CREATE = 6


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)


def _syscall(number: int, *argtypes: Any) -> Callable[..., int]:
    """Return one system call with its argument types. ``libc["syscall"]`` makes a new function object each time."""
    function = _libc["syscall"]
    function.argtypes = (ctypes.c_long, *argtypes)
    function.restype = ctypes.c_long

    def call(*args: object) -> int:
        for _ in range(_TRIES):
            result = int(function(number, *args))
            if result >= 0:
                return result
            error = ctypes.get_errno()
            if error not in (errno.EAGAIN, errno.EINTR):
                break
        raise OSError(error, os.strerror(error))

    return call


_openat2 = _syscall(_OPENAT2, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_OpenHow), ctypes.c_size_t)
_fsopen = _syscall(_FSOPEN, ctypes.c_char_p, ctypes.c_uint)
_fsconfig = _syscall(_FSCONFIG, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int)
_fsmount = _syscall(_FSMOUNT, ctypes.c_int, ctypes.c_uint, ctypes.c_uint)


_renameat2 = _libc.renameat2  # glibc 2.28
_renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)

_fallocate = getattr(_libc, "fallocate64", None) or _libc.fallocate  # musl has one name, always with 64 bits
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # linux/falloc.h


_statx = getattr(_libc, "statx", None)  # glibc 2.28
_STATX_SIZE, _AT_EMPTY_PATH, _AT_STATX_DONT_SYNC = 256, 0x1000, 0x4000
_STATX_INO, _STATX_DEVICE = 0x100, 136  # a bit of the mask; where stx_dev_major is
_FIXED = 0x10 | 0x20  # STATX_ATTR_IMMUTABLE, STATX_ATTR_APPEND (linux/stat.h)


@lru_cache(maxsize=64)
def _how(flags: int, mode: int, resolve: int) -> _OpenHow:
    """Return the record for openat2. The kernel only reads it, so all threads can share one."""
    return _OpenHow(flags, mode, resolve)


def openat2(dirfd: int, path: bytes, flags: int, resolve: Resolve, mode: int = 0) -> int:
    """Open a path with openat2(2) and return a descriptor that is closed on exec.

    ``mode`` must be 0 unless ``flags`` create a file. Before Linux 5.6, or if EAGAIN persists, the path is walked
    component by component instead, which nobody can prevent by renaming without pause.
    """
    how = _how(flags | os.O_CLOEXEC, mode, int(resolve))
    try:
        return _openat2(dirfd, path, ctypes.byref(how), ctypes.sizeof(how))
    except OSError as error:
        if error.errno != errno.EAGAIN and (error.errno not in _MISSING or has_openat2()):
            raise
    follow, cross = not resolve & Resolve.NO_SYMLINKS, not resolve & Resolve.NO_XDEV
    return open_inside(dirfd, path, flags, mode, follow=follow, cross=cross)


def renameat2(source: int, old: bytes, target: int, new: bytes, flags: int) -> None:
    """Rename between two directories with flags of renameat2(2), such as RENAME_NOREPLACE."""
    if _renameat2(source, old, target, new, flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def syncfs(fd: int) -> None:
    """Flush the file system that a descriptor is on."""
    if _libc.syncfs(fd):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def punch_hole(fd: int, start: int, size: int) -> None:
    """Deallocate a stretch of a file, which then reads as zeros."""
    if _fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, start, size):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _statx_of(fd: int, name: bytes, flags: int) -> bytes:
    if _statx is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    if _statx(fd, name, flags, _STATX_INO, buffer):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return buffer.raw


def is_fixed(fd: int) -> bool:
    """Return whether a file is immutable or append-only (statx(2), Linux 4.11); False if unknown.

    Works on O_PATH descriptors.
    """
    try:
        answer = _statx_of(fd, b"", _AT_EMPTY_PATH)
    except OSError as error:
        if error.errno in _MISSING:
            return False
        raise
    return bool(int.from_bytes(answer[8:16], sys.byteorder) & _FIXED)


def identity_of(fd: int, name: bytes = b"") -> tuple[int, int]:
    """Return device and inode of a descriptor or of a path relative to it, links followed, from the kernel's cache.

    Unlike os.stat this does not ask the server of a network or FUSE file system, which may hang.
    """
    flags = _AT_STATX_DONT_SYNC | (0 if name else _AT_EMPTY_PATH)
    try:
        answer = _statx_of(fd, name, flags)
    except OSError as error:
        if error.errno not in _MISSING:
            raise
        status = os.stat(name, dir_fd=fd) if name else os.fstat(fd)
        return status.st_dev, status.st_ino
    major, minor = struct.unpack_from("=II", answer, _STATX_DEVICE)
    return os.makedev(major, minor), int.from_bytes(answer[32:40], sys.byteorder)


def mount_of(fd: int) -> int:
    """Return the number of the mount that a descriptor was opened through (proc_pid_fdinfo(5)); raises OSError."""
    with open(f"/proc/self/fdinfo/{fd}", "rb") as lines:
        for line in lines:
            if line.startswith(b"mnt_id:"):
                return int(line[7:])
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


@cache
def has_openat2() -> bool:
    """Return whether openat2 works: not before Linux 5.6, nor under a seccomp filter that forbids it."""
    try:
        how = _how(O_PATH | os.O_CLOEXEC, 0, int(Resolve.NO_MAGICLINKS))
        os.close(_openat2(-100, b"/", ctypes.byref(how), ctypes.sizeof(how)))
    except OSError as error:
        if error.errno in _MISSING:
            return False
        raise
    return True


def fsopen(filesystem: str) -> int:
    """Start configuring a new mount of a file system (Linux 5.2) and return its context."""
    return _fsopen(filesystem.encode(), _FSOPEN_CLOEXEC)


def fsconfig_flag(context: int, key: str) -> None:
    """Set an option without a value, such as ``userxattr``."""
    _fsconfig(context, _Command.SET_FLAG, key.encode(), None, 0)


def fsconfig_string(context: int, key: str, value: bytes) -> None:
    """Set an option to a string of at most 255 bytes."""
    _fsconfig(context, _Command.SET_STRING, key.encode(), value, 0)


def fsconfig_fd(context: int, key: str, fd: int) -> None:
    """Set an option to an open file or directory. Overlay accepts this for layers since Linux 6.13."""
    _fsconfig(context, _Command.SET_FD, key.encode(), None, fd)


def fsconfig_create(context: int) -> None:
    """Create the superblock. On failure :func:`fs_messages` returns the reasons."""
    _fsconfig(context, _Command.CREATE, None, None, 0)


def fs_messages(context: int) -> str:
    """Return what the kernel logged to a context (``e overlay: ...``), joined by semicolons; may be empty."""
    lines: list[str] = []
    while True:
        try:
            lines.append(os.read(context, 4096).decode(errors="replace").strip())
        except OSError:  # ENODATA: the log is empty
            return "; ".join(lines)


def fsmount(context: int, attributes: MountAttr) -> int:
    """Turn a created context into a detached mount, which ends with its last descriptor."""
    return _fsmount(context, _FSMOUNT_CLOEXEC, int(attributes))
