"""What a container may do with a file, asked before this host's root does it for the container.

A link that the container made, or a directory of the host that is mounted in it, leads to files that others protect
from it. dtui's root may open them all, and would lend that right to whoever is in the container. So each file outside
the container's own root file system is judged as the kernel would judge the container: by owner, group, supplementary
groups, mode, ACL and capabilities, for the container's root and for every process that runs in it (fs/namei.c,
fs/posix_acl.c). What they could come to in several steps, such as a chown and an open, does not count.

Two things make the container's root weaker than ours. In a user namespace it has no more rights than everybody over a
file whose owner or group the namespace does not have (``privileged_wrt_inode_uidgid``, fs/inode.c). And capabilities
may be missing from its bounding set (``--cap-drop``). Of what the Engine made for the container, which is its root file
system, the container's root is taken to have all of them.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntFlag
from pathlib import Path

from tui.core.errors import EditRefused
from tui.core.id_maps import HOST_IDS, IdMap, host_id, parse_id_map, shown_id
from tui.core.text import printable
from tui.linux.processes import Credentials, credentials_of, shares_namespace


class BeyondContainer(EditRefused):
    """A file or directory of the host with which a container that sees it may not do what was asked."""

    def __init__(self, path: bytes, owner: int) -> None:
        whose = f"user {owner}" if owner else "root"
        message = f"{printable(path)}: {whose} of the host does not let the container do this"
        super().__init__(message, "do it on the host, in the directory that is mounted there; nothing was changed")
        self.owner = owner


class Need(IntFlag):
    """What is about to be done with a file or directory; the first three are the bits of a mode."""

    PASS = 1
    """Look a name up in a directory."""
    CHANGE = 2
    """Write a file, or make, rename and remove names in a directory."""
    READ = 4
    """Read a file, or list a directory."""
    OWN = 8
    """Change mode, times or attributes, which no bit of a mode allows."""
    GIVE = 16
    """Change owner or group."""


class Capability(IntFlag):
    """Capabilities that decide about files (linux/capability.h)."""

    CHOWN = 1 << 0
    DAC_OVERRIDE = 1 << 1
    DAC_READ_SEARCH = 1 << 2
    FOWNER = 1 << 3


_ALL = Capability.CHOWN | Capability.DAC_OVERRIDE | Capability.DAC_READ_SEARCH | Capability.FOWNER
_SUFFICIENT = Capability.CHOWN | Capability.DAC_OVERRIDE | Capability.FOWNER
"""With these the root of a container without users of its own may do with any file whatever this host's root may."""

_ACL = "system.posix_acl_access"
_ACL_HEAD = 4
_ACL_ENTRY = struct.Struct("<HHI")  # tag, rights, user or group (linux/posix_acl_xattr.h)
_USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x02, 0x04, 0x08, 0x10, 0x20

Acl = tuple[tuple[int, int, int], ...]
"""Entries of an ACL in the kernel's order: tag, rights, and the user or group that is meant."""


@dataclass(frozen=True, slots=True)
class Item:
    """A file or directory as its host shows it: status, and the ACL where it has one."""

    status: os.stat_result
    acl: Acl = ()


@dataclass(frozen=True, slots=True)
class Rights:
    """As whom a container opens files: its users, its root and the processes that run in it."""

    ids: IdMap
    root: Credentials | None
    processes: tuple[Credentials, ...] = ()

    def subjects(self, *, own: bool) -> tuple[Credentials, ...]:
        """Return who may ask, root first; ``own`` is for files of the container's own root file system."""
        if self.root is None:
            return self.processes
        return (replace(self.root, capabilities=_ALL) if own else self.root, *self.processes)


def ids_of_process(pid: int) -> IdMap | None:
    """Return the users and groups of a process in another user namespace, None for one in ours; raises OSError."""
    if shares_namespace(pid, "user"):
        return None
    users, groups = (Path(f"/proc/{pid}/{name}").read_text(encoding="ascii") for name in ("uid_map", "gid_map"))
    return IdMap(parse_id_map(users), parse_id_map(groups))


def rights_of_process(pid: int) -> Rights | None:
    """Return the rights of the container whose first process this is, None where its root has all that ours has.

    Raises OSError.
    """
    ids = ids_of_process(pid)
    first = credentials_of(pid)
    if ids is None and first.bounding & _SUFFICIENT == _SUFFICIENT:
        return None
    ids = ids or HOST_IDS
    user, group = host_id(ids.users, 0), host_id(ids.groups, 0)
    root = None
    if user is not None:
        groups = first.groups | ({group} if group is not None and user != first.user else set())
        root = Credentials(user, frozenset(groups), first.bounding, first.bounding)
    return Rights(ids, root, tuple(dict.fromkeys((first, *_processes_beside(pid)))))


