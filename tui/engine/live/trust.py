"""Decides whether to act on what a live Engine says about paths and processes of this host. Nothing else decides that.

dtui runs as root: whoever makes it believe that ``/etc`` is a container's layer makes it write there. An address says
nothing about who answers. Rootless Docker's socket may be opened with sudo, ``ssh -L`` may forward one from another
host, Docker in Docker may have one bind-mounted. So three things are checked, each by what the kernel says or by what
only the Engine's own user could have written.

**The peer.** ``SO_PEERCRED`` names the process that called listen(2) on the socket. It is asked on the very connection
that an answer comes over, since the path of a socket may lead elsewhere between two calls. Its user must be root or
ourselves: another user's Engine may name any path it likes. Under systemd's socket activation it is process 1, which is
right: root's own configuration put the Engine there. A process in another pid namespace appears as 0 and proves
nothing; nor does one in another user namespace, whose root is not ours.

**The same files.** A peer in our mount namespace with our root means the same file by a path as we do. A peer in
another one (a unit with PrivateMounts, a snap, Docker in Docker, a chroot) may do so for a given directory: if
``/proc/PID/root`` followed by the path is the same directory, by device and inode, as the path is here. This is checked
for the data-root and again for each container's layer. Docker in Docker fails it, because its ``/var/lib/docker`` is a
volume.

**The records.** A peer owned by root need not be the Engine: socat and ssh pass on what others say. So no layer's path
is taken from an answer at all. It is looked up in the Engine's own records in the data-root (layerdb, the snapshotter's
database, containers.json), all beneath it and owned by the Engine's user, and must equal the one in the answer. The
container must also have the same name there as in the answer: a benchmark gives its containers names that nobody can
guess, so that no answer can substitute another container. What root forwards from another host names containers that
the records here do not know, and ssh is refused at once, because a clone of this host has the same records.

A container whose Engine is proven but whose layer is not is unproven by itself. Its files are reached through the
Engine's archive API, which requires no trust: the Engine works on its own files.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tui.core.errors import DtuiError, NotReachable
from tui.core.id_maps import host_id
from tui.core.records import DriverKind, LayerStack, Proof, Trust
from tui.core.text import printable
from tui.drivers.containers_storage import container_records
from tui.drivers.data_root import DataRoot
from tui.drivers.users import REMAPPED
from tui.linux.process_marks import has_ended
from tui.linux.processes import read_process
from tui.linux.socket_ends import has_open, holders_of, peer_inode

REMOTE = Proof(Trust.REMOTE, "the Engine runs on another host")

_SO_PEERPIDFD = 77
"""asm-generic/socket.h; Linux 6.5."""

_NAME = 255
"""Characters of a container's name that are compared; a longer one in an answer is truncated a little later."""

_MANAGERS = ("systemd",)
"""Programs that listen for others, which they start as any user once somebody connects."""

_ENDED = "process {}, which made the socket, has ended, so another process answers"

_FORWARDERS = ("ssh", "sshd", "sshd-session", "dbclient", "dropbear")
"""Programs run by root that pass on what another host says."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The process behind a socket, as the kernel named it when we connected."""

    pid: int
    uid: int
    start_time: str
    """Its start time, which distinguishes it from a later process with the same pid."""
    distrust: str = ""
    """Why nothing that it says about this host is believed; empty if it may be."""
    other_mount_namespace: bool = False
    """True if its mount namespace or root differs from ours."""
    is_manager: bool = False
    """Whether it listens for services that it starts, which answer in its place."""

    @property
    def description(self) -> str:
        """Its user and pid, for a sentence."""
        return f"{_user(self.uid)}'s process {self.pid}"

    @property
    def still_runs(self) -> bool:
        """Whether it is the same process that it was, and still its user's."""
        current = read_process(self.pid)
        return current is not None and current.users[0] == self.uid and _start_time(self.pid) == self.start_time

    def sees(self, path: Path) -> bool:
        """Return whether a path means the same directory to it as to us."""
        if not self.other_mount_namespace:
            return True
        try:
            is_same_directory = os.path.samestat(os.stat(f"/proc/{self.pid}/root{path}"), os.stat(path))
            return is_same_directory and _start_time(self.pid) == self.start_time
        except OSError:
            return False


