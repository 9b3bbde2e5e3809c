"""Copy entries or trees between a container and this host, never through a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tui.core import progress
from tui.core.errors import AlreadyThere, EditRefused, NotFound, Stopped
from tui.core.id_maps import IdMap
from tui.core.ids import ContainerId
from tui.core.progress import Phase
from tui.core.records import Details, EntryKind
from tui.core.text import count_of, printable
from tui.files.history.backups import BackupMode, UndoKind, UndoRecord
from tui.files.history.estimate import replaced_size
from tui.files.history.transaction import Step, no_step, rollback_on_error
from tui.files.tree.host_files import HostFiles, refuse_unsized
from tui.files.tree.parent_defaults import inherited_from
from tui.files.tree.root_tree import RootTree, Tree
from tui.files.tree.skip_mounts import few, skipped_words
from tui.files.tree.snapshots import EntrySnapshot, snapshot_of
from tui.files.tree.union_tree import UnionTree, refuse_marks
from tui.files.tree.workspace import refuse_used_since, writable_tree
from tui.files.verbs.acts import (
    ChangeResult,
    Inspect,
    acting,
    backup_writer,
    covers_of,
    entry_at,
    goal_of,
    holder,
    keep_all,
    measured,
    notes_after,
    refuse_mounts,
)
from tui.files.verbs.opening import ids_of, reading_root, refuse_covered, stack_of
from tui.files.write import exchange
from tui.files.write.unchanged import changed_meanwhile
from tui.layers.mount_covers import Covers
from tui.layers.view import LayerView
from tui.linux.name_ops import OwnNameOps
from tui.linux.rooted_paths import Root, kind_of, normalized, split

COPIED = (EntryKind.FILE, EntryKind.DIRECTORY, EntryKind.SYMLINK)
"""Kinds to copy. A device or FIFO would give access to this host's; a socket is useless without its process."""

_COPIED_OVER = "a copy over a file keeps a copy of it"
_SET_ID = 0o6000
_SO_FAR = "what was copied so far is there"


class CopiedOut(NamedTuple):
    """Where the copy is on this host, how many entries it has, and what was skipped."""

    target: Path
    entries: int
    notes: tuple[str, ...]


@contextmanager
def readable_tree(details: Details) -> Iterator[Tree]:
    """Yield a container's tree for reading: through its process while it runs, else from its layers."""
    container = details.container.id
    root = reading_root(details)
    if root is not None:
        with root:
            yield RootTree(root, OwnNameOps(), container)
        return
    stack = stack_of(details)
    with LayerView.open(stack, details.mounts) as view, Root(-1) as nothing, view.keep_open():
        yield UnionTree(stack, view, nothing, container)