def _processes_beside(pid: int) -> Iterator[Credentials]:
    """Yield as whom the processes open files that see the same mounts and users as one does; raises OSError."""
    namespaces = _namespaces(str(pid))
    for name in os.listdir("/proc"):
        with suppress(OSError, ValueError):  # it has ended meanwhile
            if name.isdigit() and _namespaces(name) == namespaces:
                yield credentials_of(int(name))


def _namespaces(pid: str) -> tuple[int, ...]:
    return tuple(os.stat(f"/proc/{pid}/ns/{kind}").st_ino for kind in ("mnt", "user"))


def may(who: Credentials, ids: IdMap, item: Item, need: Need) -> bool:
    """Say whether the kernel would let somebody in a container do something with what lies on the host."""
    status = item.status
    capabilities = _capabilities(who, ids, status)
    if need & Need.GIVE and not capabilities & Capability.CHOWN:
        return False
    if need & Need.OWN and status.st_uid != who.user and not capabilities & Capability.FOWNER:
        return False
    wanted = int(need) & 7
    if stat.S_ISDIR(status.st_mode) and wanted & Need.CHANGE:
        wanted |= Need.PASS
    if _permitted(who, item, wanted) or capabilities & Capability.DAC_OVERRIDE:
        return True
    readable = Need.READ | Need.PASS if stat.S_ISDIR(status.st_mode) else Need.READ
    return bool(capabilities & Capability.DAC_READ_SEARCH) and not wanted & ~readable


def may_take(who: Credentials, ids: IdMap, directory: Item, entry: os.stat_result) -> bool:
    """Say whether somebody may remove, rename or replace a name: in a sticky directory only its owner may."""
    if not may(who, ids, directory, Need.CHANGE):
        return False
    if not directory.status.st_mode & stat.S_ISVTX or who.user in (entry.st_uid, directory.status.st_uid):
        return True
    return bool(_capabilities(who, ids, entry) & Capability.FOWNER)


def _capabilities(who: Credentials, ids: IdMap, status: os.stat_result) -> int:
    """Return which capabilities count for a file: none where the container does not have its owner and group."""
    mapped = shown_id(ids.users, status.st_uid) is not None and shown_id(ids.groups, status.st_gid) is not None
    return who.capabilities if mapped else 0


def _permitted(who: Credentials, item: Item, wanted: int) -> bool:
    """Judge by owner, group, mode and ACL alone (acl_permission_check in fs/namei.c)."""
    mode = item.status.st_mode
    if item.status.st_uid == who.user:
        return not wanted & ~(mode >> 6)
    if item.acl and mode & stat.S_IRWXG:
        return _permitted_by_acl(who, item, wanted)
    if item.status.st_gid in who.groups:
        mode >>= 3
    return not wanted & ~mode


def _permitted_by_acl(who: Credentials, item: Item, wanted: int) -> bool:
    """Judge by an ACL whose owner is somebody else (posix_acl_permission in fs/posix_acl.c)."""
    mask = next((rights for tag, rights, _ in item.acl if tag == _MASK), 7)
    in_a_group = False
    for tag, rights, number in item.acl:
        if tag == _USER and number == who.user:
            return not wanted & ~(rights & mask)
        if tag in (_GROUP_OBJ, _GROUP) and (item.status.st_gid if tag == _GROUP_OBJ else number) in who.groups:
            in_a_group = True
            if not wanted & ~rights:
                return not wanted & ~mask
        if tag == _OTHER:
            return not in_a_group and not wanted & ~rights
    return False


def item_of(fd: int) -> Item:
    """Describe what a descriptor holds, which may be O_PATH; raises OSError."""
    status = os.fstat(fd)
    try:
        packed = os.getxattr(f"/proc/self/fd/{fd}", _ACL)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
            raise
        return Item(status)
    return Item(status, tuple(_ACL_ENTRY.iter_unpack(packed[_ACL_HEAD:])))


def refuse_beyond(rights: Rights, fd: int, path: bytes, need: Need, *, own: bool = False) -> None:
    """Raise BeyondContainer for what nobody in a container may do with what is open."""
    item = item_of(fd)
    if not any(may(who, rights.ids, item, need) for who in rights.subjects(own=own)):
        raise BeyondContainer(path, item.status.st_uid)


def refuse_taking(
    rights: Rights, dir_fd: int, entry: os.stat_result, path: bytes, *, written: int | None = None, own: bool = False
) -> None:
    """Raise BeyondContainer for a name that nobody in a container may remove or rename.

    A file that takes the place of one keeps its owner: it must be the container's to write (``written``, open) as well.
    """
    subjects = rights.subjects(own=own)
    directory = item_of(dir_fd)
    if not any(may_take(who, rights.ids, directory, entry) for who in subjects):
        raise BeyondContainer(path, directory.status.st_uid)
    if written is not None:
        item = item_of(written)
        needs = (Need.CHANGE, Need.OWN)
        if not any(may(who, rights.ids, item, need) for who in subjects for need in needs):
            raise BeyondContainer(path, item.status.st_uid)
