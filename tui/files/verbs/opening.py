"""How a container's files can be opened now, and what a save would do. Writes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tui.core.errors import EditRefused, NotFound, NotReachable
from tui.core.id_maps import HOST_IDS, IdMap
from tui.core.records import AccessKind, Details, EntryKind, LayerRole, LayerStack, State, WhiteoutStyle
from tui.core.text import count_of, human_size, printable
from tui.drivers.data_root import has_foreign_owner
from tui.files.document import EDIT_LIMIT, PREVIEW_LIMIT, Document
from tui.files.removal_watch import STOP_FIRST
from tui.files.tree.mounted import mount_hint, open_at_rest, refuse_kernel_path
from tui.files.write.metadata import attribute_names
from tui.files.write.version import FileVersion, version_of
from tui.layers.mount_covers import RUNTIME_MOUNTS, Covers
from tui.layers.process_root import ProcessEnded, open_process_root, refuse_other_root
from tui.layers.view import LayerView
from tui.linux.rooted_paths import Root, is_mount_point, normalized, read_limited
from tui.linux.syscalls import identity_of

_HERE = -100
"""AT_FDCWD, which is ignored for absolute paths."""


class KeepsRestarting(EditRefused):
    """The engine starts the container again and again: its layer may be in use at any moment."""


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file as it was read: the path asked for, its document, and its version."""

    path: bytes
    document: Document
    stamp: FileVersion


@dataclass(frozen=True, slots=True)
class SavePlan:
    """What a save would do: in place or by rename, one sentence for the dialog, and warnings.

    ``choice`` says whether it could be done in place instead.
    """

    in_place: bool
    sentence: str
    warnings: tuple[str, ...] = ()
    choice: bool = False


def stack_of(details: Details) -> LayerStack:
    """Return the layers of a container; raises NotReachable if they cannot be read here."""
    if details.stack is None or not details.access.kind.readable:
        if details.access.kind is AccessKind.ENGINE:
            hint = "reading and writing its files works through the Engine"
            raise NotReachable(f"only the Engine reaches the files: {details.access.reason}", hint)
        reason = f"the layer cannot be reached: {details.access.reason}"
        raise NotReachable(reason, "dtui doctor tells what is missing")
    return details.stack


def ids_of(details: Details) -> IdMap:
    """Return a container's id map; the host's own ids if its layers are unknown."""
    return details.shown_stack.ids if details.shown_stack else HOST_IDS


def require_enterable(details: Details) -> LayerStack:
    """Return the layers of a running container whose processes this user may enter; raises NotReachable."""
    if details.stack and details.stack.root and has_foreign_owner(details.stack.root):
        message = f"the container is run by user {details.stack.root.owner}, whose processes root does not enter"
        raise NotReachable(message, "run dtui as that user, or stop the container")
    if not details.pid:
        stack_of(details)  # a remote engine's process ids mean nothing here
        raise NotReachable("the container's process is not known", "a container of the sample runs in name only")
    if os.geteuid() != 0:
        raise NotReachable("a running container's files are reached through its process", "run dtui as root")
    return stack_of(details)


def is_entered(details: Details) -> bool:
    """Return whether a container's files are reached through its process."""
    return details.container.state.alive and bool(details.pid) and os.geteuid() == 0


def running_root(details: Details) -> Root:
    """Open the root of a running container's first process; raises NotReachable if it has another root."""
    stack = require_enterable(details)
    root = open_process_root(details.pid, details.container.id, stack)
    try:
        refuse_other_root(root.fd, details.pid, stack)
    except NotReachable:
        root.close()
        raise
    return root


def reading_root(details: Details) -> Root | None:
    """Open the root of a running container to read its files; None if they are to be read from its layers.

    That is so at rest, and if the process of a container that keeps restarting has ended since it was inspected.
    """
    if not is_entered(details):
        return None
    try:
        return running_root(details)
    except ProcessEnded:
        if not details.lifecycle.restarts:
            raise
        return None


