"""The frozen records that all packages exchange. They hold facts, never handles, and do no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from tui.core.id_maps import HOST_IDS, IdMap
from tui.core.ids import ContainerId, LayerId
from tui.core.lifecycle import NO_GROUP, UNKNOWN_LIFECYCLE, Group, Lifecycle


class State(StrEnum):
    """State of a container, in the Engine's own words."""

    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    CREATED = "created"
    EXITED = "exited"
    REMOVING = "removing"
    DEAD = "dead"
    UNKNOWN = "unknown"

    @property
    def alive(self) -> bool:
        """Whether the container has a process, so that its root is mounted."""
        return self in (State.RUNNING, State.PAUSED)

    @property
    def at_rest(self) -> bool:
        """Whether the Engine is certainly not using the layer."""
        return self in (State.CREATED, State.EXITED)


class Trust(StrEnum):
    """Whether to act on what an endpoint says about paths and processes of this host."""

    PROVEN = "proven"
    UNPROVEN = "unproven"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class Proof:
    """The verdict on an endpoint or on one of its containers, with the reason in one line."""

    trust: Trust
    reason: str

    @property
    def proven(self) -> bool:
        return self.trust is Trust.PROVEN


UNPROVEN = Proof(Trust.UNPROVEN, "not checked yet")


class DriverKind(StrEnum):
    """The family of a driver. A name alone is ambiguous: ``btrfs``, ``zfs``, ``overlay`` and ``vfs`` exist in two
    families."""

    GRAPH = "graph"
    SNAPSHOTTER = "snapshotter"
    STORAGE = "storage"
    """podman's containers/storage, whose ``overlay`` has the layout of Docker's overlay2."""


@dataclass(frozen=True, slots=True)
class Driver:
    """A storage driver: its family, and its name as ``docker info`` prints it."""

    kind: DriverKind
    name: str


class AccessKind(StrEnum):
    """How a writable layer can be reached now."""

    DIRECT = "direct"
    MOUNT = "mount"
    ENGINE = "engine"
    NONE = "none"

    @property
    def readable(self) -> bool:
        """Whether the layers themselves can be opened on this host."""
        return self in (AccessKind.DIRECT, AccessKind.MOUNT)


@dataclass(frozen=True, slots=True)
class LayerAccess:
    """How a writable layer can be reached, why, and its directory on the host if it has one."""

    kind: AccessKind
    reason: str
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a container, and the host address and port it is published at (0: not published)."""

    container: int
    protocol: str
    host: int = 0
    address: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """Something mounted over the container's file system while it runs.

    ``kind`` is the Engine's ``bind``, ``volume`` or ``tmpfs``, or ``engine`` for the files that the Engine itself
    mounts over /etc/hosts, /etc/hostname and /etc/resolv.conf. ``source`` is a path on the Engine's host.
    """

    destination: str
    source: str
    kind: str
    name: str = ""
    writable: bool = True

    @property
    def description(self) -> str:
        """The kind as it reads in a sentence: "bind mount", "volume", "tmpfs", "engine's mount"."""
        return {"bind": "bind mount", "engine": "engine's mount"}.get(self.kind, self.kind)


@dataclass(frozen=True, slots=True)
class Container:
    """One row of the container list: what a single list call returns, without an inspect per container."""

    endpoint: str
    id: ContainerId
    name: str
    state: State
    status: str
    driver: Driver
    image: str
    created: datetime
    exit_code: int | None = None
    image_id: str = ""
    command: str = ""
    ports: tuple[Port, ...] = ()
    hidden: bool = False
    """Made under another storage driver than the daemon runs now, so that the daemon does not list it."""
    size_rw: int | None = None
    """Bytes in the writable layer; None until somebody asks, because the Engine has to walk the layer."""
    trust: Trust = Trust.UNPROVEN
    """Whether its layer and its process may be opened on this host. In a list this is the endpoint's trust."""
    health: str = ""
    """``healthy``, ``unhealthy`` or ``starting`` while it runs and has a health check; else empty."""
    group: Group = NO_GROUP

    @property
    def short_id(self) -> str:
        """The first twelve digits of the id, as Docker shows it."""
        return self.id[:12]

    @property
    def command_line(self) -> str:
        """The engine's own command, for commands to type by hand."""
        return "podman" if self.driver.kind is DriverKind.STORAGE else "docker"