def peer_of(connection: socket.socket) -> Peer:
    """Judge the process at the other end of a connected unix socket."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", credentials)
    peer = _judge(pid, uid)
    if not peer.distrust and _has_ended(connection):
        return replace(peer, distrust=_ENDED.format(pid))
    return peer


def service_of(peer: Peer, inode: int, previous: Peer | None = None) -> Peer:
    """Return who has answered over a connection (``inode`` is our end) if a manager such as systemd listens.

    If the peer is not a manager, it is the peer itself. ``previous`` is the service that answered before.
    """
    if peer.distrust or not peer.is_manager:
        return peer
    try:
        peer_socket = peer_inode(inode)
    except OSError as error:
        reason = f"the kernel does not say who answers: {(error.strerror or '').lower()}"
        return replace(peer, distrust=f"systemd listens at the socket, and {reason}")
    if (
        previous is not None
        and peer_socket
        and not previous.distrust
        and has_open(previous.pid, peer_socket)
        and previous.still_runs
    ):
        return previous
    services = [_service(pid) for pid in holders_of(peer_socket) if pid != peer.pid] if peer_socket else []
    if not services:
        return replace(peer, distrust="systemd listens at the socket, and no process is found that answers there")
    return next((service for service in services if service.distrust), services[0])


def _service(pid: int) -> Peer:
    running = read_process(pid)
    if running is None:
        return Peer(pid, 0, "", _ENDED.format(pid))
    return _judge(pid, running.users[0])


def _judge(pid: int, uid: int) -> Peer:
    """Judge a process that listened or answers at a socket as a user."""
    if uid not in _trusted_uids():
        advice = "; run dtui as that user" if os.geteuid() == 0 else ""
        return Peer(pid, uid, "", f"{_user(uid)} listens at the socket, not {_user(os.geteuid())}{advice}")
    if pid <= 0:
        return Peer(
            pid, uid, "", "the process that listens at the socket is in another pid namespace, such as a container's"
        )
    try:
        started = _start_time(pid)
        in_other_users, in_other_mounts, program = (
            _is_in_other_user_namespace(pid),
            _is_in_other_mount_namespace(pid),
            _program(pid),
        )
        running = read_process(pid)
    except PermissionError:
        distrust = (
            f"{_user(uid)}'s process {pid} listens at the socket; permission denied to inspect it; run dtui as root"
        )
        return Peer(pid, uid, "", distrust)
    except OSError:
        running = None
    if running is None:
        return Peer(pid, uid, "", _ENDED.format(pid))
    stranger = next((user for user in running.users if user not in _trusted_uids()), None)
    if stranger is not None:
        return Peer(pid, uid, started, f"process {pid}, which listens at the socket, now belongs to {_user(stranger)}")
    if in_other_users:
        return Peer(pid, uid, started, f"process {pid}, which listens at the socket, is in another user namespace")
    if program in _FORWARDERS:
        return Peer(
            pid, uid, started, f"{program} (process {pid}) listens at the socket and forwards it to another host"
        )
    return Peer(pid, uid, started, other_mount_namespace=in_other_mounts, is_manager=program in _MANAGERS)


def _trusted_uids() -> tuple[int, ...]:
    """Return the users whose Engine may name paths: root, who could do anything without us, and ourselves."""
    return tuple({0, os.geteuid()})


def _user(uid: int) -> str:
    return "root" if uid == 0 else f"user {uid}"


def _start_time(pid: int) -> str:
    """Return when a process started, in ticks since boot (proc_pid_stat(5), field 22)."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[19]


