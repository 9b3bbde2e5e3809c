"""Copying between a container and this host, an entry or a whole subtree, never through a link."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from tui.core.errors import EditRefused, NotFound, Stopped
from tui.core.model import Details, EntryKind
from tui.core.record_ids import ContainerId
from tui.core.text import count_of, printable
from tui.editing import progress
from tui.editing.acts import (
    Inspect,
    Outcome,
    acting,
    covers_of,
    found,
    goal_of,
    holder,
    keep_one,
    keeping,
    notes_after,
    refuse_mounts,
)
from tui.editing.atomic import temporary_name
from tui.editing.backups import Act, ActKind, Keep
from tui.editing.beside import few, left_out
from tui.editing.estimate import require_room, size_of
from tui.editing.guard import Step, guarded, no_step
from tui.editing.hands import OwnHands
from tui.editing.inherit import placed_in
from tui.editing.nodes import Node, node_of
from tui.editing.progress import Phase
from tui.editing.session import refuse_covered, running_root, stack_of
from tui.editing.sparse import copy_data
from tui.editing.trees import RootTree, Tree
from tui.editing.union import UnionTree, refuse_marks
from tui.editing.workspace import writable_tree
from tui.layers.covers import Covers
from tui.layers.paths import Root, clean, kind_of, open_child, refuse_kernel_files, reopen_regular, split
from tui.layers.view import LayerView

COPIED = (EntryKind.FILE, EntryKind.DIRECTORY, EntryKind.SYMLINK)
"""What is copied; a device or a FIFO would be a way to this host's, and a socket is nothing without its process."""

_COPIED_OVER = "a copy over a file keeps a copy of it"
_SET_ID = 0o6000
_PATH_MAX = 4096
_SO_FAR = "what was copied so far is there"


@contextmanager
def readable_tree(details: Details) -> Iterator[Tree]:
    """Yield a container's tree to read: through its process while it runs, else from its layers."""
    container = details.container.id
    if details.container.state.alive and details.pid and os.geteuid() == 0:
        with running_root(details) as root:
            yield RootTree(root, OwnHands(), container)
        return
    stack = stack_of(details)
    with LayerView.open(stack, details.mounts) as view, Root(-1) as nothing, view.held():
        yield UnionTree(stack, view, nothing, container)


def copy_in(
    container_id: ContainerId,
    source: Path,
    path: bytes,
    *,
    inspect: Inspect,
    keep: Keep = Keep.USUAL,
    step: Step = no_step,
) -> Outcome:
    """Copy a file or directory of this host into a container; into a directory that is there, by its own name.

    It belongs to whom the directory belongs that it comes into, and so loses setuid and setgid bits; devices, FIFOs and
    sockets are left out. A file is replaced, a directory never. All names are known before the first one is made.
    """
    top = os.fspath(source.resolve() if source.name in ("", "..") else source.absolute()).rstrip("/")
    name = os.fsencode(os.path.basename(top))
    _require_on_host(top or "/")
    with acting(container_id, inspect) as details, ExitStack() as held:
        _refuse_own_layer(details, source)
        above = _host_directory(os.path.dirname(top), held)
        progress.begin(Phase.MEASURE)
        places, total = _host_places(above, name, step)
        with writable_tree(details) as tree:
            goal = goal_of(tree, path, name, directory=source.is_dir() and not source.is_symlink())
            refuse_mounts(details, covers_of(details, tree), goal)
            there = tree.look(goal)
            if there is not None and there.kind is EntryKind.DIRECTORY:
                raise EditRefused(f"{printable(goal)} is a directory that exists already", "choose another name")
            entries = [(place, goal + place[len(name) :]) for place in places]
            _refuse_too_long(path for _, path in entries)
            refuse_marks(details.stack, (path for _, path in entries))
            parent = holder(tree, goal)
            replaced = [] if there is None else [there]
            require_room(size_of(replaced), keep, aside=_COPIED_OVER, nothing=_COPIED_OVER)
            progress.begin(Phase.KEEP, size_of(replaced))
            with keeping(details, ActKind.COPY, goal, keep=keep) as keeper:
                if there is None:
                    keeper.add(Node(goal))
                else:
                    keep_one(tree, there, keeper)
                act = keeper.commit()
            with guarded(act, lambda: nullcontext(tree)) as changed:
                progress.begin(Phase.COPY, total)
                notes = _make_entries(tree, above, entries, parent, there, act, changed, step)
        return Outcome(goal, len(changed), act, (*few(notes), *notes_after(details, inspect)))


def _make_entries(
    tree: Tree,
    above: int,
    entries: list[tuple[bytes, bytes]],
    parent: Node,
    there: Node | None,
    act: Act,
    changed: list[int],
    step: Step,
) -> list[str]:
    """Make entries of this host, by place and path, in a container, the first one over what is there; tell what not."""
    notes: list[str] = []
    for place, path in entries:
        step(len(changed), path)
        with _host_entry(above, place) as (fd, data):
            node = node_of(fd, path)
            if node.kind not in COPIED:
                notes.append(f"{printable(place)} is a {node.kind}: left out")
                continue
            wanted = placed_in(parent, replace(node, mode=node.mode & ~_SET_ID))
            act.expect(wanted)
            tree.make(wanted, data, over=there if not changed else None)
            changed.append(1)
    return notes