def copy_in(
    container_id: ContainerId,
    source: Path,
    path: bytes,
    *,
    inspect: Inspect,
    keep: BackupMode = BackupMode.USUAL,
    step: Step = no_step,
    over: bool = True,
) -> ChangeResult:
    """Copy a file or tree of this host into a container; if ``path`` is a directory, into that.

    It gets the owner of the directory it is copied into and loses setuid and setgid bits; devices, FIFOs and sockets
    are skipped. A file is replaced, a directory never; without ``over`` an existing file raises AlreadyThere. All names
    are collected before the first entry is created.
    """
    top = os.fspath(source.resolve() if source.name in ("", "..") else source.absolute()).rstrip("/")
    name = os.fsencode(os.path.basename(top))
    _require_on_host(top or "/")
    with acting(container_id, inspect) as details, HostFiles(os.path.dirname(top)) as host:
        _refuse_own_layer(details, source)
        progress.begin(Phase.MEASURE)
        host_paths, total = _host_places(host, name, step)
        with writable_tree(details) as tree:
            goal = goal_of(tree, path, name, directory=source.is_dir() and not source.is_symlink())
            refuse_mounts(details, covers_of(details, tree), goal)
            existing = tree.look(goal)
            if existing is not None and existing.kind is EntryKind.DIRECTORY:
                raise EditRefused(f"{printable(goal)} is a directory that exists already", "choose another name")
            if existing is not None and not over:
                raise AlreadyThere(f"{printable(goal)} exists already", "choose another name")
            entries = [(host_path, goal + host_path[len(name) :]) for host_path in host_paths]
            refuse_marks(details.stack, (path for _, path in entries))
            parent = holder(tree, goal)
            replaced = [] if existing is None else [existing]
            aside = _why_not_aside(details, host, host_paths, existing)
            replaced = measured(details, replaced, keep, aside=aside, nothing=_COPIED_OVER)
            if keep is not BackupMode.ASIDE or not replaced_size(replaced):
                with backup_writer(
                    details, UndoKind.COPY, goal, keep=BackupMode.USUAL if keep is BackupMode.ASIDE else keep
                ) as keeper:
                    if not replaced:
                        keeper.add(EntrySnapshot(goal))
                    keep_all(tree, replaced, keeper, total=replaced_size(replaced))
                    act = keeper.commit()
                with rollback_on_error(act, lambda: nullcontext(tree)) as changed:
                    progress.begin(Phase.COPY, total)
                    notes = _make_entries(
                        tree, host, entries, _Goal(parent, existing, act, ids_of(details)), changed, step
                    )
                return ChangeResult(goal, len(changed), act, (*few(notes), *notes_after(details, inspect)))
        act = _exchange(details, host, name, parent, goal, inspect)
        return ChangeResult(goal, 1, act, notes_after(details, inspect))


def _why_not_aside(details: Details, host: HostFiles, places: list[bytes], there: EntrySnapshot | None) -> str:
    """Return why the file that a copy replaces cannot be set aside, empty if it can or if there is none."""
    if there is None:
        return ""
    with host.entry(places[0], read=False) as (fd, _):
        if there.kind is not EntryKind.FILE or kind_of(os.fstat(fd).st_mode) is not EntryKind.FILE:
            return "only a file takes the place of a file without a copy"
    return exchange.why_not(details, there.path)


def _exchange(
    details: Details, host: HostFiles, name: bytes, parent: EntrySnapshot, goal: bytes, inspect: Inspect
) -> UndoRecord:
    """Exchange the layer's own file with a copy of this host's, and set the old one aside."""
    old = exchange.own_file(details, goal)
    at_rest = partial(refuse_used_since, details, stack_of(details), inspect)
    with host.entry(name) as (fd, data), backup_writer(details, UndoKind.COPY, goal, keep=BackupMode.ASIDE) as keeper:
        node = snapshot_of(fd, goal)
        if old is None or data is None:
            raise changed_meanwhile(goal)
        wanted = inherited_from(parent, replace(node, mode=node.mode & ~_SET_ID, same_as=b""), ids_of(details))
        return exchange.put(details, old, exchange.from_file(wanted, data), keeper, at_rest)


@dataclass(frozen=True, slots=True)
class _Goal:
    """Where a copy goes: the parent directory, the entry to replace, the undo record, and the container's ids."""

    parent: EntrySnapshot
    existing: EntrySnapshot | None
    act: UndoRecord
    ids: IdMap


def _make_entries(
    tree: Tree,
    host: HostFiles,
    entries: list[tuple[bytes, bytes]],
    goal: _Goal,
    changed: list[int],
    step: Step,
) -> list[str]:
    """Create entries of this host in a container, the first over ``goal.existing``; return notes of what was skipped.

    Hard links on this host become hard links in the container.
    """
    notes: list[str] = []
    shared = SharedFiles()
    for host_path, path in entries:
        step(len(changed), path)
        with host.entry(host_path) as (fd, data):
            node = snapshot_of(fd, path)
            if node.kind not in COPIED:
                notes.append(f"{printable(host_path)} is a {node.kind}: left out")
                continue
            same_as = shared.other_name(node)
            new_node = inherited_from(goal.parent, replace(node, mode=node.mode & ~_SET_ID, same_as=same_as), goal.ids)
            goal.act.expect(new_node)
            tree.make(new_node, data, over=goal.existing if not changed else None)
            changed.append(1)
    tree.sync()
    return notes


