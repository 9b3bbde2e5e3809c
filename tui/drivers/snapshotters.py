"""containerd's snapshotters: Docker's image store since Engine 29, optional since 24.

A container's layer is the active snapshot whose key is the container's id. The snapshotter's ``metadata.db`` has
``v1/snapshots/<namespace>/<number>/<key>`` with ``id``, ``kind`` and ``parent``; the files are below
``snapshots/<id>``. Read in containerd 2.1 (core/snapshots/storage, plugins/snapshots/*), measured on Docker 28.5 and
29.7.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tui.core.errors import DtuiError, LayerError, NotFound
from tui.core.ids import LayerId
from tui.core.records import Driver, DriverKind, Layer, LayerRole, LayerStack, WhiteoutStyle
from tui.core.text import printable
from tui.drivers.bolt import Bucket, DatabaseVersion, read_bolt, uvarint, version_of
from tui.drivers.data_root import DataRoot, has_foreign_owner
from tui.drivers.overlay2 import uses_user_xattrs
from tui.drivers.users import REMAPPED

_SYSTEM_ROOT, _DOCKER_ROOT = Path("/var/lib/containerd"), Path("/var/lib/docker")
_SETTINGS = Path("/etc/docker/daemon.json")
_PREFIX = "io.containerd.snapshotter.v1."
_DATABASE = "metadata.db"
_MAX_CACHED = 8
"""Databases of which the snapshots are kept in memory; an Engine has one a snapshotter."""

_MAX_CHAIN = 256
"""Longest chain of snapshots; overlay itself takes no more than 500 layers."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot: its key for containerd's clients, its number on disk, and whether it is committed.

    ``name`` is its name in the database, ``parent`` that of the snapshot below; empty for none.
    """

    key: str
    number: int
    committed: bool
    name: bytes
    parent: bytes


def containerd_roots(root: DataRoot) -> Iterator[DataRoot]:
    """Yield the directories where the containerd of a data-root may keep snapshots, the data-root's own first."""
    with suppress(LayerError):
        yield root.below("containerd/daemon")
    if _belongs_to_system_engine(root):
        with suppress(NotFound, LayerError):
            yield DataRoot(_SYSTEM_ROOT)


def _belongs_to_system_engine(root: DataRoot) -> bool:
    """Return whether this host's Engine uses a data-root, so that its containerd is the system's.

    Another data-root, such as one on a disk from elsewhere, could name containers of this host.
    """
    home = root.path.parent if REMAPPED.fullmatch(root.path.name) else root.path
    return not has_foreign_owner(root.directory) and home in _system_data_roots()


def _system_data_roots() -> Iterator[Path]:
    yield Path(os.path.realpath(_DOCKER_ROOT))
    try:
        settings = DataRoot(_SETTINGS.parent).json(_SETTINGS.name)
    except DtuiError:
        return
    for key in ("data-root", "graph"):
        if isinstance(settings.get(key), str):
            yield Path(os.path.realpath(settings[key]))


class _Records:
    """The snapshots of a database at one time, kept because every listing asks for the same ones."""

    def __init__(self, home: DataRoot) -> None:
        self.by_name: dict[bytes, Snapshot | DtuiError] = {}
        self.by_key: dict[bytes, bytes] = {}
        snapshots = read_bolt(home, _DATABASE).bucket(b"v1", b"snapshots")
        for name, bucket in snapshots.items() if snapshots else ():
            if isinstance(bucket, Bucket):
                self.by_key.setdefault(name.split(b"/", 2)[-1], name)
                try:
                    self.by_name[name] = _snapshot(name, bucket)
                except DtuiError as error:  # raised only for those that need this snapshot
                    self.by_name[name] = error

    def snapshot(self, name: bytes) -> Snapshot | None:
        """Return a snapshot, None if it does not exist; raises LayerError if it is damaged."""
        snapshot = self.by_name.get(name)
        if isinstance(snapshot, DtuiError):
            raise snapshot
        return snapshot


_cache: dict[Path, tuple[DatabaseVersion, _Records]] = {}
_cache_lock = threading.Lock()


def _records_of(home: DataRoot) -> _Records:
    """Parse a snapshotter's database, again only after it was written to; raises LayerError, NotReachable."""
    version = version_of(home, _DATABASE)
    with _cache_lock:
        cached = _cache.get(home.path)
        if cached is None or cached[0] != version:
            _cache.pop(home.path, None)
            while len(_cache) >= _MAX_CACHED:
                _cache.pop(next(iter(_cache)))
            cached = _cache[home.path] = (version, _Records(home))
    return cached[1]


