"""Detached overlay mounts: a container's file system that appears in no mount table.

A stopped container's layers are mounted with a work directory of dtui's own, ``dtui-work`` next to the upper directory.
With the Engine's own work directory, a container started meanwhile could no longer copy up any file (measured on 6.18).
The mount exists only as a descriptor, so kill -9 leaves nothing but an empty work directory, which the next use clears.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tui.core.errors import DtuiError, EditRefused, LayerError, NotReachable, TooManyOpen
from tui.core.records import LayerStack
from tui.drivers.data_root import BENEATH, open_layer, open_layer_parent
from tui.layers import whiteouts
from tui.layers.device_mounts import source_directory
from tui.layers.directories import open_upper_in, upper_root
from tui.linux import syscalls
from tui.linux.remove_tree import recreate_directory, remove_tree
from tui.linux.rooted_paths import Root
from tui.linux.syscalls import O_PATH, MountAttr

WORK_NAME = "dtui-work"
PROBE_NAME = "dtui-probe"
"""Work directory for the check whether the layer is in use. Until that is known, another dtui's work directory must not
be touched."""

TRASH_NAME = "dtui-trash"
"""Where entries taken out of a layer stay until it is certain that nobody uses the layer."""

Check = Callable[[], None]

_ATTRIBUTES = MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC


def no_check() -> None:
    """Allow everything; the default Check."""


def refuse_unsafe_layer(stack: LayerStack) -> None:
    """Raise EditRefused if the layer was written in a way that our mount would not honour."""
    if _is_volatile(stack):
        raise EditRefused("the layer was mounted volatile and may be incomplete", "start the container, or recreate it")
    if stack.idmapped:
        raise EditRefused(
            "the container's mounts map its users, which dtui's own mount would not do",
            "start the container to edit it",
        )
    foreign_prefix = whiteouts.xattr_prefix(not stack.userxattr)
    with _opened(open_layer(stack, stack.writable)) as upper, suppress(OSError):
        if any(name.startswith(foreign_prefix) for name in os.listxattr(upper)):
            raise EditRefused(
                f"the layer has {foreign_prefix}* attributes, which dtui's mount would ignore",
                "start the container with the Engine that created it",
            )


def _is_volatile(stack: LayerStack) -> bool:
    """Return whether the writable layer was mounted volatile, as the kernel noted, without syncing to disk."""
    if stack.work_dir is None:
        return False
    with _opened(open_layer_parent(stack)) as parent_fd:
        try:
            marker_path = os.fsencode(stack.work_dir.name) + b"/work/incompat/volatile"
            os.close(syscalls.openat2(parent_fd, marker_path, O_PATH | os.O_NOFOLLOW, BENEATH))
        except FileNotFoundError:
            return False
    return True


@contextmanager
def _opened(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


def work_dir(stack: LayerStack) -> Path:
    """Return the work directory of our own mounts, next to the layer."""
    return stack.writable.path.parent / WORK_NAME


def sweep_mounts(stack: LayerStack) -> None:
    """Remove the directories that a killed dtui left next to a layer. Nobody may be using it. Raises OSError."""
    with _opened(open_layer_parent(stack)) as parent_fd:
        for name in (WORK_NAME, PROBE_NAME, TRASH_NAME):
            _remove(parent_fd, name)


def _remove(parent_fd: int, name: str) -> None:
    with suppress(FileNotFoundError):
        remove_tree(parent_fd, os.fsencode(name))


@contextmanager
def _private_work(stack: LayerStack, name: str, check: Check) -> Iterator[tuple[int, int]]:
    """Create a directory next to the writable layer and yield descriptors of the layer and of it; remove it
    afterwards."""
    with _opened(open_layer_parent(stack)) as parent_fd, _opened(open_upper_in(stack, parent_fd)) as upper:
        check()
        work = _make_work(parent_fd, name)
        try:
            yield upper, work
        finally:
            os.close(work)
            with suppress(OSError):  # it is in the journal: the next start removes it
                _remove(parent_fd, name)


def _make_work(parent_fd: int, name: str) -> int:
    try:
        return recreate_directory(parent_fd, os.fsencode(name))
    except PermissionError as error:
        raise _explain(error) from error
    except FileNotFoundError as error:
        raise LayerError("the layer's directory is gone", "the container was removed; refresh the list") from error
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise EditRefused(f"cannot make a work directory next to the layer: {reason}", "nothing was changed") from error


def _set_directory(context: int, key: str, fd: int) -> None:
    """Set a mount's directory by descriptor, so that nobody can swap it meanwhile."""
    try:
        syscalls.fsconfig_fd(context, key, fd)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        syscalls.fsconfig_string(context, key, f"/proc/self/fd/{fd}".encode())  # before Linux 6.13


