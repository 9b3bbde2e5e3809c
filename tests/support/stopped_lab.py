"""A stopped container that can be reset to a saved state again and again, on three kinds of layers."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.support.boxes import Box
from tests.support.tree_state import Clock, EntryState, View, acl, dress, kept_xattrs, plant, walk, with_names
from tui.core.records import Details, EntryKind
from tui.engine.at_rest.docker import OfflineEndpoint
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.files.history.backups import UndoKind, last_to_undo
from tui.files.verbs import acts
from tui.files.verbs.acts import Inspect
from tui.files.verbs.copy import copy_in, readable_tree
from tui.files.verbs.permissions import mode_change
from tui.files.verbs.revert import revert
from tui.files.verbs.save import save
from tui.files.verbs.undo import undo
from tui.files.ways import LayerFiles
from tui.files.write.options import SaveOptions

CHANGED = (
    "echo mine > /etc/app.conf; rm /etc/motd; rm -r /conf.d; mkdir /conf.d; echo n > /conf.d/new; "
    "chmod 600 /app/keep.txt; mkdir /app/sub; echo s > /app/sub/s; ln -s s /app/sub/link; "
    "echo m > /old/mine; chmod 4755 /app/start.sh"
)
"""Commands of the container before the test: they edit, delete, replace and add files."""


OVERLAY = ("/bin/mount", "-t", "overlay", "overlay", "-o", "ro,lowerdir={}")
FUSE = ("/usr/bin/fuse-overlayfs", "-o", "lowerdir={}")
"""Commands that mount layers for reading, without the mount point."""


@dataclass
class Lab:
    """A stopped container; ``inspect`` creates a new endpoint, so that each process has its own."""

    id: str
    layer: Path
    state: Path
    endpoint: Callable[[], LiveEndpoint | OfflineEndpoint]
    places: dict[str, bytes]
    mounted: tuple[Path, ...] = ()
    mounter: tuple[str, ...] = OVERLAY
    loose: tuple[str, ...] = ()
    """Directories whose time changes when dtui itself copies up files in them."""
    saved: Path = field(init=False)
    since: int = field(init=False)

    def __post_init__(self) -> None:
        self.saved = Path(tempfile.mkdtemp(prefix="dtui-lab-", dir="/var/tmp"))
        self._copy(self.layer, self.saved)
        self._begin()

    def _begin(self) -> None:
        """Count everything up to now as old; a file's time may lag behind the clock by one tick of the kernel."""
        self.since = time.time_ns()
        time.sleep(0.02)

    @property
    def clock(self) -> Clock:
        above = (os.fsdecode(place).rpartition("/")[0].strip("/") for place in self.places.values())
        return Clock(self.since, (*above, *self.loose))

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        subprocess.run(["/bin/cp", "-a", f"{source}/.", f"{target}/"], check=True)

    def keep(self) -> None:
        """Make the current layer and dtui's state the ones that :meth:`reset` restores."""
        shutil.rmtree(self.saved)
        self.saved.mkdir()
        self._copy(self.layer, self.saved)
        self.keep_state()
        self._begin()

    def keep_state(self) -> None:
        kept = self.state.with_name("kept")
        shutil.rmtree(kept, ignore_errors=True)
        if self.state.exists():
            kept.mkdir()
            self._copy(self.state, kept)

    def reset_state(self) -> None:
        """Restore dtui's state directory."""
        shutil.rmtree(self.state, ignore_errors=True)
        kept = self.state.with_name("kept")
        if kept.exists():
            self.state.mkdir()
            self._copy(kept, self.state)

    def reset(self) -> None:
        """Restore the layer and dtui's state directory."""
        for one in self.layer.iterdir():
            if one.is_dir() and not one.is_symlink():
                shutil.rmtree(one)
            else:
                one.unlink()
        self._copy(self.saved, self.layer)
        with suppress(OSError):  # set by the kernel, and left behind if a probe is killed
            os.removexattr(self.layer, "trusted.overlay.origin")
        self.reset_state()

    def close(self) -> None:
        shutil.rmtree(self.saved, ignore_errors=True)

    @property
    def inspect(self) -> Inspect:
        return self.endpoint().inspect

    @property
    def details(self) -> Details:
        return self.inspect(self.id)

    def view(self) -> View:
        """Return what the container would see, by a mount of the driver's kind if there is one."""
        if self.mounted:
            with tempfile.TemporaryDirectory(prefix="dtui-look-", dir="/var/tmp") as place:
                lower = ":".join(map(str, (self.layer, *self.mounted)))
                mount = [*(word.format(lower) for word in self.mounter), place]
                subprocess.run(mount, check=True, stderr=subprocess.DEVNULL)
                try:
                    return walk(Path(place), self.clock)
                finally:
                    subprocess.run(["/bin/umount", place], check=True)
        if (self.layer / "proc").exists():
            return walk(self.layer, self.clock)
        return self._by_ourselves()

    def _by_ourselves(self) -> View:
        """Return what dtui's own union shows, for a kernel without aufs."""
        found: View = {}
        inodes = {}
        with readable_tree(self.details) as tree:
            todo = [b""]
            for above in todo:
                for name in tree.names(above or b"/"):
                    node = tree.look(above + b"/" + name)
                    assert node is not None
                    assert node.kind is not None
                    assert node.inode_version is not None
                    directory = node.kind is EntryKind.DIRECTORY
                    if directory:
                        todo.append(node.path)
                    content, holes = b"", False
                    if node.kind is EntryKind.FILE:
                        fd = tree.open_file(node.path)
                        content = os.read(fd, 1 << 24)
                        holes = os.fstat(fd).st_blocks * 512 < node.size
                        os.close(fd)
                    path = os.fsdecode(node.path).lstrip("/")
                    found[path] = EntryState(
                        mode=_TYPES[node.kind] | node.mode,
                        uid=node.uid,
                        gid=node.gid,
                        content=hashlib.sha256(content).hexdigest() if node.kind is EntryKind.FILE else "",
                        target=os.fsdecode(node.target),
                        rdev=node.rdev,
                        xattrs=kept_xattrs(iter(node.xattrs)),
                        names=(),
                        time=self.clock.of(path, node.mtime_ns, directory=directory),
                        holes=holes,
                    )
                    if not directory:
                        inodes[path] = node.inode if node.inode != (0, 0) else (0, node.inode_version.inode)
        return with_names(found, inodes)

    def leftovers(self) -> list[str]:
        """Return the paths in the layer and next to it that dtui left behind."""
        return [str(path) for path in (*self.layer.rglob("*dtui*"), *self.layer.parent.glob("*dtui*"))]

    # acts --------------------------------------------------------------------------------------------------

    def act(self, name: str) -> Callable[[], object]:
        """Return an act as a function that can be called in a separate process."""
        places = self.places

        def call() -> object:
            inspect = self.endpoint().inspect
            if name == "save":
                return save(self.id, places["save"], b"N" * 70_000, None, inspect=inspect)
            if name == "create":
                return save(self.id, places["create"], b"N" * 70_000, None, SaveOptions(create=True), inspect=inspect)
            if name == "save in place":
                return save(self.id, places["save"], b"N" * 70_000, None, SaveOptions(in_place=True), inspect=inspect)
            if name == "delete":
                return acts.remove(self.id, places["delete"], inspect=inspect, recursive=True)
            if name == "rename":
                return acts.rename(self.id, places["delete"], places["goal"], inspect=inspect)
            if name == "move":
                return acts.rename(self.id, places["delete"], places["far"], inspect=inspect)
            if name == "chmod":
                change = mode_change("o-rwx,u+s")
                return acts.change_metadata(
                    self.id, places["delete"], change, UndoKind.CHMOD, inspect=inspect, recursive=True
                )
            if name == "copy in":
                return copy_in(self.id, Path(__file__).with_name("stopped_lab.py"), places["save"], inspect=inspect)
            if name == "revert":
                return revert(self.id, places["revert"], inspect=inspect)
            files = LayerFiles(inspect(self.id), inspect)
            return undo(last_to_undo(self.id), inspect=inspect, save=files.save)

        return call


