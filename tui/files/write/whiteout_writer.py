"""Hide names of the image in the writable layer, in one step, where dtui makes whiteouts itself.

aufs hides a name with a file ``.wh.NAME`` next to it. fuse-overlayfs reads such files too, but writes overlay's
whiteouts where mknod is permitted: a character device 0:0 with the name itself (1.10, ``create_whiteout``). dtui does
the same, because such a mark cannot exist next to what it hides, and names of 252 to 255 bytes can be hidden as well
(measured on 1.10).
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tui.core.errors import ChangedMeanwhile, EditRefused, LayerError, NotFound
from tui.core.ids import ContainerId
from tui.core.records import EntryKind, LayerStack, WhiteoutStyle
from tui.core.text import printable
from tui.files.history import journal
from tui.files.tree.root_tree import RootTree
from tui.files.tree.snapshots import EntrySnapshot
from tui.files.write import atomic
from tui.files.write.metadata import set_attribute
from tui.layers.whiteouts import is_mark, is_whiteout, uses_dot_wh, whiteout_of, xattr_prefix
from tui.linux.name_ops import EXCHANGE, NO_REPLACE
from tui.linux.rooted_paths import open_child
from tui.linux.syscalls import renameat2

_OPAQUE_FILE = b".wh..wh..opq"


class Hiding:
    """The whiteouts of one writable layer."""

    def __init__(self, own: RootTree, marks: WhiteoutStyle, container_id: ContainerId) -> None:
        self._own = own
        self._marks = marks
        self._id = container_id

    def hide(self, path: bytes) -> None:
        """Remove an entry from the writable layer, if it has one, and hide the image's; raises OSError."""
        layer_entry = self._own.look(path)
        with self._own.folder(path) as (folder, name):
            if self._marks is WhiteoutStyle.AUFS:
                self._hide_by_file(path, layer_entry, folder.fd, name)
            elif layer_entry is not None and layer_entry.kind is EntryKind.DIRECTORY:
                self._exchange(path, folder.fd, name)
            else:
                self._own.make(_device(path), None, over=layer_entry)
            self._own.changed(folder)

    def remove(self, path: bytes, *, directory: bool) -> None:
        """Remove an entry from the writable layer if the image has nothing there; raises OSError."""
        with self._own.folder(path) as (folder, name), suppress(FileNotFoundError):
            if directory:
                remove_emptied(folder.fd, name, self._marks)
            else:
                os.unlink(name, dir_fd=folder.fd)
            self._own.changed(folder)

    # in one step -------------------------------------------------------------------------------------------

    def _hide_by_file(self, path: bytes, layer_entry: EntrySnapshot | None, dir_fd: int, name: bytes) -> None:
        """Create the file that hides a name, then remove the entry; if the latter fails, remove the file again."""
        mark = whiteout_of(name, self._marks)
        if mark is None:
            message = f"{printable(name)}: aufs hides no name that long, so that the image's cannot be deleted"
            raise EditRefused(message, "empty it, or change its mode")
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444, dir_fd=dir_fd))
        try:
            if layer_entry is not None and layer_entry.kind is EntryKind.DIRECTORY:
                with self._aside(path, dir_fd) as temporary:
                    renameat2(dir_fd, name, dir_fd, temporary, NO_REPLACE)
                    self._throw_away(path, dir_fd, temporary, name, NO_REPLACE)
            elif layer_entry is not None:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=dir_fd)
        except BaseException:
            if not atomic.is_gone(dir_fd, name):  # hidden, it would be lost to the container
                os.unlink(mark, dir_fd=dir_fd)
            raise

    def _exchange(self, path: bytes, dir_fd: int, name: bytes) -> None:
        """Exchange a directory with a whiteout in one step, so that the image's directory never shows."""
        with self._aside(path, dir_fd) as temporary:
            os.mknod(temporary, stat.S_IFCHR, 0, dir_fd=dir_fd)
            renameat2(dir_fd, temporary, dir_fd, name, EXCHANGE)
            self._throw_away(path, dir_fd, temporary, name, EXCHANGE)

    @contextmanager
    def _aside(self, path: bytes, dir_fd: int) -> Iterator[bytes]:
        """Yield a journaled temporary name, and remove what is there at the end, or at the next start after a kill.

        Where whiteouts are files, the name is one that no container sees.
        """
        temporary = atomic.temporary_name()
        temporary = whiteout_of(temporary, self._marks) or temporary
        record = journal.begin_rename(self._id, path, temporary)
        try:
            yield temporary
        finally:
            with suppress(OSError):  # what failed before may work now; what stays keeps its parent from going
                remove_leftover(dir_fd, temporary, self._marks)
            if atomic.is_gone(dir_fd, temporary):
                journal.end(record)

    def _throw_away(self, path: bytes, dir_fd: int, temporary: bytes, name: bytes, flags: int) -> None:
        """Delete a directory that was moved away, or move it back if somebody created something in it meanwhile."""
        if not _holds_marks_only(dir_fd, temporary, self._marks):
            renameat2(dir_fd, temporary, dir_fd, name, flags)
            raise ChangedMeanwhile(f"{printable(path)} is not empty", "somebody made something in it")
        with suppress(OSError):  # the journal has it, and the next start tries again
            remove_emptied(dir_fd, temporary, self._marks)

    # marks beside what they hide ---------------------------------------------------------------------------

    def is_marked(self, path: bytes) -> bool:
        """Return whether a whiteout file hides a name, in its own layer too."""
        with suppress(NotFound, LayerError), self._own.folder(path) as (folder, name):
            mark = whiteout_of(name, self._marks)
            return mark is not None and not atomic.is_gone(folder.fd, mark)
        return False

    def unhide(self, path: bytes) -> None:
        """Remove a whiteout, which a directory cannot replace in one step; a whiteout file hides the name meanwhile.

        Where there are no whiteout files, the image's entry shows in between.
        """
        with self._own.folder(path) as (folder, name), suppress(FileNotFoundError):
            if is_whiteout(os.stat(name, dir_fd=folder.fd, follow_symlinks=False)):
                mark = whiteout_of(name, self._marks)
                if mark:
                    os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o444, dir_fd=folder.fd))
                os.unlink(name, dir_fd=folder.fd)

    def drop_mark(self, path: bytes) -> None:
        """Remove the file that hid a name, now that the name exists again."""
        with self._own.folder(path) as (folder, name), suppress(FileNotFoundError):
            mark = whiteout_of(name, self._marks)
            if mark:
                os.unlink(mark, dir_fd=folder.fd)

    def drop_hidden(self, path: bytes, *, directories_only: bool = False) -> None:
        """Remove an entry that an interrupted act left in the layer next to its whiteout file; nobody can see it."""
        layer_entry = self._own.look(path) if self.is_marked(path) else None
        if layer_entry is None:
            return
        with self._own.folder(path) as (folder, name):
            if layer_entry.kind is EntryKind.DIRECTORY:
                remove_emptied(folder.fd, name, self._marks)
            elif not directories_only:
                os.unlink(name, dir_fd=folder.fd)


