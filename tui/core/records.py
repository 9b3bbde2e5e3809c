"""The frozen records that every part exchanges. They hold facts, never handles, and know no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from tui.core.id_maps import HOST_IDS, IdMap
from tui.core.ids import ContainerId, LayerId


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
        """Whether a process of the container exists, so that its root is mounted."""
        return self in (State.RUNNING, State.PAUSED)

    @property
    def at_rest(self) -> bool:
        """Whether the layer is certainly not in use by the Engine."""
        return self in (State.CREATED, State.EXITED)


class Trust(StrEnum):
    """Whether what an endpoint says about paths and processes of this host may be acted upon."""

    PROVEN = "proven"
    UNPROVEN = "unproven"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class Proof:
    """What was decided about an endpoint, or about one of its containers, and why in one line."""

    trust: Trust
    reason: str

    @property
    def proven(self) -> bool:
        """Whether paths and processes of this host may be taken from it."""
        return self.trust is Trust.PROVEN


UNPROVEN = Proof(Trust.UNPROVEN, "nothing was looked at yet")


class DriverKind(StrEnum):
    """Which family a driver belongs to: ``btrfs`` and ``zfs`` exist in two of them, ``overlay`` and ``vfs`` too."""

    GRAPH = "graph"
    SNAPSHOTTER = "snapshotter"
    STORAGE = "storage"
    """Of podman's containers/storage, whose ``overlay`` has the layout of Docker's overlay2."""


@dataclass(frozen=True, slots=True)
class Driver:
    """A storage driver: its family and its name, as ``docker info`` prints it."""

    kind: DriverKind
    name: str


class AccessKind(StrEnum):
    """How a writable layer can be had now."""

    DIRECT = "direct"
    MOUNT = "mount"
    ENGINE = "engine"
    NONE = "none"

    @property
    def readable(self) -> bool:
        """Whether the layers themselves can be opened here."""
        return self in (AccessKind.DIRECT, AccessKind.MOUNT)


@dataclass(frozen=True, slots=True)
class LayerAccess:
    """How the writable layer can be had, why, and its directory on the host where there is one."""

    kind: AccessKind
    reason: str
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """A port of the container, and the host's address and port it is published at (0: not published)."""

    container: int
    protocol: str
    host: int = 0
    address: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """Something mounted over the container's file system when it runs.

    ``kind`` is the Engine's ``bind``, ``volume`` or ``tmpfs``, or ``engine`` for the files that the Engine
    itself mounts over /etc/hosts, /etc/hostname and /etc/resolv.conf. ``source`` is a path on the Engine's host.
    """

    destination: str
    source: str
    kind: str
    name: str = ""
    writable: bool = True

    @property
    def description(self) -> str:
        """Its kind in the words of a sentence: "bind mount", "volume", "tmpfs", "engine's mount"."""
        return {"bind": "bind mount", "engine": "engine's mount"}.get(self.kind, self.kind)


@dataclass(frozen=True, slots=True)
class Container:
    """One row of the container list: what one list call tells, nothing that needs an inspect."""

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
    """On disk under a storage driver that the daemon does not run, so that the daemon hides it."""
    size_rw: int | None = None
    """Bytes in the writable layer; None until somebody asked."""
    trust: Trust = Trust.UNPROVEN
    """Whether its layer and its process may be opened on this host; of a list, the endpoint's own trust."""

    @property
    def short_id(self) -> str:
        """The twelve digits that Docker shows."""
        return self.id[:12]


class LayerRole(StrEnum):
    """What a layer of the stack is."""

    WRITABLE = "writable"
    INIT = "init"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A ZFS dataset, as ``zfs list`` names it: it has to be mounted to be seen."""

    name: str


@dataclass(frozen=True, slots=True)
class ThinDevice:
    """A thin device of a device-mapper pool: the only name it may be activated under, its id and size in bytes."""

    name: str
    pool: str
    device_id: int
    size: int


@dataclass(frozen=True, slots=True)
class HostDirectory:
    """A directory of this host as it was opened: its path without links, its identity, and the user it belongs to."""

    path: Path
    device: int
    inode: int
    owner: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its id in the storage driver and the directory that holds its files.

    With a ``source`` the directory is there only while the Engine has the source mounted.
    """

    id: LayerId
    role: LayerRole
    path: Path
    source: Dataset | ThinDevice | None = None


class WhiteoutStyle(StrEnum):
    """How a storage driver writes down in a layer that something below is gone."""

    OVERLAY = "overlay"
    """Character device 0:0; an attribute on an opaque directory."""
    AUFS = "aufs"
    """An empty file ``.wh.NAME``; ``.wh..wh..opq`` in an opaque directory."""
    FUSE = "fuse-overlayfs"
    """Either of the two: image layers are unpacked with those of aufs."""
    TREE = "full tree"
    """Nothing: each layer is a whole tree, and what is gone is not there."""


