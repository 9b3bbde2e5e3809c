"""What every save replaced, kept on the host: mode 0600, bounded, the oldest dropped first."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from tui.core.text import printable
from tui.editing.stamp import Stamp
from tui.editing.state import state_dir, sync_dir

TOTAL_LIMIT = 256 << 20
FILE_LIMIT = 64 << 20
"""Bytes of one file that are kept; a larger one is named in the receipt as not kept."""

_CHUNK = 1 << 20


def keep(container_id: str, path: bytes, fd: int, stamp: Stamp) -> Path | None:
    """Keep the bytes of an open file before they are replaced; return where, None for a file too large to keep."""
    if stamp.size > FILE_LIMIT:
        return None
    folder = state_dir("backups", container_id[:64])
    target = folder / f"{time.time_ns()}.data"
    copy_out(fd, target)
    facts = {
        "container": container_id,
        "path": os.fsdecode(path),
        "shown": printable(path),
        "size": stamp.size,
        "mode": stamp.mode,
        "uid": stamp.uid,
        "gid": stamp.gid,
        "mtime_ns": stamp.mtime_ns,
        "sha256": stamp.sha256,
    }
    _write(target.with_suffix(".json"), json.dumps(facts).encode())
    sync_dir(folder)
    _drop_oldest(state_dir("backups"))
    return target


def copy_out(fd: int, target: Path) -> None:
    """Copy an open file to a new file only this user can read, and make it durable."""
    out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        offset = 0
        while chunk := os.pread(fd, _CHUNK, offset):
            view = memoryview(chunk)
            while view:
                view = view[os.write(out, view) :]
            offset += len(chunk)
        os.fsync(out)
    finally:
        os.close(out)


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _drop_oldest(store: Path) -> None:
    kept = sorted(store.glob("*/*.data"), key=lambda p: p.name)
    total = sum(path.stat().st_size for path in kept)
    for path in kept[:-1]:
        if total <= TOTAL_LIMIT:
            return
        total -= path.stat().st_size
        path.unlink()
        path.with_suffix(".json").unlink(missing_ok=True)
