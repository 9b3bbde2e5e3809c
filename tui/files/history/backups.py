"""Backups of what each act replaced, in the state directory: private, bounded, oldest dropped first.

An act is a directory ``CONTAINER/NUMBER``, numbered in the order of acts, independent of the clock. ``act.json`` says
what was at each path, and when; ``data`` has the files' bytes one after another, with holes; ``after`` has a line for
each entry that the act was about to create. An empty file's name is the state: ``begun``, ``done`` or ``undone``.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, overload

from tui.core import state_files
from tui.core.errors import DtuiError, EditRefused, NotFound, StateFileError, full_disk_advice
from tui.core.ids import BadId, ContainerId
from tui.core.state import reserve_space, state_dir, sync_dir
from tui.core.text import human_size, printable
from tui.files.history.order import is_change, is_counted, numbered, order_of
from tui.files.tree.snapshots import EntrySnapshot, from_json, to_json
from tui.files.write.aside_places import remove_set_aside
from tui.linux.process_marks import has_been_gone_for, named_owner_lives, owned_name, owner_lives, owner_mark, uptime
from tui.linux.sparse import copy_data

TOTAL_LIMIT = 1 << 30
ACT_LIMIT = 512 << 20
"""Bytes that one act may replace; a larger one is refused unless a backup mode says otherwise."""

_VERSION = 1
_LAST_SECOND = 253_402_300_799
"""Of the year 9999."""

_WEEK = 7 * 86_400

_VERSION_BEYOND = 2
"""Version of an act whose bytes are not all in ``data``, so that an older dtui does not mistake it for a copy."""

_VERSION_EXCHANGED = 3
"""Version of an act with exchanged files: what is set aside may be the new file."""

_RESERVE = 64 << 20
"""Bytes of the state directory's disk that a large copy leaves free, at most."""

_BEFORE_NODES = b', "nodes": ['
_AFTER_NODES = b"]}"

_MARKS = ("begun", "done", "undone")
_ASIDE_MARK = "aside"
"""Empty file that exempts an act from dropping the oldest: nobody would find what was set aside."""


class BackupMode(StrEnum):
    """What to do with the bytes that an act replaces."""

    USUAL = "usual"
    """Copy them up to the limit; refuse a larger act and list the choices."""
    COPY = "copy"
    """Copy them whatever their size."""
    ASIDE = "aside"
    """Move them out of the container's layer with a rename."""
    NOTHING = "nothing"
    """Keep nothing: the act cannot be undone."""


@dataclass(frozen=True, slots=True)
class BackupChoices:
    """What can be done about an act that exceeds the limit; each field says why not, or is empty."""

    size: int
    room: int
    copy: str = ""
    aside: str = ""
    nothing: str = ""

    @property
    def options(self) -> str:
        """The possible options of the command line, and why setting aside is not possible."""
        options = [] if self.copy else ["--keep copies it all the same"]
        options += [] if self.aside else ["--set-aside moves it out of the layer"]
        options += [] if self.nothing else ["--no-backup cannot be undone"]
        why = f"; it cannot be set aside: {self.aside}" if self.aside else ""
        return (", ".join(options) or "free some space") + why


class TooLarge(EditRefused):
    """An act would replace more than the limit; nothing was changed, and ``choices`` says what is possible."""

    def __init__(self, choices: BackupChoices, why: str) -> None:
        super().__init__(f"this replaces {human_size(choices.size)}, {why}", choices.options)
        self.choices = choices


@dataclass(frozen=True, slots=True)
class SetAside:
    """Entries that an act moved out of the layer with a rename: ``names`` of the layer's directory ``parent``."""

    directory: Path
    parent: bytes
    names: tuple[bytes, ...]
    size: int
    exchanged: bool = False
    """Whether the entry was exchanged with a new file, which was made in that directory."""
    source: Path | None = None
    """The file that was used as the new file, if it was not made there."""