def _mount(stack: LayerStack, upper: int, work: int, check: Check, *, index: bool) -> int:
    """Return an O_PATH descriptor of a detached read-write overlay; raises OSError, NotReachable, LayerError."""
    context = syscalls.fsopen("overlay")
    try:
        for lower in stack.lowers:
            with _opened(open_layer(stack, lower)) as fd:
                _set_directory(context, "lowerdir+", fd)
        _set_directory(context, "upperdir", upper)
        _set_directory(context, "workdir", work)
        syscalls.fsconfig_string(context, "index", b"on" if index else b"off")
        syscalls.fsconfig_string(context, "metacopy", b"off")
        if stack.userxattr:
            syscalls.fsconfig_flag(context, "userxattr")
        else:
            syscalls.fsconfig_string(context, "redirect_dir", b"off")
        check()  # the next call creates directories in the work directory
        syscalls.fsconfig_create(context)
        return syscalls.fsmount(context, _ATTRIBUTES)
    finally:
        os.close(context)


def _explain(error: OSError) -> DtuiError:
    too_many_open = TooManyOpen.of(error)
    if too_many_open:
        return too_many_open
    if error.errno in (errno.EPERM, errno.EACCES):
        if os.geteuid() == 0:
            return EditRefused(
                "the layer cannot be written", "it may be immutable: check with lsattr; nothing was changed"
            )
        return NotReachable("to edit a stopped container, dtui must mount its layers", "run dtui as root")
    if error.errno in (errno.ENOSYS, errno.EINVAL, errno.ENODEV):
        return NotReachable("this kernel cannot mount the layers privately", "Linux 6.8 with overlay is needed")
    if error.errno == errno.ENOENT:
        return LayerError("a layer's directory is missing", "the image or the data-root is damaged")
    return EditRefused(f"the layers cannot be mounted: {(error.strerror or '').lower()}", "nothing was changed")


@contextmanager
def write_view(stack: LayerStack, check: Check = no_check) -> Iterator[Root]:
    """Mount a stopped container's layers for one change and yield its root.

    The kernel does copy-up and whiteouts; lower layers are never written. The caller has checked that the layer is not
    in use. ``check`` raises once the container is being removed; it is called right before anything is created.
    """
    refuse_unsafe_layer(stack)
    with _private_work(stack, WORK_NAME, check) as (upper, work):
        try:
            mount = _mount(stack, upper, work, check, index=False)
        except OSError as error:
            raise _explain(error) from error
        try:
            fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mount)
        finally:
            os.close(mount)
        with Root(fd, whiteouts.xattr_prefix(not stack.userxattr)) as root:
            yield root


@contextmanager
def tree_root(stack: LayerStack) -> Iterator[Root]:
    """Yield the root of a stopped container's full tree for one change, mounted meanwhile if need be."""
    if stack.writable.source is None:
        with upper_root(stack) as root:
            yield root
        return
    with source_directory(stack.writable, exclusive=True) as fd, Root(os.dup(fd)) as root:
        yield root


def is_in_use(stack: LayerStack, check: Check = no_check) -> bool:
    """Return whether any overlay mount on this host uses the writable layer, as the kernel knows it.

    Mounting with ``index=on`` fails with EBUSY if so. If it succeeds it sets an ``origin`` attribute on the upper
    directory, which is removed again unless it was there before.
    """
    attribute = whiteouts.xattr_prefix(stack.userxattr) + "origin"
    with _private_work(stack, PROBE_NAME, check) as (upper, work):
        had_origin = _has_xattr(upper, attribute)
        try:
            os.close(_mount(stack, upper, work, check, index=True))
        except OSError as error:
            if error.errno == errno.EBUSY:
                return True
            raise _explain(error) from error
        finally:
            if not had_origin and _has_xattr(upper, attribute):
                with suppress(OSError):  # it is the kernel's own note and means nothing with index=off
                    os.removexattr(upper, attribute)
    return False


def _has_xattr(fd: int, name: str) -> bool:
    try:
        os.getxattr(fd, name)
    except OSError:
        return False
    return True
