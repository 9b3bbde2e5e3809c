"""The journal: what is under way, recorded before it begins, so that a kill at any point can be recovered."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tui.core import state_files
from tui.core.errors import ChangedMeanwhile, DtuiError, StateFileError, full_disk_advice
from tui.core.ids import BadId, ContainerId
from tui.core.state import state_dir, sync_dir
from tui.files.tree.snapshots import CAPABILITY
from tui.files.write.atomic import overwrite
from tui.files.write.metadata import Metadata, apply_metadata, metadata_of
from tui.linux.process_marks import has_been_gone_for, named_owner_lives, owned_name, owner_lives, owner_mark, uptime
from tui.linux.sparse import Content, chunks_of, copy_data, extents_of, write_extents

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """One write under way: with a temporary name next to the file, or ``in_place``.

    Without a path it is a work directory next to the layer.
    """

    token: str
    owner: str
    container_id: ContainerId
    path: str
    """Path inside the container, with undecodable bytes as surrogates."""
    temporary: str
    in_place: bool
    new_sha256: str = ""
    old_sha256: str = ""
    mode: int = 0
    uid: int = 0
    gid: int = 0
    new_mode: int = -1
    capability: str = ""
    """File capability of the old file in hexadecimal, which the first written byte removes."""
    mtime_ns: int = 0
    since: float = field(default_factory=uptime)
    """Uptime of this host in seconds when it began."""

    @property
    def file(self) -> Path:
        """The file of the record."""
        return state_dir("journal") / f"{self.token}.json"

    @property
    def data(self) -> Path:
        """The file with the old bytes of a write in place."""
        return state_dir("journal") / f"{self.token}.data"

    @property
    def new(self) -> Path:
        """The file with the new bytes of a write in place."""
        return state_dir("journal") / f"{self.token}.new"


def begin_rename(container_id: ContainerId, path: bytes, temporary: bytes) -> Record:
    """Record that a temporary name may appear next to a file."""
    record = Record(owned_name(), owner_mark(), container_id, os.fsdecode(path), os.fsdecode(temporary), False)
    _store(record)
    return record


@contextmanager
def work_dir_recorded(container_id: ContainerId, work: Path) -> Iterator[None]:
    """Record a work directory next to a container's layer until it is gone."""
    record = Record(owned_name(), owner_mark(), container_id, "", "", False)
    _store(record)
    try:
        yield
    finally:
        if not work.exists():
            end(record)


def begin_in_place(
    container_id: ContainerId, path: bytes, fd: int, new: Content, old_sha256: str, metadata: Metadata
) -> Record:
    """Save a file's old and new bytes and its metadata before it is overwritten in place."""
    old = metadata_of(fd)
    record = Record(
        token=owned_name(),
        owner=owner_mark(),
        container_id=container_id,
        path=os.fsdecode(path),
        temporary="",
        in_place=True,
        new_sha256=hashlib.sha256(new).hexdigest(),
        old_sha256=old_sha256,
        mode=old.mode or 0,
        uid=old.uid,
        gid=old.gid,
        new_mode=-1 if metadata.mode is None else metadata.mode,
        capability=dict(old.xattrs).get(CAPABILITY, b"").hex(),
        mtime_ns=os.fstat(fd).st_mtime_ns,
    )
    try:
        _copy_out(fd, record.data, path)
        _put_down(new, record.new)
    except OSError as error:
        end(record)
        raise _refused(error) from error
    except ChangedMeanwhile:
        end(record)
        raise
    _store(record)
    return record


def _copy_out(fd: int, target: Path, path: bytes) -> None:
    """Copy an open file to a new private file, and sync it."""
    size = os.fstat(fd).st_size
    out = state_files.new_file(target)
    try:
        for _ in copy_data(fd, 0, size, out, 0, path):
            pass
        state_files.resize(out, size)
        os.fsync(out)
    finally:
        os.close(out)


def _put_down(data: Content, target: Path) -> None:
    fd = state_files.new_file(target)
    try:
        write_extents(fd, extents_of((data,)))
    finally:
        os.close(fd)