def _is_in_other_user_namespace(pid: int) -> bool:
    """Return whether a process is root only in another user namespace. Without root, our own user is enough."""
    return os.geteuid() == 0 and not _same_namespace(pid, "user")


def _is_in_other_mount_namespace(pid: int) -> bool:
    return not _same_namespace(pid, "mnt") or not os.path.samestat(os.stat(f"/proc/{pid}/root/"), os.stat("/"))


def _same_namespace(pid: int, kind: str) -> bool:
    return os.path.samestat(os.stat(f"/proc/{pid}/ns/{kind}"), os.stat(f"/proc/self/ns/{kind}"))


def _program(pid: int) -> str:
    return os.path.basename(os.readlink(f"/proc/{pid}/exe")).removesuffix(" (deleted)")


def _has_ended(connection: socket.socket) -> bool:
    """Return whether the process that made the socket is gone, so that its pid may be reused; False before Linux
    6.5."""
    try:
        pidfd = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    try:
        return has_ended(pidfd)
    finally:
        os.close(pidfd)


def engine_proof(peer: Peer | None, data_root: str) -> Proof:
    """Judge an Engine by its peer (None: not a unix socket) and by the data-root that it names."""
    if peer is None:
        return REMOTE
    if peer.distrust:
        return _unproven(peer.distrust)
    root = Path(data_root)
    display_path = printable(data_root)
    if not root.is_absolute():
        return _unproven("the Engine names no data-root")
    try:
        owner = os.stat(root).st_uid
    except PermissionError:
        return _unproven(f"{display_path}: permission denied; run dtui as root, or use sudo")
    except OSError:
        return _unproven(f"the Engine's data-root {display_path} is not on this host")
    if owner not in _allowed_owners(peer, root):
        return _unproven(f"{display_path} belongs to {_user(owner)}, but {_user(peer.uid)} runs the Engine")
    if not peer.sees(root):
        return _unproven(
            f"{peer.description} has another mount namespace, in which {display_path} is not the directory it is here"
        )
    location = (
        f"another mount namespace with the same {display_path}"
        if peer.other_mount_namespace
        else f"our mount namespace, on {display_path}"
    )
    return Proof(Trust.PROVEN, f"{peer.description} listens at the socket, in {location}")


def layer_proof(
    peer: Peer,
    root: DataRoot,
    container_id: str,
    name: str,
    stack: LayerStack,
    reported_stack: LayerStack | None,
    data_root: str,
) -> Proof:
    """Judge a container's layer found in the records, by owners and by what the Engine says about it.

    ``name`` is the Engine's name of the container; ``data_root`` is the data-root as the Engine writes it, with which
    its other paths begin. Raises LayerError, NotReachable, NotFound for records that cannot be read.
    """
    path = stack.writable.path
    if reported_stack is not None and _relative_to_root(
        str(reported_stack.writable.path), data_root
    ) != _relative_to_root(str(path), str(root.path)):
        reported = f"the Engine names {printable(str(reported_stack.writable.path))} as its layer"
        return _unproven(f"{reported}, but the records here name {printable(str(path))}")
    users = (*_allowed_owners(peer, root.path), host_id(stack.ids.users, 0))  # podman gives vfs to the container's root
    for owned_path in _paths_to_check(root, container_id, stack):
        try:
            owner = os.stat(owned_path).st_uid
        except PermissionError:
            return _unproven(f"{printable(str(owned_path))}: permission denied; run dtui as root, or use sudo")
        except OSError as error:
            return _unproven(f"{printable(str(owned_path))}: {(error.strerror or '').lower()}")
        if owner not in users:
            ownership = f"{printable(str(owned_path))} belongs to {_user(owner)}"
            return _unproven(f"{ownership}, but {_user(peer.uid)} runs the Engine")
    names = _recorded_names(root, container_id, stack)
    if name[:_NAME] not in names:
        recorded_names = ", ".join(printable(recorded[:64]) for recorded in names[:3]) or "nothing"
        return _unproven(
            f"the Engine calls the container {printable(name[:64])}, but the records here {recorded_names}"
        )
    if stack.writable.source is None and not peer.sees(path):
        return _unproven(f"{peer.description} has another directory at {printable(str(path))}")
    return Proof(Trust.PROVEN, f"{stack.located_by} names its layer")