def all_snapshots(home: DataRoot) -> Iterator[Snapshot]:
    """Yield all snapshots of a snapshotter, of every namespace; raises LayerError, NotReachable."""
    records = _records_of(home)
    for name in records.by_name:
        snapshot = records.snapshot(name)
        if snapshot is not None:
            yield snapshot


def _snapshot(name: bytes, bucket: Bucket) -> Snapshot:
    fields = dict(bucket.items())
    key = name.decode("utf-8", "replace").split("/", 2)[-1]
    committed = bytes_of(fields.get(b"kind")) == b"\x03"
    return Snapshot(key, uvarint(bytes_of(fields.get(b"id"))), committed, name, bytes_of(fields.get(b"parent")))


def chain_of(home: DataRoot, key: str) -> tuple[Snapshot, ...]:
    """Return the active snapshot with a key and all below it; raises NotFound, LayerError, NotReachable."""
    records = _records_of(home)
    name = records.by_key.get(key.encode())
    if name is None:
        raise NotFound(f"{printable(str(home.path))} has no snapshot {key[:12]}", "the container was removed meanwhile")
    chain: list[Snapshot] = []
    while name:
        snapshot = records.snapshot(name)
        if snapshot is None or len(chain) > _MAX_CHAIN:
            raise LayerError(f"snapshot {printable(name[-64:])} is missing", "the image was removed, or is damaged")
        chain.append(snapshot)
        name = snapshot.parent
    return tuple(chain)


def bytes_of(value: bytes | Bucket | None) -> bytes:
    """Return a value of a record, empty if it is missing or a bucket."""
    return value if isinstance(value, bytes) else b""


class Snapshotter:
    """Layers of a snapshotter that keeps directories; ``active`` and ``committed`` are paths below its own."""

    engine_key = ""
    home = ""

    def __init__(
        self, name: str, whiteout_style: WhiteoutStyle, *, active: str = "snapshots/{}", committed: str = "snapshots/{}"
    ) -> None:
        self.driver = Driver(DriverKind.SNAPSHOTTER, name)
        self._whiteout_style = whiteout_style
        self._active = active
        self._committed = committed

    def from_data_root(self, root: DataRoot, container_id: str) -> LayerStack:
        """Look up the container's id in the snapshotter's database, without asking containerd."""
        problem: NotFound | LayerError | None = None
        for containerd_root in containerd_roots(root):
            try:
                return self.stack_in(containerd_root.below(_PREFIX + self.driver.name), root, container_id)
            except (NotFound, LayerError) as error:
                problem = problem or error
        raise problem or NotFound(
            f"there is no snapshotter {printable(self.driver.name)}", "check that this is the data-root"
        )

    def from_engine(self, container_id: str, data: Mapping[str, str]) -> LayerStack:
        """Raise LayerError: with the containerd store the Engine reports no layers."""
        del data
        raise LayerError(f"the Engine does not report the layers of {container_id[:12]}", "read its data-root: --root")

    def stack_in(self, home: DataRoot, root: DataRoot, container_id: str, address: str = "") -> LayerStack:
        """Read the stack in the snapshotter's own directory; ``address`` is the containerd that named it, if any."""
        chain = chain_of(home, container_id)
        layers = tuple(self._layer(home, snapshot, container_id) for snapshot in chain)
        writable = layers[0].path
        display_address = printable(address)
        address_option = f"-a {display_address} " if address else ""
        # moby, or with remapped users moby-UID.GID
        namespace = printable(chain[0].name.partition(b"/")[0])
        command = (
            f"ctr {address_option}-n {namespace} snapshots --snapshotter {self.driver.name} mounts /mnt {chain[0].key}"
        )
        overlay = self._whiteout_style is WhiteoutStyle.OVERLAY
        return LayerStack(
            self.driver,
            layers,
            f"the Snapshots service at {display_address}" if address else f"snapshot {chain[0].number} in metadata.db",
            command,
            work_dir=writable.with_name("work") if overlay else None,
            userxattr=overlay and uses_user_xattrs(home, f"snapshots/{chain[0].number}"),
            whiteout_style=self._whiteout_style,
            merged=root.path / "rootfs" / self.driver.name / container_id if overlay else None,
            root=home.directory,
        )

    def _layer(self, home: DataRoot, snapshot: Snapshot, container_id: str) -> Layer:
        relative_path = (self._committed if snapshot.committed else self._active).format(snapshot.number)
        if not snapshot.committed:
            role = LayerRole.WRITABLE
        else:
            role = LayerRole.INIT if snapshot.key == f"{container_id}-init" else LayerRole.IMAGE
        return Layer(LayerId.of_snapshot(snapshot.number), role, home.path / relative_path)