def _refuse_own_layer(details: Details, source: Path) -> None:
    """Raise EditRefused for a directory that holds the layer which the copy would be written into."""
    if details.stack is None:
        return
    layer = details.stack.writable.path
    with suppress(OSError):
        status = source.lstat()
        if any(os.path.samestat(status, one.stat()) for one in (layer, *layer.resolve().parents)):
            hint = "nothing was changed; copy what is beside it"
            raise EditRefused(f"{printable(str(source))} holds the container's own layer", hint)


def _refuse_too_long(paths: Iterable[bytes]) -> None:
    """Raise EditRefused for a path that no system call takes."""
    for path in paths:
        if len(path) >= _PATH_MAX:
            shown = f"{printable(path[:60])}…: {count_of(path.count(b'/'), 'level')} are too deep to be named"
            raise EditRefused(shown, "nothing was changed; copy parts of it")


def _require_on_host(path: str) -> None:
    try:
        os.lstat(path)
    except OSError as error:
        raise NotFound(f"{printable(path)}: {(error.strerror or '').lower()}", "name a file of this host") from error


def _host_directory(path: str, held: ExitStack) -> int:
    try:
        fd = os.open(path or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NotFound(f"{printable(path)}: {(error.strerror or '').lower()}", "name a file of this host") from error
    held.callback(os.close, fd)
    return fd


def _host_places(dir_fd: int, name: bytes, step: Step) -> tuple[list[bytes], int]:
    """List an entry of this host and all below it, parents first, by path; add their bytes up."""
    places: list[bytes] = []
    total = 0
    todo = [name]
    while todo:
        place = todo.pop()
        step(len(places), place)
        _refuse_too_long((place,))
        with _host_entry(dir_fd, place, read=False) as (fd, _):
            status = os.fstat(fd)
            kind = kind_of(status.st_mode)
            if not places and kind not in COPIED:
                raise EditRefused(f"{printable(place)} is a {kind}", "files, directories and links are copied")
            if kind is EntryKind.DIRECTORY:
                todo += [place + b"/" + child for child in _names_in(fd)]
            elif kind is EntryKind.FILE:
                total += min(status.st_size, status.st_blocks * 512)
        places.append(place)
    return places, total


def _names_in(path_fd: int) -> list[bytes]:
    fd = os.open(f"/proc/self/fd/{path_fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return sorted(map(os.fsencode, os.listdir(fd)), reverse=True)
    finally:
        os.close(fd)


@contextmanager
def _host_entry(dir_fd: int, place: bytes, *, read: bool = True) -> Iterator[tuple[int, int | None]]:
    """Yield what stands at a place below a directory of this host, no link followed, and a file's bytes to read."""
    with ExitStack() as held:
        try:
            fd = open_child(dir_fd, place, os.O_PATH)
        except OSError as error:
            what = "is a mount point" if error.errno == errno.EXDEV else (error.strerror or "").lower()
            raise NotFound(f"{printable(place)}: {what}", "name a file of this host") from error
        held.callback(os.close, fd)
        refuse_kernel_files(fd, place)  # their sizes say nothing, and some have an effect when they are read
        data = None
        if read and kind_of(os.fstat(fd).st_mode) is EntryKind.FILE:
            data = reopen_regular(fd, place)
            held.callback(os.close, data)
            _refuse_unsized(data, place)
        yield fd, data


def _refuse_unsized(fd: int, path: bytes) -> None:
    """Raise EditRefused for a file that is said to be empty and is not, as a file system makes them up while read."""
    if os.fstat(fd).st_size == 0 and os.pread(fd, 1, 0):
        raise EditRefused(f"{printable(path)} holds more than its size of 0 bytes says", "what it tells can be piped")


def copy_out(
    details: Details, path: bytes, target: Path, *, force: bool = False, step: Step = no_step
) -> tuple[Path, int, tuple[str, ...]]:
    """Copy a file, directory or volume of a container to this host; return where, how many, and what was left out.

    All of it belongs to this user, by the umask, and loses setuid and setgid bits; devices, FIFOs and sockets are left
    out. A file that is there is replaced only with ``force``, anything else never. All names are known before the first
    one is made.
    """
    notes: list[str] = []
    with readable_tree(details) as whole, ExitStack() as held:
        real = whole.real(clean(path))
        tree = whole.entered(real)
        if not details.container.state.alive:
            notes += _hidden(covers_of(details, tree), real)
        node = found(tree, real)
        if target.is_dir() and not target.is_symlink():
            target = target / (os.fsdecode(split(real)[1]) or "root")
        above = _host_directory(os.fspath(target.absolute().parent), held)
        name = os.fsencode(target.name)
        _refuse_existing(above, name, target, node, force=force)
        progress.begin(Phase.MEASURE)
        nodes = _below(tree, node, notes, step)
        places = [name + one.path[len(real.rstrip(b"/")) :].rstrip(b"/") for one in nodes]
        _refuse_too_long(places)
        progress.begin(Phase.COPY, size_of(nodes))
        mask = _umask()
        for count, (one, place) in enumerate(zip(nodes, places, strict=True)):
            with _said_so_far(count):
                step(count, one.path)
            _put_on_host(tree, above, place, replace(one, mode=one.mode & 0o777 & ~mask), notes, force=force)
        for one, place in zip(reversed(nodes), reversed(places), strict=True):
            if one.kind is EntryKind.DIRECTORY:
                _close_directory(above, place, one.mode & 0o777 & ~mask)
    return target, len(nodes), few(notes)


def _hidden(covers: Covers, real: bytes) -> list[str]:
    """Tell what a stopped container has mounted below a path; raises EditRefused for what lies in a mount itself."""
    refuse_covered(covers, real)
    prefix = real.rstrip(b"/") + b"/"
    below = [one for one in covers.places if one[0].startswith(prefix) and one[1].kind != "engine"]
    return [left_out(place, mount) for place, mount in below]


def _umask() -> int:
    """Return this process's umask; the system call would set it, for all threads."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        line = next((line for line in status if line.startswith("Umask:")), "Umask: 022")
    return int(line.split()[1], 8)


def _close_directory(above: int, place: bytes, mode: int) -> None:
    """Give a directory its own mode, now that nothing more comes into it."""
    with _explained(place):
        fd = open_child(above, place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fchmod(fd, mode)
        finally:
            os.close(fd)


@contextmanager
def _said_so_far(count: int) -> Iterator[None]:
    """Tell whoever stops a copy to this host that what was made stays."""
    try:
        yield
    except Stopped as error:
        if not count:
            raise
        told = f"{error.message} ({count_of(count, 'entry', 'entries')} done)"
        raise Stopped(told, _SO_FAR) from error


@contextmanager
def _explained(place: bytes) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EditRefused(f"{printable(place)}: {(error.strerror or '').lower()}", _SO_FAR) from error


def _refuse_existing(above: int, name: bytes, target: Path, node: Node, *, force: bool) -> None:
    try:
        status = os.stat(name, dir_fd=above, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not (force and node.kind is EntryKind.FILE and stat.S_ISREG(status.st_mode)):
        raise EditRefused(
            f"{printable(str(target))} exists already",
            "choose another name; dtui cp --force replaces a file",
        )


def _below(tree: Tree, node: Node, notes: list[str], step: Step) -> list[Node]:
    """List an entry and all below it, parents first; what is mounted below is left out."""
    nodes: list[Node] = []
    todo = [node]
    while todo:
        here = todo.pop()
        step(len(nodes), here.path)
        nodes.append(here)
        if here.kind is not EntryKind.DIRECTORY:
            continue
        for name in reversed(tree.names(here.path)):
            try:
                child = tree.look(here.path.rstrip(b"/") + b"/" + name)
            except EditRefused as error:
                notes.append(error.message)
                continue
            if child is not None:
                todo.append(child)
    return nodes


def _put_on_host(tree: Tree, above: int, place: bytes, node: Node, notes: list[str], *, force: bool) -> None:
    """Make one entry on this host. The directories above it are ours, just made, and never followed through a link."""
    directory, _, name = place.rpartition(b"/")
    with _explained(place), ExitStack() as held:
        fd = above
        if directory:
            fd = open_child(above, directory, os.O_RDONLY | os.O_DIRECTORY)
            held.callback(os.close, fd)
        if node.kind is EntryKind.DIRECTORY:
            os.mkdir(name, node.mode | 0o700, dir_fd=fd)
        elif node.kind is EntryKind.SYMLINK:
            os.symlink(node.target, name, dir_fd=fd)
        elif node.kind is EntryKind.FILE:
            _file_on_host(tree, fd, name, node, force=force)
        else:
            notes.append(f"{printable(node.path)} is a {node.kind}: left out")


def _file_on_host(tree: Tree, dir_fd: int, name: bytes, node: Node, *, force: bool) -> None:
    source = tree.open_file(node.path)
    temporary = temporary_name()
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary, flags, 0o600, dir_fd=dir_fd)
        try:
            status = os.fstat(source)
            _refuse_unsized(source, node.path)
            for _ in copy_data(source, 0, status.st_size, fd, 0, node.path):
                pass
            os.ftruncate(fd, status.st_size)
            os.fchmod(fd, node.mode)
            os.utime(fd, ns=(status.st_mtime_ns, status.st_mtime_ns))
            os.fsync(fd)
        finally:
            os.close(fd)
        if force:
            os.rename(temporary, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        else:
            os.link(temporary, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
            os.unlink(temporary, dir_fd=dir_fd)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=dir_fd)
        raise
    finally:
        os.close(source)