class LayerRole(StrEnum):
    """The role of a layer in its stack."""

    WRITABLE = "writable"
    INIT = "init"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A ZFS dataset by its name in ``zfs list``. It must be mounted before its files can be read."""

    name: str


@dataclass(frozen=True, slots=True)
class ThinDevice:
    """A thin device of a device-mapper pool: its name, pool, id, and size in bytes.

    ``name`` is the only name it may be activated under: a second name would be a second block device on the same
    blocks.
    """

    name: str
    pool: str
    device_id: int
    size: int


@dataclass(frozen=True, slots=True)
class HostDirectory:
    """A directory of this host as it was when opened: its path without links, its identity and its owner."""

    path: Path
    device: int
    inode: int
    owner: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its id in the storage driver and the directory that holds its files.

    If it has a ``source``, the directory exists only while the Engine has that source mounted.
    """

    id: LayerId
    role: LayerRole
    path: Path
    source: Dataset | ThinDevice | None = None


class WhiteoutStyle(StrEnum):
    """How a storage driver records in a layer that something below it was deleted."""

    OVERLAY = "overlay"
    """A character device 0:0; on an opaque directory an attribute."""
    AUFS = "aufs"
    """An empty file ``.wh.NAME``; in an opaque directory ``.wh..wh..opq``."""
    FUSE = "fuse-overlayfs"
    """Either of the two: fuse-overlayfs unpacks image layers with the marks of aufs."""
    TREE = "full tree"
    """No marks: each layer is a complete tree, and what was deleted is simply absent."""


@dataclass(frozen=True, slots=True)
class LayerStack:
    """The layers of a container: the writable one, then ``-init``, then the image's, nearest first.

    ``located_by`` names the record that the layers were found in, ``command`` what a person would type to find them.
    """

    driver: Driver
    layers: tuple[Layer, ...]
    located_by: str
    command: str
    work_dir: Path | None = None
    """The engine's own overlay work directory. dtui looks at it but never uses it."""
    userxattr: bool = False
    """True if whiteout and opaque marks are ``user.overlay.*`` (rootless engines), not ``trusted.overlay.*``."""
    idmapped: bool = False
    """True if the engine mounts the lower layers with other owners than they have on disk."""
    ids: IdMap = HOST_IDS
    """The container's users and groups, inside the container and on disk."""
    whiteout_style: WhiteoutStyle = WhiteoutStyle.OVERLAY
    merged: Path | None = None
    """Where the engine mounts the union while the container runs; None for full trees, which need no union."""
    root: HostDirectory | None = None
    """The data-root that the layers are opened beneath; None if only an Engine named them."""
    compared_only: tuple[int, ...] = ()
    """Indices of layers that are compared with but do not show through: the container has a copy of them."""

    @property
    def visible(self) -> tuple[int, ...]:
        """Indices of the layers whose union the container sees, top first. For full trees only the first."""
        if self.whiteout_style is WhiteoutStyle.TREE:
            return (0,)
        return tuple(index for index in range(len(self.layers)) if index not in self.compared_only)

    @property
    def base(self) -> tuple[int, ...]:
        """Indices of the layers whose union the container started with, top first."""
        return tuple(range(1, len(self.layers)))[: 1 if self.whiteout_style is WhiteoutStyle.TREE else None]

    @property
    def writable(self) -> Layer:
        """The container's own layer."""
        return self.layers[0]

    @property
    def lowers(self) -> tuple[Layer, ...]:
        """The read-only layers that show through the writable one, nearest first."""
        return tuple(self.layers[index] for index in self.visible[1:])

    @property
    def images(self) -> tuple[Layer, ...]:
        """The image's layers, nearest first."""
        return tuple(layer for layer in self.layers if layer.role is LayerRole.IMAGE)


