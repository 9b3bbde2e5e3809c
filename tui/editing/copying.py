"""Copying between a container and this host, an entry or a whole subtree, never through a link."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from tui.core.errors import EditRefused, NotFound
from tui.core.model import Details, EntryKind
from tui.core.text import printable
from tui.editing.acts import (
    Inspect,
    Outcome,
    acting,
    covers_of,
    found,
    keep_one,
    keeping,
    notes_after,
    refuse_mounts,
)
from tui.editing.atomic import temporary_name
from tui.editing.backups import ActKind
from tui.editing.guard import Step, guarded, no_step
from tui.editing.hands import OwnHands
from tui.editing.nodes import Node, node_of
from tui.editing.session import running_root, stack_of
from tui.editing.sparse import copy_data
from tui.editing.trees import RootTree, Tree
from tui.editing.union import UnionTree
from tui.editing.workspace import writable_tree
from tui.layers.paths import Root, clean, open_child, reopen_regular, split
from tui.layers.view import LayerView


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


def copy_in(container_id: str, source: Path, path: bytes, *, inspect: Inspect, step: Step = no_step) -> Outcome:
    """Copy a file or directory of this host into a container; into a directory that is there, by its own name.

    It belongs to whom the directory belongs that it comes into. A file is replaced, a directory never.
    """
    top = os.fspath(source.absolute())
    name = os.path.basename(top.rstrip("/"))
    with acting(container_id, inspect) as details, ExitStack() as held:
        above = _host_directory(os.path.dirname(top.rstrip("/")), held)
        with writable_tree(details) as tree:
            goal = tree.real(clean(path))
            there = tree.look(goal)
            if there is not None and there.kind is EntryKind.DIRECTORY:
                goal = goal.rstrip(b"/") + b"/" + os.fsencode(name)
                there = tree.look(goal)
            refuse_mounts(details, covers_of(details, tree), goal)
            if there is not None and there.kind is EntryKind.DIRECTORY:
                raise EditRefused(f"{printable(goal)} is a directory that exists already", "choose another name")
            owner = found(tree, split(goal)[0])
            with keeping(details, ActKind.COPY, goal) as keeper:
                if there is None:
                    keeper.add(Node(goal))
                else:
                    keep_one(tree, there, keeper)
                act = keeper.commit()
            with guarded(act, lambda: nullcontext(tree)) as changed:
                for node, fd in _host_nodes(above, os.fsencode(name), goal):
                    step(len(changed), node.path)
                    wanted = replace(node, uid=owner.uid, gid=owner.gid, xattrs=())
                    act.expect(wanted)
                    tree.make(wanted, fd, over=there if not changed else None)
                    changed.append(1)
        return Outcome(goal, len(changed), act, notes_after(details, inspect))


def _host_directory(path: str, held: ExitStack) -> int:
    try:
        fd = os.open(path or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NotFound(f"{printable(path)}: {(error.strerror or '').lower()}", "name a file of this host") from error
    held.callback(os.close, fd)
    return fd


def _host_nodes(dir_fd: int, name: bytes, goal: bytes) -> Iterator[tuple[Node, int | None]]:
    """Yield the entries of a subtree of this host under their new paths, parents first, files open."""
    try:
        fd = open_child(dir_fd, name, os.O_PATH)
    except OSError as error:
        what = "is a mount point" if error.errno == errno.EXDEV else (error.strerror or "").lower()
        raise NotFound(f"{printable(name)}: {what}", "name a file of this host") from error
    try:
        node = node_of(fd, goal)
        if node.kind is EntryKind.FILE:
            data = reopen_regular(fd, name)
            try:
                yield node, data
            finally:
                os.close(data)
            return
        yield node, None
        if node.kind is EntryKind.DIRECTORY:
            readable = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                for text in sorted(os.listdir(readable)):
                    child = os.fsencode(text)
                    yield from _host_nodes(readable, child, goal + b"/" + child)
            finally:
                os.close(readable)
    finally:
        os.close(fd)


def copy_out(
    details: Details, path: bytes, target: Path, *, force: bool = False, step: Step = no_step
) -> tuple[Path, int, tuple[str, ...]]:
    """Copy a file or directory of a container to this host; return where, how many entries, and what was left out.

    Files belong to this user and lose setuid and setgid bits; devices, FIFOs and sockets are left out. A file that is
    there is replaced only with ``force``, anything else never.
    """
    notes: list[str] = []
    with readable_tree(details) as tree, ExitStack() as held:
        real = tree.real(clean(path))
        node = found(tree, real)
        if target.is_dir() and not target.is_symlink():
            target = target / (os.fsdecode(split(real)[1]) or "root")
        above = _host_directory(os.fspath(target.absolute().parent), held)
        name = os.fsencode(target.name)
        _refuse_existing(above, name, target, node, force=force)
        count = 0
        for one, place in _below(tree, node, notes):
            step(count, one.path)
            _put_on_host(tree, above, name + place, one, notes, force=force)
            count += 1
    return target, count, tuple(notes)


def _refuse_existing(above: int, name: bytes, target: Path, node: Node, *, force: bool) -> None:
    try:
        status = os.stat(name, dir_fd=above, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not (force and node.kind is EntryKind.FILE and stat.S_ISREG(status.st_mode)):
        raise EditRefused(
            f"{printable(str(target))} exists already",
            "choose another name; on the command line --force replaces a file",
        )


def _below(tree: Tree, node: Node, notes: list[str]) -> Iterator[tuple[Node, bytes]]:
    """Yield an entry and all below it with their places relative to it; what is mounted below is left out."""
    todo = [(node, b"")]
    while todo:
        here, place = todo.pop()
        yield here, place
        if here.kind is not EntryKind.DIRECTORY:
            continue
        for name in reversed(tree.names(here.path)):
            path = here.path.rstrip(b"/") + b"/" + name
            try:
                child = tree.look(path)
            except EditRefused as error:
                notes.append(error.message)
                continue
            if child is not None:
                todo.append((child, place + b"/" + name))


def _put_on_host(tree: Tree, above: int, place: bytes, node: Node, notes: list[str], *, force: bool) -> None:
    """Make one entry on this host. The directories above it are ours, just made, and never followed through a link."""
    with ExitStack() as held:
        fd = above
        *directories, name = place.split(b"/")
        for part in directories:
            fd = open_child(fd, part, os.O_RDONLY | os.O_DIRECTORY)
            held.callback(os.close, fd)
        try:
            if node.kind is EntryKind.DIRECTORY:
                os.mkdir(name, node.mode & 0o777 | 0o700, dir_fd=fd)
            elif node.kind is EntryKind.SYMLINK:
                os.symlink(node.target, name, dir_fd=fd)
            elif node.kind is EntryKind.FILE:
                _file_on_host(tree, fd, name, node, force=force)
            else:
                notes.append(f"{printable(node.path)} is a {node.kind}: left out")
        except OSError as error:
            hint = "what was copied so far is there"
            raise EditRefused(f"{printable(place)}: {(error.strerror or '').lower()}", hint) from error


def _file_on_host(tree: Tree, dir_fd: int, name: bytes, node: Node, *, force: bool) -> None:
    source = tree.open_file(node.path)
    temporary = temporary_name()
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary, flags, 0o600, dir_fd=dir_fd)
        try:
            for _ in copy_data(source, 0, node.size, fd, 0):
                pass
            os.ftruncate(fd, node.size)
            os.fchmod(fd, node.mode & 0o777)
            os.utime(fd, ns=(node.mtime_ns, node.mtime_ns))
            os.fsync(fd)
        finally:
            os.close(fd)
        if force:
            os.rename(temporary, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        else:
            os.link(temporary, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
            os.unlink(temporary, dir_fd=dir_fd)
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=dir_fd)
        raise
    finally:
        os.close(source)