def _recorded_names(root: DataRoot, container_id: str, stack: LayerStack) -> list[str]:
    """Return the container's names in the Engine's records."""
    if stack.driver.kind is DriverKind.STORAGE:
        records = container_records(root, stack.driver.name)
        names = next((record.get("names") for record in records if record.get("id") == container_id), None)
        return [str(recorded)[:_NAME] for recorded in names] if isinstance(names, list) else []
    return [str(root.json(f"containers/{container_id}/config.v2.json").get("Name")).lstrip("/")[:_NAME]]


def _allowed_owners(peer: Peer, root: Path) -> tuple[int, ...]:
    """Return who may own an Engine's files: its user and, in a data-root for remapped users, their root.

    Such a data-root belongs to that user, but only the Engine's user can have created it there.
    """
    match = REMAPPED.fullmatch(root.name)
    if match is None:
        return (peer.uid,)
    with suppress(OSError):
        parent_status = os.stat(root.parent)
        if parent_status.st_uid == peer.uid and not parent_status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return (peer.uid, int(match.group(1)))
    return (peer.uid,)


def unproven_by(error: DtuiError) -> Proof:
    """Return the verdict on a container whose records cannot be read."""
    return _unproven(str(error))


def unproven_by_layer(reported_path: str) -> Proof:
    """Return the verdict on a container whose Engine reports a layer that no storage driver would make."""
    return _unproven(
        f"the Engine names {printable(reported_path[:200])} as its layer, but the records here have none like it"
    )


def _unproven(reason: str) -> Proof:
    return Proof(Trust.UNPROVEN, reason)


def _relative_to_root(path: str, root: str) -> str:
    """Return a path relative to its data-root, or the path itself if it is outside."""
    return path.removeprefix(root.rstrip("/") + "/")


def _paths_to_check(root: DataRoot, container_id: str, stack: LayerStack) -> tuple[Path, ...]:
    """Return what the Engine's user must own: the record that names the layer, and the layer's parent directory.

    The layer itself has the owner of the container's root directory, which the container may change.
    """
    name, layer = stack.driver.name, stack.writable.path
    if stack.driver.kind is DriverKind.GRAPH:
        record = root.path / "image" / name / "layerdb" / "mounts" / container_id / "mount-id"
    elif stack.driver.kind is DriverKind.STORAGE:
        record = root.path / f"{name}-containers" / "containers.json"
    else:
        record = (stack.root or root.directory).path / "metadata.db"
    return (record,) if stack.writable.source is not None else (record, layer.parent)


def is_engine_of(peer: Peer, root: Path) -> bool:
    """Return whether a peer is the Engine of a data-root itself: it has files of it open, or systemd listens for it."""
    prefix = f"{root}/"
    with suppress(OSError):
        for number in os.listdir(f"/proc/{peer.pid}/fd"):
            with suppress(OSError):  # closed meanwhile
                if os.readlink(f"/proc/{peer.pid}/fd/{number}").startswith(prefix):
                    return True
    return False


def refuse_stranger(connection: socket.socket, address: str) -> None:
    """Raise NotReachable unless root or we ourselves listen at a socket whose answers name host directories."""
    peer = peer_of(connection)
    if peer.is_manager:
        peer = replace(peer, distrust="systemd listens at the socket, and it is unknown for which service")
    if peer.distrust:
        raise NotReachable(f"dtui does not trust {printable(address)}: {peer.distrust}", "use the Engine's archive API")