def make_opaque(fd: int, stack: LayerStack) -> None:
    """Make a directory of a writable layer opaque; raises OSError."""
    if uses_dot_wh(stack.whiteout_style):
        os.close(os.open(_OPAQUE_FILE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644, dir_fd=fd))
    else:
        set_attribute(fd, xattr_prefix(stack.userxattr) + "opaque", b"y")


def remove_leftover(dir_fd: int, temporary: bytes, marks: WhiteoutStyle) -> None:
    """Remove a temporary file, or a directory that contains nothing but whiteouts."""
    try:
        os.unlink(temporary, dir_fd=dir_fd)
    except IsADirectoryError:
        remove_emptied(dir_fd, temporary, marks)


def _device(path: bytes) -> EntrySnapshot:
    return EntrySnapshot(path, EntryKind.CHARACTER, uid=os.geteuid(), gid=os.getegid(), mtime_ns=time.time_ns())


def _is_nothing(dir_fd: int, name: bytes, marks: WhiteoutStyle) -> bool:
    return is_mark(name, marks) or is_whiteout(os.stat(name, dir_fd=dir_fd, follow_symlinks=False))


def _holds_marks_only(dir_fd: int, name: bytes, marks: WhiteoutStyle) -> bool:
    fd = open_child(dir_fd, name, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return all(_is_nothing(fd, os.fsencode(child), marks) for child in os.listdir(fd))
    finally:
        os.close(fd)


def remove_emptied(dir_fd: int, name: bytes, marks: WhiteoutStyle) -> None:
    """Remove a directory of a layer that contains nothing but whiteouts; raises OSError otherwise."""
    fd = open_child(dir_fd, name, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for child in map(os.fsencode, os.listdir(fd)):
            if _is_nothing(fd, child, marks):
                atomic.remove_any(fd, child)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=dir_fd)