class SharedFiles:
    """Remembers files with several hard links, to recognize their other names."""

    def __init__(self) -> None:
        self._first_by_inode: dict[tuple[int, int], EntrySnapshot] = {}

    def other_name(self, node: EntrySnapshot) -> bytes:
        """Return the first path of a file that was seen before, empty if it is new or was written since."""
        if not node.names:
            return b""
        first = self._first_by_inode.setdefault(node.inode, node)
        if first is node or (first.size, first.mtime_ns) != (node.size, node.mtime_ns):
            return b""
        return first.path


def _refuse_own_layer(details: Details, source: Path) -> None:
    """Raise EditRefused for a source that contains the layer which the copy would be written to."""
    if details.stack is None:
        return
    layer = details.stack.writable.path
    with suppress(OSError):
        status = source.lstat()
        if any(os.path.samestat(status, directory.stat()) for directory in (layer, *layer.resolve().parents)):
            hint = "nothing was changed; copy what is beside it"
            raise EditRefused(f"{printable(str(source))} holds the container's own layer", hint)


def _require_on_host(path: str) -> None:
    try:
        os.lstat(path)
    except OSError as error:
        raise NotFound(f"{printable(path)}: {(error.strerror or '').lower()}", "name a file of this host") from error


def _host_places(host: HostFiles, name: bytes, step: Step) -> tuple[list[bytes], int]:
    """List an entry of this host and everything below it, parents first, with the total size."""
    host_paths: list[bytes] = []
    total = 0
    todo = [name]
    while todo:
        host_path = todo.pop()
        step(len(host_paths), host_path)
        with host.entry(host_path, read=False) as (fd, _):
            status = os.fstat(fd)
            kind = kind_of(status.st_mode)
            if not host_paths and kind not in COPIED:
                raise EditRefused(f"{printable(host_path)} is a {kind}", "files, directories and links are copied")
            if kind is EntryKind.DIRECTORY:
                todo += [host_path + b"/" + child for child in _names_in(fd)]
            elif kind is EntryKind.FILE:
                total += min(status.st_size, status.st_blocks * 512)
        host_paths.append(host_path)
    return host_paths, total