@dataclass(frozen=True, slots=True)
class Details:
    """What one inspect call returns about a container, with its layers and how to reach them."""

    container: Container
    pid: int
    argv: tuple[str, ...]
    working_dir: str
    error: str
    oom_killed: bool
    restart_count: int
    started_at: datetime | None
    finished_at: datetime | None
    mounts: tuple[Mount, ...]
    stack: LayerStack | None
    access: LayerAccess
    log_path: str = ""
    mount_id: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    """Other settings to show, as pairs: restart policy, health, networks, labels, environment."""
    proof: Proof = UNPROVEN
    """Why the paths and the process of this container are trusted. If they are not, ``stack`` is None and ``pid`` 0."""
    reported_stack: LayerStack | None = None
    """Layers as an untrusted Engine reports them: shown, never opened."""
    lifecycle: Lifecycle = UNKNOWN_LIFECYCLE
    """Who starts, replaces or removes the container besides the user."""
    labels: tuple[tuple[str, str], ...] = ()
    """All labels in full, sorted by name."""

    @property
    def shown_stack(self) -> LayerStack | None:
        """The layers to show: the proven ones if there are any, else those that the Engine reports."""
        return self.stack or self.reported_stack

    @property
    def session_key(self) -> tuple[str, str, str, int, str]:
        """What an open editor depends on: endpoint, id, start time, pid and layer of the container.

        If any of these differs later, the container was restarted or replaced meanwhile.
        """
        started = self.started_at.isoformat() if self.started_at else ""
        return (self.container.endpoint, self.container.id, started, self.pid, self.mount_id)


@dataclass(frozen=True, slots=True)
class Event:
    """A container event as the Engine announced it: its action in the Engine's words, and the container's id."""

    action: str
    id: str
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """Who answers at an endpoint. Fields are empty where the Engine does not say."""

    endpoint: str
    product: str
    version: str
    api_version: str
    driver: Driver
    backing: str
    data_root: str
    proof: Proof = UNPROVEN
    """Whether the Engine's files are on this host, so that its layers can be read as directories."""
    containerd: str = ""
    """Socket of the containerd that keeps the Engine's images (reported since Engine 27)."""
    namespace: str = "moby"
    """The Engine's namespace in that containerd."""

    @property
    def local(self) -> bool:
        return self.proof.proven


class EntryKind(StrEnum):
    """Type of a directory entry."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    FIFO = "fifo"
    SOCKET = "socket"
    CHARACTER = "character device"
    BLOCK = "block device"


class Change(StrEnum):
    """What the container did to a path compared with its image. The values are the letters shown to the user."""

    ADDED = "A"
    MODIFIED = "M"
    DELETED = "D"


class View(StrEnum):
    """Which tree to show: only what the container changed, or everything it sees."""

    LAYER = "layer"
    MERGED = "merged"


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a directory of a container. Names and paths are bytes because they need not be UTF-8.

    ``layer`` is an index into ``LayerStack.layers`` (0 is the writable layer): where the entry comes from or, for a
    deleted entry, where the hidden original lies. ``size`` is in bytes, ``mtime_ns`` in nanoseconds since the epoch;
    ``mode`` holds the permission bits without the type.
    """

    path: bytes
    kind: EntryKind
    size: int
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    layer: int
    nlink: int = 1
    change: Change | None = None
    opaque: bool = False
    metadata_only: bool = False
    target: bytes = b""
    """The target of a symlink, as written in it."""
    covered_by: Mount | None = None
    """The mount that hides this entry while the container runs."""
    inside: Mount | None = None
    """The mount in which this entry lies; ``layer`` then means nothing."""

    @property
    def name(self) -> bytes:
        """The last component of the path; empty for the root."""
        return self.path.rsplit(b"/", 1)[-1]


@dataclass(frozen=True, slots=True)
class PathChange:
    """One changed path, as ``dtui changes`` reports it."""

    path: bytes
    change: Change
    kind: EntryKind
    size: int
    metadata_only: bool
    layer: int
    opaque: bool = False