@contextmanager
def reading(details: Details, path: bytes) -> Iterator[int]:
    """Yield a descriptor to read a container's file: through its process while it runs, else from its layers.

    ``..`` removes the component before it, even after a link, as everywhere in dtui and in ``docker cp``.
    """
    stack, path = stack_of(details), normalized(path)
    root = reading_root(details)
    if root is not None:
        with root:
            try:
                fd = root.open_regular(path)
            except NotFound:
                with LayerView.open(stack) as view:
                    refuse_kernel_path(view, path)
                raise
    else:
        with LayerView.open(stack, details.mounts) as view:
            fd = open_at_rest(view, path)
    try:
        yield fd
    finally:
        os.close(fd)


def open_file(details: Details, path: bytes) -> OpenedFile:
    """Read a file for the editor; raises EditRefused beyond 8 times the edit limit, or if it is not a regular file."""
    with reading(details, path) as fd:
        data = read_limited(fd, path, 8 * EDIT_LIMIT)
        return OpenedFile(path, Document.parse(data), version_of(fd))


def peek_file(details: Details, path: bytes) -> Document:
    """Read the beginning of a file of any size for viewing."""
    with reading(details, path) as fd:
        return peeked(fd)


def peeked(fd: int) -> Document:
    """Read the beginning of an open file, or all of a small one."""
    data = b""
    while len(data) <= PREVIEW_LIMIT and (chunk := os.read(fd, PREVIEW_LIMIT + 1 - len(data))):
        data += chunk
    if len(data) <= PREVIEW_LIMIT:
        return Document.parse(data)
    return Document.beginning(data[:PREVIEW_LIMIT], os.fstat(fd).st_size)


def refuse_state(details: Details) -> None:
    """Raise EditRefused for a container in a state in which its layer may be in use by anybody.

    One that keeps restarting raises KeepsRestarting, because it need only be stopped first.
    """
    name, state = printable(details.container.name), details.container.state
    if state is State.RESTARTING:
        raise KeepsRestarting(f"{name} keeps restarting", STOP_FIRST)
    if not state.alive and not state.at_rest:
        by_hand = f"{details.container.command_line} rm -f {name}"
        hint = f"its removal failed: {by_hand} tries again" if state is State.DEAD else "its layer may be going away"
        raise EditRefused(f"{name} is {state}", hint)


def refuse_covered(covers: Covers, path: bytes) -> None:
    """Raise EditRefused for a path of a stopped container that a mount will hide, so that the change is invisible."""
    mount = covers.mount_hiding(path)
    if mount is None:
        return
    message = f"{printable(path)} is hidden by the {mount.description} at {printable(mount.destination)}"
    raise EditRefused(message, mount_hint(mount, "edit"))


def refuse_unseen(covers: Covers, path: bytes) -> None:
    """Raise EditRefused for a path of a stopped container that a mount will hide or that each start recreates."""
    refuse_covered(covers, path)
    for remade_path in RUNTIME_MOUNTS:
        if path.startswith(remade_path + b"/"):
            message = f"{printable(path)} would not be seen: {printable(remade_path)} is made anew at each start"
            raise EditRefused(message, "start the container to change it")


def has_several_names(view: LayerView, canonical_path: bytes) -> bool:
    """Return whether a file of a container at rest is in its own layer and has several hard links."""
    try:
        entry = view.lookup(canonical_path, follow=False)
    except NotFound:
        return False
    own = entry.layer == 0 or view.stack.whiteout_style is WhiteoutStyle.TREE
    return own and entry.kind is EntryKind.FILE and entry.nlink > 1