def _names_in(path_fd: int) -> list[bytes]:
    fd = os.open(f"/proc/self/fd/{path_fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return sorted(map(os.fsencode, os.listdir(fd)), reverse=True)
    finally:
        os.close(fd)


def copy_out(details: Details, path: bytes, target: Path, *, force: bool = False, step: Step = no_step) -> CopiedOut:
    """Copy a file, directory or volume of a container to this host.

    The copies belong to this user, get modes by the umask, and lose setuid and setgid bits; devices, FIFOs and sockets
    are skipped. ``force`` permits replacing a file; nothing else is replaced. All names are collected before the first
    entry is created.
    """
    notes: list[str] = []
    with readable_tree(details) as container_tree, ExitStack() as exit_stack:
        canonical_path = container_tree.canonical_path(normalized(path))
        tree = container_tree.entered(canonical_path)
        if not details.container.state.alive:
            notes += _hidden(covers_of(details, tree), canonical_path)
        node = entry_at(tree, canonical_path)
        if target.is_dir() and not target.is_symlink():
            target = target / (os.fsdecode(split(canonical_path)[1]) or "root")
        host = exit_stack.enter_context(HostFiles(os.fspath(target.absolute().parent)))
        name = os.fsencode(target.name)
        _refuse_existing(host, name, target, node, force=force)
        progress.begin(Phase.MEASURE)
        nodes = _below(tree, node, notes, step)
        host_paths = [name + entry.path[len(canonical_path.rstrip(b"/")) :].rstrip(b"/") for entry in nodes]
        host_path_of = dict(zip((entry.path for entry in nodes), host_paths, strict=True))
        shared = SharedFiles()
        progress.begin(Phase.COPY, replaced_size(nodes))
        mask = _umask()
        for count, (entry, host_path) in enumerate(zip(nodes, host_paths, strict=True)):
            with count_on_stop(count):
                step(count, entry.path)
            shared_path = shared.other_name(entry)
            host_node = replace(
                entry, mode=entry.mode & 0o777 & ~mask, same_as=host_path_of[shared_path] if shared_path else b""
            )
            _put_on_host(tree, host, host_path, host_node, notes, force=force)
        for entry, host_path in zip(reversed(nodes), reversed(host_paths), strict=True):
            if entry.kind is EntryKind.DIRECTORY:
                with _explained(host_path):
                    host.close_directory(host_path, entry.mode & 0o777 & ~mask)
        with _explained(name):
            host.sync()
    return CopiedOut(target, len(nodes), few(notes))


def _hidden(covers: Covers, canonical_path: bytes) -> list[str]:
    """Return notes about mounts below a path of a stopped container; raises EditRefused inside a mount."""
    refuse_covered(covers, canonical_path)
    prefix = canonical_path.rstrip(b"/") + b"/"
    mounts_below = [cover for cover in covers.mounts if cover[0].startswith(prefix) and cover[1].kind != "engine"]
    return [skipped_words(mount_path, mount) for mount_path, mount in mounts_below]


def _umask() -> int:
    """Return this process's umask from /proc, since umask(2) would change it for all threads."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        line = next((line for line in status if line.startswith("Umask:")), "Umask: 022")
    return int(line.split()[1], 8)


@contextmanager
def count_on_stop(count: int) -> Iterator[None]:
    """If the user stops a copy to this host, say that what was copied stays."""
    try:
        yield
    except Stopped as error:
        if not count:
            raise
        message = f"{error.message} ({count_of(count, 'entry', 'entries')} done)"
        raise Stopped(message, _SO_FAR) from error


@contextmanager
def _explained(host_path: bytes) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EditRefused(f"{printable(host_path)}: {(error.strerror or '').lower()}", _SO_FAR) from error


def _refuse_existing(host: HostFiles, name: bytes, target: Path, node: EntrySnapshot, *, force: bool) -> None:
    try:
        status = os.stat(name, dir_fd=host.parent(name)[0], follow_symlinks=False)
    except FileNotFoundError:
        return
    if not (force and node.kind is EntryKind.FILE and stat.S_ISREG(status.st_mode)):
        raise EditRefused(
            f"{printable(str(target))} exists already",
            "choose another name; dtui cp --force replaces a file",
        )


def _below(tree: Tree, node: EntrySnapshot, notes: list[str], step: Step) -> list[EntrySnapshot]:
    """List an entry and everything below it, parents first; mount points are skipped with a note."""
    nodes: list[EntrySnapshot] = []
    todo = [node]
    while todo:
        entry = todo.pop()
        step(len(nodes), entry.path)
        nodes.append(entry)
        if entry.kind is not EntryKind.DIRECTORY:
            continue
        for name in reversed(tree.names(entry.path)):
            try:
                child = tree.look(entry.path.rstrip(b"/") + b"/" + name)
            except EditRefused as error:
                notes.append(error.message)
                continue
            if child is not None:
                todo.append(child)
    return nodes


def _put_on_host(
    tree: Tree, host: HostFiles, host_path: bytes, node: EntrySnapshot, notes: list[str], *, force: bool
) -> None:
    """Create one entry on this host; ``same_as`` is a place there to hard-link.

    Its parent directories were just created by this copy, and links in them are never followed.
    """
    with _explained(host_path):
        if node.same_as:
            host.link(node.same_as, host_path)
            return
        if node.kind is EntryKind.DIRECTORY:
            host.make_directory(host_path, node.mode)
        elif node.kind is EntryKind.SYMLINK:
            host.make_symlink(host_path, node.target)
        elif node.kind is EntryKind.FILE:
            source = tree.open_file(node.path)
            try:
                refuse_unsized(source, node.path)
                host.make_file(host_path, source, node, over=force)
            finally:
                os.close(source)
        else:
            notes.append(f"{printable(node.path)} is a {node.kind}: left out")