class UndoKind(StrEnum):
    """What was done, in the words of ``dtui backups``."""

    WRITE = "write"
    CREATE = "create"
    REMOVE = "delete"
    RENAME = "rename"
    MKDIR = "new directory"
    CHMOD = "chmod"
    CHOWN = "chown"
    COPY = "copy in"
    REVERT = "revert"
    UNDO = "undo"
    REDO = "redo"
    """An undo that was undone; it can be undone like any other act."""


@dataclass(frozen=True, slots=True)
class UndoRecord:
    """One change of a container: what was at each path before it, and where the bytes are.

    ``new_path`` is the new path of a rename. ``wrote`` is the SHA-256 of what a write wrote.
    """

    folder: Path
    container: ContainerId
    name: str
    kind: UndoKind
    path: bytes
    new_path: bytes
    wrote: str
    owner: str
    nodes: Sequence[EntrySnapshot]
    expects: bool = False
    """Whether the act records what it creates; older versions did not."""
    time_ns: int = 0
    """Clock time of the act, in nanoseconds."""
    since: float = 0.0
    """Uptime of this host at that moment, in seconds."""
    aside: SetAside | None = None
    kept_size: int = 0
    """Total size of the entries' bytes in the backup."""

    @property
    def id(self) -> str:
        """The act's number in the store, which orders acts."""
        return self.folder.name

    @property
    def time(self) -> datetime:
        """When it was done, by the clock then; for display, never for sorting."""
        return datetime.fromtimestamp(max(0, min(self.time_ns // 10**9, _LAST_SECOND)), UTC)

    @property
    def data(self) -> Path:
        """The file with the replaced bytes."""
        return self.folder / "data"

    @property
    def taken_back_by(self) -> UndoKind:
        """The kind of the act that undoes this one."""
        return UndoKind.REDO if self.kind is UndoKind.UNDO else UndoKind.UNDO

    @property
    def size(self) -> int:
        """Bytes that it keeps."""
        return self.aside.size if self.aside else self.kept_size

    @property
    def done(self) -> bool:
        """Whether it is complete."""
        return _has_ended(self.folder)

    @property
    def undone(self) -> bool:
        """Whether it was undone."""
        return (self.folder / "undone").exists()

    @property
    def cut_off(self) -> bool:
        """Whether its dtui died before it was complete."""
        return not self.done and not owner_lives(self.owner)

    def expect(self, *nodes: EntrySnapshot, durable: bool = False) -> None:
        """Record what the act is about to create, so that undo recognizes it; raises EditRefused.

        ``durable`` syncs the record.
        """
        try:
            with os.fdopen(state_files.open_to_append(self.folder / "after"), "wb") as file:
                file.writelines(json.dumps(to_json(node)).encode() + b"\n" for node in nodes)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            if durable:
                sync_dir(self.folder)
        except OSError as error:
            raise StateFileError.of(error, self.folder, "it is dtui's own disk that is full or failing") from error

    @contextmanager
    def pin(self) -> Iterator[None]:
        """Protect it from being dropped while it is restored; raises NotFound if it is gone."""
        try:
            fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            message = f"what this {self.kind} of {printable(self.path)} replaced is kept no more"
            raise NotFound(message, "dtui backups lists what is") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            yield
        finally:
            os.close(fd)

    @property
    def after(self) -> dict[bytes, EntrySnapshot] | None:
        """What the act created so far, by path; None if that was not recorded."""
        if not self.expects:
            return None
        snapshots: dict[bytes, EntrySnapshot] = {}
        with suppress(FileNotFoundError), open(self.folder / "after", encoding="utf-8") as lines:
            for line in lines:
                with suppress(ValueError):  # the last line may be incomplete
                    node = from_json(json.loads(line))
                    snapshots[node.path] = node
        return snapshots

    def mark(self, word: str) -> None:
        """Set the state to ``done`` or ``undone``, which needs no space; raises EditRefused."""
        try:
            for before in _MARKS:
                with suppress(FileNotFoundError):
                    state_files.rename(self.folder / before, self.folder / word)
                    break
            else:  # an interrupted act of an older dtui
                state_files.make_marker(self.folder / word)
            sync_dir(self.folder)
        except OSError as error:
            raise StateFileError.of(error, self.folder, "the next start of dtui puts it right") from error
        if word == "done":  # the record of what it created has grown since the commit
            with suppress(DtuiError, OSError):
                _drop_oldest(keep=self.folder)

    def forget(self) -> None:
        """Delete the record, as if the act had never happened."""
        state_files.remove_directory_if_possible(self.folder)


class BackupWriter:
    """Backs up what an act is about to replace; nothing may be changed before :meth:`commit`."""

    def __init__(
        self,
        container_id: ContainerId,
        name: str,
        kind: UndoKind,
        path: bytes,
        *,
        new_path: bytes = b"",
        wrote: str = "",
        keep: BackupMode = BackupMode.USUAL,
    ) -> None:
        self._fields = {
            "version": _VERSION,
            "container": container_id,
            "name": name,
            "kind": kind.value,
            "path": os.fsdecode(path),
            "other": os.fsdecode(new_path),
            "wrote": wrote,
            "owner": owner_mark(),
            "expects": True,
        }
        self._takes_back = kind in (UndoKind.UNDO, UndoKind.REDO)
        self._limit = ACT_LIMIT if keep is BackupMode.USUAL else None
        self._store = state_dir("backups", container_id)
        self._part = self._store / f".{owned_name()}.part"
        try:
            state_files.make_directory(self._part)
            self._data = state_files.new_file(self._part / "data")
        except OSError as error:
            state_files.remove_directory_if_possible(self._part)
            raise self._refused(error) from error
        self._end = 0
        self._bytes = 0
        self._nodes: list[EntrySnapshot] = []
        self._inodes: dict[tuple[int, int], bytes] = {}

    def add(self, node: EntrySnapshot, fd: int | None = None) -> None:
        """Back up an entry, with the bytes of ``fd`` if it is a file; raises TooLarge, StateDiskFull, EditRefused."""
        if node.image or fd is not None:
            first_path = self._inodes.setdefault(node.inode, node.path) if node.inode != (0, 0) else node.path
            if first_path != node.path:
                node = replace(node, same_as=first_path, has_bytes=True)
            elif node.image or fd is None:
                node = replace(node, has_bytes=True)
            else:
                start = self._end
                self._copy(node, fd)
                node = replace(node, offset=start, has_bytes=True)
        self._nodes.append(node)

    def _copy(self, node: EntrySnapshot, fd: int) -> None:
        try:
            for copied in copy_data(fd, 0, node.size, self._data, self._end, node.path):
                self._bytes += copied
                if self._limit is not None and self._bytes > self._limit:  # the file has grown since it was measured
                    raise TooLarge(BackupChoices(self._bytes, room()), beyond_limit())
            self._end += node.size
            if os.fstat(self._data).st_size < self._end:  # it ends in a hole
                state_files.resize(self._data, self._end)
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise self._too_long() from error
            raise self._refused(error) from error

    def _too_long(self) -> EditRefused:
        """Return the error for data whose length, with holes, exceeds the host's largest file size."""
        message = f"{self._store.parent}: what this replaces is longer, with its holes, than a file may be there"
        return EditRefused(message, "nothing was changed; do it entry by entry")

    def _refused(self, error: OSError) -> DtuiError:
        without = ", or dtui undo --no-backup" if self._takes_back else ""
        return StateFileError.of(error, self._store.parent, f"no backup, no change{full_disk_advice(error)}{without}")

    @property
    def nodes(self) -> tuple[EntrySnapshot, ...]:
        """The entries added so far."""
        return tuple(self._nodes)

    @property
    def count(self) -> int:
        """How many entries were added so far."""
        return len(self._nodes)

    def commit(self, aside: SetAside | None = None) -> UndoRecord:
        """Make the backup durable; from now on the act can be undone."""
        reserve_space()
        self._fields |= {"time_ns": time.time_ns(), "since": uptime()}
        self._fields |= {"count": len(self._nodes), "size": _kept_size(self._nodes)}
        if aside is not None:
            self._fields["aside"] = {
                "place": str(aside.directory),
                "above": os.fsdecode(aside.parent),
                "names": [os.fsdecode(name) for name in aside.names],
                "size": aside.size,
                "exchanged": aside.exchanged,
                "source": str(aside.source) if aside.source else None,
            }
        if aside is not None or any(node.image for node in self._nodes):
            exchanged = aside is not None and aside.exchanged
            self._fields["version"] = _VERSION_EXCHANGED if exchanged else _VERSION_BEYOND
        try:
            os.fsync(self._data)
            state_files.make_marker(self._part / _MARKS[0])
            if aside is not None:
                state_files.make_marker(self._part / _ASIDE_MARK)
            state_files.write_new(self._part / "act.json", self._record())
            with numbered(self._store.parent) as name:
                folder = self._store / name
                state_files.rename(self._part, folder)
        except OSError as error:
            raise self._refused(error) from error
        finally:
            self._close()
        try:
            sync_dir(self._store)
            act = _record_from(folder, self._fields, self.nodes)
        except OSError as error:
            state_files.remove_directory_if_possible(folder)
            raise self._refused(error) from error
        _drop_oldest(keep=folder)
        return act

    def _record(self) -> Iterator[bytes]:
        """Yield the record in pieces: there may be hundreds of thousands of entries."""
        yield json.dumps(self._fields)[:-1].encode() + _BEFORE_NODES
        for number, node in enumerate(self._nodes):
            yield (b",\n" if number else b"\n") + json.dumps(to_json(node)).encode()
        yield _AFTER_NODES

    def _close(self) -> None:
        if self._data >= 0:
            os.close(self._data)
            self._data = -1

    def discard(self) -> None:
        """Delete an uncommitted backup; does nothing after a commit."""
        self._close()
        state_files.remove_directory_if_possible(self._part)


class StoredNodes(Sequence[EntrySnapshot]):
    """The entries of a stored record, read on first use, so that listing records stays cheap."""

    def __init__(self, file: Path, count: int) -> None:
        self._file = file
        self._count = count
        self._loaded: tuple[EntrySnapshot, ...] | None = None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> EntrySnapshot: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[EntrySnapshot, ...]: ...

    def __getitem__(self, index: int | slice) -> EntrySnapshot | tuple[EntrySnapshot, ...]:
        return self._all[index]

    def __iter__(self) -> Iterator[EntrySnapshot]:
        return iter(self._all)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._all == tuple(other)

    def __hash__(self) -> int:
        return hash(self._all)

    @property
    def _all(self) -> tuple[EntrySnapshot, ...]:
        """Read the entries line by line to bound memory; raises EditRefused if the record is damaged."""
        if self._loaded is None:
            try:
                with self._file.open("rb") as lines:
                    next(lines)
                    self._loaded = tuple(from_json(json.loads(_one_node(line))) for line in lines)
                if len(self._loaded) != self._count:
                    raise ValueError(f"{len(self._loaded)} of {self._count} entries")
            except (OSError, ValueError, KeyError, TypeError) as error:
                message = f"{self._file} is damaged: {error}"
                raise EditRefused(message, "nothing was changed; what it keeps is beside it") from error
        return self._loaded


def _one_node(line: bytes) -> bytes:
    """Return the JSON of the entry on one line, without separators."""
    return line.rstrip(b"\n").removesuffix(_AFTER_NODES).removesuffix(b",")


def _read(folder: Path) -> UndoRecord:
    """Read a record; its entries stay on disk, except those of older versions."""
    file = folder / "act.json"
    with file.open("rb") as lines:
        head = lines.readline()
    if head.endswith(_BEFORE_NODES + b"\n"):
        fields = json.loads(head.removesuffix(_BEFORE_NODES + b"\n") + b"}")
        nodes: Sequence[EntrySnapshot] = StoredNodes(file, int(fields["count"]))
    else:
        fields = json.loads(file.read_text(), object_hook=_node_or_dict)
        nodes = tuple(fields["nodes"])
    if fields["version"] not in (_VERSION, _VERSION_BEYOND, _VERSION_EXCHANGED):
        raise ValueError(f"version {fields['version']}")
    return _record_from(folder, fields, nodes)


def _node_or_dict(told: dict[str, Any]) -> EntrySnapshot | dict[str, Any]:
    """Convert a JSON object that describes an entry at once, to bound memory."""
    return from_json(told) if "kind" in told and "path" in told and "version" not in told else told


def _kept_size(nodes: Iterable[EntrySnapshot]) -> int:
    """Return how many bytes the backup holds; those in the image are not counted."""
    return sum(node.size for node in nodes if not node.image)


def _record_from(folder: Path, fields: dict[str, Any], nodes: Sequence[EntrySnapshot]) -> UndoRecord:
    return UndoRecord(
        folder=folder,
        container=ContainerId(fields["container"]),
        name=str(fields["name"]),
        kind=UndoKind(fields["kind"]),
        path=os.fsencode(fields["path"]),
        new_path=os.fsencode(fields["other"]),
        wrote=str(fields["wrote"]),
        owner=str(fields["owner"]),
        nodes=nodes,
        expects=bool(fields.get("expects")),
        time_ns=int(fields.get("time_ns", 0) if is_counted(folder.name) else folder.name),
        since=float(fields.get("since", 0)),
        aside=_set_aside_from(fields["aside"]) if "aside" in fields else None,
        kept_size=int(fields["size"]) if "size" in fields else _kept_size(nodes),
    )


def _set_aside_from(fields: dict[str, Any]) -> SetAside:
    names = tuple(os.fsencode(name) for name in fields["names"])
    source = Path(fields["source"]) if fields.get("source") else None
    exchanged = bool(fields.get("exchanged"))
    return SetAside(Path(fields["place"]), os.fsencode(fields["above"]), names, int(fields["size"]), exchanged, source)


def folders(container_id: ContainerId | None = None) -> list[Path]:
    """Return the directories of acts, of one container or of all, oldest first."""
    change_folders = (
        folder for folder in state_dir("backups").glob(f"{container_id or '*'}/*") if is_change(folder.name)
    )
    return sorted(change_folders, key=lambda folder: order_of(folder.name))


def undo_records(container_id: ContainerId | None = None) -> Iterator[UndoRecord]:
    """Yield acts, of one container or of all, newest first; unreadable ones are skipped."""
    for folder in reversed(folders(container_id)):
        with suppress(OSError, ValueError, KeyError, TypeError, BadId):
            yield _read(folder)


def find(act_id: str) -> UndoRecord:
    """Return the act with an id, with or without leading zeros, or with a unique id prefix; raises NotFound."""
    acts = list(undo_records())
    matches = [act for act in acts if act.id == act_id or (is_counted(act.id) and act.id.lstrip("0") == act_id)]
    matches = matches or [act for act in acts if act_id and act.id.startswith(act_id)]
    if len(matches) != 1:
        quantity = "no" if not matches else "more than one"
        raise NotFound(f"{quantity} backup {printable(act_id)}", "dtui backups lists them")
    return matches[0]


def last_to_undo(container_id: ContainerId | None = None) -> UndoRecord:
    """Return the newest act that can be undone; raises NotFound."""
    for act in undo_records(container_id):
        if act.kind is not UndoKind.UNDO and act.done and not act.undone:
            return act
    raise NotFound("there is nothing to take back", "dtui backups lists all")


def beyond_limit() -> str:
    """Return the words that an act exceeds the limit."""
    return f"more than the {human_size(ACT_LIMIT)} that are kept for undo"


def room() -> int:
    """Return how many bytes a copy may take on the state directory's disk, which keeps a reserve."""
    disk = os.statvfs(state_dir("backups"))
    return max(0, (disk.f_bavail - min(disk.f_blocks // 50, _RESERVE // disk.f_frsize)) * disk.f_frsize)


def _drop_oldest(keep: Path) -> None:
    every = folders()
    sizes = {folder: size_on_disk(folder) for folder in every}
    beyond = {folder for folder, size in sizes.items() if size > ACT_LIMIT or (folder / _ASIDE_MARK).exists()}
    total = sum(size for folder, size in sizes.items() if folder not in beyond)
    for folder in every:
        if total <= TOTAL_LIMIT:
            return
        if folder != keep and folder not in beyond and _may_be_dropped(folder) and drop(folder):
            total -= sizes[folder]


def _set_aside_by(folder: Path) -> SetAside | None:
    """Return what an act set aside, None if nothing."""
    if not (folder / _ASIDE_MARK).exists():
        return None
    with suppress(OSError, ValueError, KeyError, TypeError):
        return _read(folder).aside
    return None


def drop(folder: Path) -> bool:
    """Delete an act and what it set aside, and return True; False if it is being restored. Raises OSError."""
    with suppress(FileNotFoundError):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            aside = _set_aside_by(folder)
            if aside is not None:
                remove_set_aside(aside.directory)
            state_files.remove_directory_if_possible(folder)
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
    return True


def _may_be_dropped(folder: Path) -> bool:
    """Return whether an act is not needed for recovery any more.

    The container of an interrupted act counts as gone after this host has been up for a week, whatever the clock says.
    """
    if _has_ended(folder):
        return True
    try:
        act = _read(folder)
    except (OSError, ValueError, KeyError, TypeError, BadId):  # a newer dtui may be able to read it
        return False
    return has_been_gone_for(act.owner, act.since, _WEEK)


def reason_to_keep(folder: Path, *, is_removed: bool) -> str:
    """Return why an act must not be deleted now, empty if it may be; ``is_removed``: its container is surely gone."""
    if _has_ended(folder):
        return ""
    try:
        act = _read(folder)
    except (OSError, ValueError, KeyError, TypeError, BadId):
        return "" if is_removed else "this version cannot read it"
    if not act.cut_off:
        return "it is under way"
    return "" if is_removed else "it was cut off, and is needed to put that right"


def time_of(folder: Path) -> datetime:
    """Return when an act was done, by the clock; if it is unreadable, its directory's modification time."""
    try:
        return _read(folder).time
    except (OSError, ValueError, KeyError, TypeError, BadId):
        return datetime.fromtimestamp(folder.stat().st_mtime, UTC)


def _has_ended(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in _MARKS[1:])


def size_on_disk(folder: Path) -> int:
    """Return the disk space of an act in bytes, with its directory and what it set aside."""
    total = 0
    with suppress(FileNotFoundError):
        for path in (folder, *folder.iterdir()):
            total += path.stat().st_blocks * 512
    aside = _set_aside_by(folder)
    return total + (aside.size if aside is not None and aside.directory.exists() else 0)


def sweep_backups() -> None:
    """Delete unfinished backups of a killed dtui, which had changed nothing yet."""
    for part in state_dir("backups").glob("*/.*.part"):
        name = part.name[1:].removesuffix(".part")
        if not (_may_be_written(name) if name.isdigit() else named_owner_lives(name)):
            state_files.remove_directory_if_possible(part)


def _may_be_written(stamp: str) -> bool:
    """Return whether an older dtui, which named it after the clock, may be writing it: no change takes a day."""
    return abs(time.time_ns() - int(stamp)) < 86_400 * 10**9