def plan(details: Details, path: bytes) -> SavePlan:
    """Describe what saving a file would do now; raises EditRefused, NotFound, NotReachable if it is not possible."""
    refuse_state(details)
    stack = stack_of(details)
    if details.container.state.alive:
        return _plan_running(details, path)
    with LayerView.open(stack, details.mounts) as view:
        canonical_path = view.resolve(path)
        refuse_unseen(view.covers, canonical_path)
        view.refuse_unreadable(canonical_path)
        entry = view.lookup(canonical_path, follow=False)
        if entry.kind is not EntryKind.FILE:
            raise EditRefused(f"{printable(path)} is a {entry.kind}, not a file", "only regular files can be saved")
        shared = has_several_names(view, canonical_path)
        with reading(details, canonical_path) as fd:
            attributes = len(attribute_names(fd))
    copied = ""
    if entry.layer > 0 and stack.whiteout_style is not WhiteoutStyle.TREE:
        layer = stack.layers[entry.layer]
        number = len(stack.images) - stack.images.index(layer) if layer.role is LayerRole.IMAGE else 0
        where = f"image layer {number}/{len(stack.images)}" if number else "the init layer"
        copied = f"; it is only in {where}, so the container gets its own copy ({human_size(entry.size)})"
    preserved = "owner, mode" + (f", {attributes} xattr{'s' if attributes != 1 else ''}" if attributes else "")
    warnings = [f"{entry.nlink} names share this file; only this one changes"] if entry.nlink > 1 and not shared else []
    if canonical_path != normalized(path):
        warnings.append(f"{printable(path)} is a link: {printable(canonical_path)} is written")
    how = "in the stopped container's layer" if privileged() else "in the layer directory of a data-root of your own"
    if stack.whiteout_style is WhiteoutStyle.TREE:
        how = "in the stopped container's own tree"
    if shared:
        return SavePlan(True, f"in place {how}, with a journal: {entry.nlink} names share this file", tuple(warnings))
    return SavePlan(False, f"atomic rename {how}; {preserved} kept{copied}", tuple(warnings))


def _plan_running(details: Details, path: bytes) -> SavePlan:
    with running_root(details) as root:
        fd = root.open_regular(normalized(path))
        try:
            status = os.fstat(fd)
            links = status.st_nlink
        finally:
            os.close(fd)
        canonical_path = root.real_path(normalized(path))
        with root.parent(canonical_path) as (dir_fd, name):
            mounted = is_mount_point(dir_fd, name)
    warnings = (
        ()
        if canonical_path == normalized(path)
        else (f"{printable(path)} is a link: {printable(canonical_path)} is written",)
    )
    if mounted or links > 1:
        why = "a mount" if mounted else f"one of {links} names of this file"
        return SavePlan(
            True, f"in place in the running container, with a journal: {printable(canonical_path)} is {why}", warnings
        )
    sentence = "atomic rename in the running container; owner, mode, xattrs kept"
    process_names = holders(details.pid, status)
    if process_names:
        who = ", ".join(printable(name) for name in process_names[:3])
        warnings = (
            *warnings,
            f"open in {count_of(len(process_names), 'process', 'processes')} ({who}): i lets them see it too",
        )
    return SavePlan(False, sentence, warnings, choice=True)


def holders(pid: int, status: os.stat_result) -> tuple[str, ...]:
    """Return the processes of a mount namespace that have a file open; they keep the old one if it is replaced."""
    processes = []
    try:
        inside = os.stat(f"/proc/{pid}/ns/mnt").st_ino
    except OSError:
        return ()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with suppress(OSError):  # it has ended meanwhile
            if os.stat(f"/proc/{entry}/ns/mnt").st_ino == inside and _holds(entry, status):
                with open(f"/proc/{entry}/comm", encoding="utf-8", errors="replace") as comm:
                    processes.append(f"{comm.read().strip()} {entry}")
    return tuple(processes)


def _holds(pid: str, status: os.stat_result) -> bool:
    for number in os.listdir(f"/proc/{pid}/fd"):
        with suppress(OSError):
            if identity_of(_HERE, f"/proc/{pid}/fd/{number}".encode()) == (status.st_dev, status.st_ino):
                return True
    return False


def privileged() -> bool:
    """Return whether this process may mount: root with CAP_SYS_ADMIN, which root in a container lacks."""
    if os.geteuid() != 0:
        return False
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        line = next((line for line in status if line.startswith("CapEff:")), "CapEff: 0")
    return bool(int(line.split()[1], 16) >> 21 & 1)


def exists(details: Details, path: bytes) -> bool:
    """Return whether a file exists in the container now."""
    try:
        with reading(details, path):
            return True
    except NotFound:
        return False