@dataclass(frozen=True, slots=True)
class LayerStack:
    """The layers of a container, writable one first, then ``-init``, then the image's, nearest first.

    ``how`` says which source gave the answer and ``command`` what a person would type to get the same.
    """

    driver: Driver
    layers: tuple[Layer, ...]
    how: str
    command: str
    work: Path | None = None
    """The engine's own overlay work directory; never used by dtui, only looked at."""
    userxattr: bool = False
    """Whiteout and opaque marks are ``user.overlay.*`` (rootless) instead of ``trusted.overlay.*``."""
    idmapped: bool = False
    """The engine mounts the lower layers with other owners than they have on disk."""
    ids: IdMap = HOST_IDS
    """The container's users and groups, as it shows them and as they are on disk."""
    marks: WhiteoutStyle = WhiteoutStyle.OVERLAY
    merged: Path | None = None
    """Where the engine mounts what the container sees while it runs; None for full trees, which show it always."""
    root: HostDirectory | None = None
    """The data-root that the layers lie in and are opened beneath; None where only an Engine named them."""
    compared_only: tuple[int, ...] = ()
    """Layers that are compared with, but not part of what the container sees: it has a copy of them."""

    @property
    def visible(self) -> tuple[int, ...]:
        """Indices of the layers whose union the container sees, top first; of full trees only the first."""
        if self.marks is WhiteoutStyle.TREE:
            return (0,)
        return tuple(index for index in range(len(self.layers)) if index not in self.compared_only)

    @property
    def base(self) -> tuple[int, ...]:
        """Indices of the layers whose union the container began with, top first."""
        return tuple(range(1, len(self.layers)))[: 1 if self.marks is WhiteoutStyle.TREE else None]

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
    """Everything one inspect tells about a container, with its layers and how they can be reached."""

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
    reach: LayerAccess
    log_path: str = ""
    mount_id: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    """What else it was made with, to be shown: name and value of restart policy, health, networks, labels, env."""
    proof: Proof = UNPROVEN
    """Why paths and the process of this container are believed, or are not: then there is no stack and no pid."""
    reported_stack: LayerStack | None = None
    """Layers as an Engine tells them that is not believed; never opened."""

    @property
    def shown_stack(self) -> LayerStack | None:
        """The layers to show to a person: proven ones, else what the Engine tells."""
        return self.stack or self.reported_stack

    @property
    def session_key(self) -> tuple[str, str, str, int, str]:
        """What an open editor is pinned to: endpoint, id, start, pid and layer of the container it saw."""
        started = self.started_at.isoformat() if self.started_at else ""
        return (self.container.endpoint, self.container.id, started, self.pid, self.mount_id)


@dataclass(frozen=True, slots=True)
class Event:
    """A change that the Engine announced: ``action`` in its words, ``id`` of the container."""

    action: str
    id: str
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """Who answers at an endpoint; empty strings where it does not say."""

    endpoint: str
    product: str
    version: str
    api_version: str
    driver: Driver
    backing: str
    data_root: str
    proof: Proof = UNPROVEN
    """Whether the Engine's files are on this host, so that layers can be read as directories."""
    containerd: str = ""
    """Socket of the containerd that keeps the Engine's images (told since Engine 27)."""
    namespace: str = "moby"
    """The Engine's namespace in it."""

    @property
    def local(self) -> bool:
        """Whether the Engine's files are proven to be on this host."""
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
    """What the container did to a path, against its image; the letters of the CLI and of the screen."""

    ADDED = "A"
    MODIFIED = "M"
    DELETED = "D"


class View(StrEnum):
    """What is shown: only what the container changed, or what the container sees."""

    LAYER = "layer"
    MERGED = "merged"


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a directory of a container. Names and paths are bytes: they need not be UTF-8.

    ``layer`` is an index into ``LayerStack.layers`` (0 = writable): where the entry comes from, for a deleted
    one where the hidden original lies. ``size`` in bytes, ``mtime_ns`` nanoseconds since the epoch, ``mode`` the
    permission bits without the type.
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
    """Where a symlink points, as written in it."""
    covered_by: Mount | None = None
    """The mount that hides this entry while the container runs."""

    @property
    def name(self) -> bytes:
        """The last component; empty for the root."""
        return self.path.rsplit(b"/", 1)[-1]


@dataclass(frozen=True, slots=True)
class PathChange:
    """One changed path of a container, as ``dtui changes`` reports it."""

    path: bytes
    change: Change
    kind: EntryKind
    size: int
    metadata_only: bool
    layer: int
    opaque: bool = False