def _common_length(first: bytes, second: bytes) -> int:
    """Return the length of the common prefix."""
    if first == second:
        return len(first)
    return next(
        (at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )


def is_half_done(record: Record, fd: int) -> bool:
    """Return whether the content is a mix of old and new bytes that only this write leaves.

    A write starts at the beginning; so does restoring the old bytes, which may have been interrupted as well.
    """
    with suppress(FileNotFoundError), record.new.open("rb") as new, record.data.open("rb") as old:
        size, sizes = os.fstat(fd).st_size, [os.fstat(file.fileno()).st_size for file in (new, old)]
        if not sizes[1] <= size <= max(sizes):
            return False
        position = 0
        todo = [old.fileno(), new.fileno(), old.fileno()]
        while chunk := os.pread(fd, _CHUNK, position):
            expected = os.pread(todo[0], len(chunk), position)
            if len(todo) == 1:
                expected = expected.ljust(len(chunk), b"\0")  # reserved space reads as zeros
            count = _common_length(chunk, expected)
            position += count
            if count < len(chunk):
                todo = todo[1:]
                if not todo:
                    return False
        return True
    return False


def put_old_back(record: Record, fd: int) -> None:
    """Restore the old bytes and metadata of a write in place; raises OSError."""
    with record.data.open("rb") as old_file:
        overwrite(fd, lambda: chunks_of(old_file.fileno()), _old_metadata(record, fd))


def complete(record: Record, fd: int, *, new: bool) -> None:
    """Set the metadata of a file that has all new bytes (``new``) or all old ones; raises OSError."""
    metadata = _old_metadata(record, fd)
    if new:
        current_mode = metadata_of(fd).mode
        mode = record.new_mode if current_mode == record.mode and record.new_mode >= 0 else current_mode
        metadata = replace(metadata, mode=mode, mtime_ns=None)
    apply_metadata(fd, metadata, exact=False)
    os.fsync(fd)


def _old_metadata(record: Record, fd: int) -> Metadata:
    """Return the old metadata: the attributes are the current ones, with the capability that the write removed."""
    xattrs = metadata_of(fd).xattrs
    if record.capability and CAPABILITY not in dict(xattrs):
        xattrs = (*xattrs, (CAPABILITY, bytes.fromhex(record.capability)))
    return Metadata(record.mode, record.uid, record.gid, xattrs, mtime_ns=record.mtime_ns or None)


def _store(record: Record) -> None:
    partial = record.file.with_suffix(".part")
    try:
        state_files.write_new(partial, [json.dumps(asdict(record)).encode()])
        state_files.rename(partial, record.file)
        sync_dir(record.file.parent)
    except OSError as error:
        for path in (partial, record.file, record.data, record.new):
            with suppress(OSError):
                state_files.remove(path)
        raise _refused(error) from error


def _refused(error: OSError) -> DtuiError:
    return StateFileError.of(error, state_dir("journal"), f"no journal, no change{full_disk_advice(error)}")


def end(record: Record) -> None:
    """End a record; if it cannot be removed, the next start finds nothing left to do."""
    for path in (record.file, record.data, record.new):
        with suppress(OSError):
            state_files.remove(path)


def sweep_journal() -> None:
    """Delete files without a record: the killed dtui had begun nothing."""
    for path in state_dir("journal").iterdir():
        if path.suffix in (".part", ".data", ".new") and not path.with_suffix(".json").exists():
            with suppress(OSError):
                if not _may_be_written(path):
                    state_files.remove(path)


def _may_be_written(path: Path) -> bool:
    """Return whether a dtui may be writing a file; older names have no owner, so their age decides."""
    if "." in path.stem:
        return named_owner_lives(path.stem)
    return abs(time.time() - path.stat().st_mtime) < 600


def is_old(record: Record) -> bool:
    """Return whether a record has waited for a week of this host's uptime: its container will not come back."""
    return has_been_gone_for(record.owner, record.since, 7 * 86_400)


def pending() -> tuple[Record, ...]:
    """Return the writes whose dtui is gone; unreadable records are skipped."""
    records = []
    for path in sorted(state_dir("journal").glob("*.json")):
        try:
            record = Record(**json.loads(path.read_text()))
            record = replace(record, container_id=ContainerId(record.container_id))
        except (OSError, ValueError, TypeError, BadId):
            continue
        if not owner_lives(record.owner):
            records.append(record)
    return tuple(records)