ACTS = ("save", "save in place", "delete", "rename", "chmod", "copy in", "revert")
_TYPES = {
    EntryKind.FILE: stat.S_IFREG,
    EntryKind.DIRECTORY: stat.S_IFDIR,
    EntryKind.SYMLINK: stat.S_IFLNK,
    EntryKind.FIFO: stat.S_IFIFO,
    EntryKind.SOCKET: stat.S_IFSOCK,
    EntryKind.CHARACTER: stat.S_IFCHR,
    EntryKind.BLOCK: stat.S_IFBLK,
}

UNDONE = ("save", "delete", "rename", "chmod", "revert")
"""Acts whose undo is tested too, as ``undo save`` and so on."""


def furnish(root: Path) -> None:
    """Add unusual entries and attributes to the paths that are saved, deleted, renamed and reverted."""
    dress(root / "app/start.sh")
    os.setxattr(root / "app", "system.posix_acl_default", acl(4321))
    plant(root / "old")
    plant(root / "conf.d")


def of_box(box: Box, state: Path) -> Lab:
    """Return a lab with a stopped container of a real engine."""
    details = box.details
    stack = details.stack
    assert stack is not None
    mounter = {"overlay2": OVERLAY, "fuse-overlayfs": FUSE}.get(details.container.driver.name, ())
    lowers = tuple(layer.path for layer in stack.layers[1:]) if mounter else ()
    host = box.engine.host
    furnish(box.upper)
    places = {"save": b"/app/start.sh", "delete": b"/old", "goal": b"/etc/moved", "revert": b"/conf.d"}
    places["create"] = b"/etc/motd"
    return Lab(box.id, box.upper, state, lambda: LiveEndpoint("local", host), places, lowers, mounter)


def of_aufs(root: Path, state: Path) -> Lab:
    """Return a lab with a container of a captured aufs data-root."""
    endpoint = OfflineEndpoint("root", root)
    found = next(one for one in endpoint.snapshot() if one.name == "web")
    stack = endpoint.inspect(found.id).stack
    assert stack is not None
    for layer in stack.layers:  # in the image's layer, so that copy-up has to keep it
        if (layer.path / "etc/passwd").exists():
            dress(layer.path / "etc/passwd")
    (stack.writable.path / "app/data").mkdir()
    plant(stack.writable.path / "app/data")
    plant(stack.writable.path / "app/conf.d")
    places = {"save": b"/etc/passwd", "delete": b"/app/data", "goal": b"/etc/moved", "revert": b"/app/conf.d"}
    places["create"] = b"/etc/motd"
    made = partial(OfflineEndpoint, "root", root)
    return Lab(found.id, stack.writable.path, state, made, places, loose=("app/data", "etc/moved"))
