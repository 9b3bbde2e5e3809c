"""Builds a tree with every kind of metadata that files can have, and reads it back."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.boxes import Box
from tests.support.tree_state import CAPABILITY, acl, make_socket

Facts = dict[str, dict[str, Any]]

LATER = 1_600_000_000_123_456_789


def build(top: Path) -> None:
    """Fill an existing directory."""
    (top / "tool").write_bytes(b"#!/bin/sh\necho tool\n")
    (top / "plain").write_bytes(b"plain\n")
    (top / "acl").mkdir()
    (top / "acl" / "bare").write_bytes(b"without an ACL, in a directory with one for what is new\n")
    (top / "acl" / "bare").chmod(0o640)
    os.setxattr(top / "acl", "system.posix_acl_default", acl(1234))
    inner = top / "dir"
    inner.mkdir()
    (inner / "one").write_bytes(b"two names\n")
    os.link(inner / "one", inner / "two")
    (inner / "link").symlink_to("one")
    os.mkfifo(inner / "pipe")
    os.mknod(inner / "null", stat.S_IFCHR | 0o640, os.makedev(1, 3))
    make_socket(inner, "sock")
    with (inner / "holes").open("wb") as file:
        file.truncate(50_000_000)
        file.seek(20_000_000)
        file.write(b"in the middle")
    (inner / "sub").mkdir()
    (inner / "sub" / "tool").write_bytes(b"sub\n")
    for tool in (top / "tool", inner / "sub" / "tool"):
        os.chown(tool, 12, 34)
        _mark(tool, "system.posix_acl_access", acl(1234))
        os.chmod(tool, 0o6775)
        os.setxattr(tool, "security.capability", CAPABILITY)
    _mark(inner, "system.posix_acl_access", acl(1234))
    os.setxattr(inner, "system.posix_acl_default", acl(1234))
    os.chown(inner, 56, 78)
    os.chmod(inner, 0o3775)
    for path in (*top.rglob("*"), top):
        os.utime(path, ns=(LATER, LATER), follow_symlinks=False)


def _mark(path: Path, name: str, value: bytes) -> None:
    for one, worth in ((name, value), ("user.note", b"\0mine\xff"), ("trusted.note", b"root's")):
        os.setxattr(path, one, worth)


def facts(top: Path, *, but: tuple[str, ...] = (), leave: tuple[str, ...] = ()) -> Facts:
    """Return the facts of a directory and everything below it, without those named in ``but``.

    Entries whose relative path is in ``leave`` are left out.
    """
    found: Facts = {}
    names: dict[tuple[int, int], list[str]] = defaultdict(list)
    for path in _walk(top, leave):
        status = path.lstat() if path != top else path.stat()  # /proc/PID/root is a link
        place = str(path.relative_to(top))
        regular = stat.S_ISREG(status.st_mode)
        if not stat.S_ISDIR(status.st_mode):
            names[status.st_dev, status.st_ino].append(place)
        told: dict[str, Any] = {
            "mode": oct(status.st_mode),
            "owner": (status.st_uid, status.st_gid),
            "time": status.st_mtime_ns,
            "device": status.st_rdev,
            "target": os.readlink(path) if stat.S_ISLNK(status.st_mode) else "",
            "bytes": path.read_bytes() if regular and status.st_size < 1 << 20 else status.st_size if regular else 0,
            "empty": regular and status.st_blocks * 512 < status.st_size,
            "attributes": {
                name: os.getxattr(path, name, follow_symlinks=False)
                for name in os.listxattr(path, follow_symlinks=False)
                if not name.startswith("trusted.overlay.")
            },
        }
        found[place] = {name: what for name, what in told.items() if name not in but}
    if "names" not in but:
        for together in names.values():
            for place in together:
                found[place]["names"] = together
    return found


def _walk(top: Path, leave: tuple[str, ...]) -> Iterator[Path]:
    yield top
    for folder, directories, files in os.walk(top):
        here = Path(folder)
        directories[:] = sorted(name for name in directories if str((here / name).relative_to(top)) not in leave)
        yield from (here / name for name in directories)
        yield from (here / name for name in sorted(files) if str((here / name).relative_to(top)) not in leave)


def place_of(box: Box) -> Path:
    """Return the directory on this host in which a test can change the container's files without dtui."""
    details = box.details
    return Path(f"/proc/{details.pid}/root") if details.container.state.alive else box.upper


@contextmanager
def seen_by(box: Box) -> Iterator[Path]:
    """Yield the tree that the container sees: its root if it runs, else a full tree or a read-only overlay mount."""
    details = box.details
    stack = details.stack
    assert stack is not None
    if details.container.state.alive:
        yield Path(f"/proc/{details.pid}/root")
    elif details.container.driver.name != "overlay2":
        yield stack.writable.path
    else:
        with tempfile.TemporaryDirectory(prefix="dtui-look-", dir="/var/tmp") as place:
            options = "ro,lowerdir=" + ":".join(str(layer.path) for layer in stack.layers)
            subprocess.run(["/bin/mount", "-t", "overlay", "-o", options, "overlay", place], check=True)
            try:
                yield Path(place)
            finally:
                subprocess.run(["/bin/umount", place], check=True)


def seen(box: Box, path: str, *, but: tuple[str, ...] = (), leave: tuple[str, ...] = ()) -> Facts:
    """Return the facts that the container sees at a path and below it."""
    with seen_by(box) as root:
        return facts(root / path.strip("/"), but=but, leave=leave)


def without_times(found: Facts) -> Facts:
    """Return the facts without the times of directories, which change when a name is added or removed."""
    return {path: {**one, "time": 0} if one["mode"].startswith("0o4") else one for path, one in found.items()}
