"""Whether a container may do something to a file, checked before the host's root does it on its behalf.

A symlink made in the container, or a directory of the host mounted in it, leads to files that are protected from it.
dtui runs as root and could open them all, and would lend that power to whoever is in the container. So each file
outside the container's own root file system is judged as the kernel would judge the container: by owner, group,
supplementary groups, mode, ACL and capabilities, for the container's root and for every process in it (fs/namei.c,
fs/posix_acl.c). What they could only reach in several steps, such as a chown followed by an open, does not count.

Two things make the container's root weaker than ours. In a user namespace it has no privileges over a file whose owner
or group the namespace does not map (``privileged_wrt_inode_uidgid``, fs/inode.c). And capabilities may be missing from
its bounding set (``--cap-drop``). On its own root file system, which the Engine made for it, the container's root is
assumed to have all of them.
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


class NotPermitted(EditRefused):
    """The container can see this file or directory of the host, but may not do what was asked."""

    def __init__(self, path: bytes, owner: int) -> None:
        owner_name = f"user {owner}" if owner else "root"
        message = f"{printable(path)} belongs to {owner_name} of the host, and the container may not do this"
        super().__init__(message, "do it on the host, in the directory that is mounted there; nothing was changed")
        self.owner = owner


class Need(IntFlag):
    """What is about to be done to a file or directory. The first three are the bits of a mode."""

    TRAVERSE = 1
    """Look up a name in a directory."""
    WRITE = 2
    """Write a file, or create, rename and remove names in a directory."""
    READ = 4
    """Read a file, or list a directory."""
    OWN = 8
    """Change mode, times or attributes, which no mode bit grants."""
    CHOWN = 16
    """Change owner or group."""


class Capability(IntFlag):
    """Capabilities that matter for files (linux/capability.h)."""

    CHOWN = 1 << 0
    DAC_OVERRIDE = 1 << 1
    DAC_READ_SEARCH = 1 << 2
    FOWNER = 1 << 3


_ALL = Capability.CHOWN | Capability.DAC_OVERRIDE | Capability.DAC_READ_SEARCH | Capability.FOWNER
_SUFFICIENT = Capability.CHOWN | Capability.DAC_OVERRIDE | Capability.FOWNER
"""With these, and no user namespace, a container's root may do to any file whatever the host's root may."""

_ACL = "system.posix_acl_access"
_ACL_HEAD = 4
_ACL_ENTRY = struct.Struct("<HHI")  # tag, rights, user or group (linux/posix_acl_xattr.h)
_USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x02, 0x04, 0x08, 0x10, 0x20

Acl = tuple[tuple[int, int, int], ...]
"""Entries of an ACL in the kernel's order: tag, rights, and the user or group."""


@dataclass(frozen=True, slots=True)
class Inode:
    """A file or directory as the host sees it: its status, and its ACL if it has one."""

    status: os.stat_result
    acl: Acl = ()


@dataclass(frozen=True, slots=True)
class Rights:
    """The credentials with which a container opens files: its id map, its root, and the processes in it."""

    ids: IdMap
    root: Credentials | None
    processes: tuple[Credentials, ...] = ()

    def subjects(self, *, own: bool) -> tuple[Credentials, ...]:
        """Return all credentials, root's first; ``own`` is for files on the container's own root file system."""
        if self.root is None:
            return self.processes
        return (replace(self.root, capabilities=_ALL) if own else self.root, *self.processes)


def ids_of_process(pid: int) -> IdMap | None:
    """Return the id map of a process, or None if it is in our user namespace; raises OSError."""
    if shares_namespace(pid, "user"):
        return None
    users, groups = (Path(f"/proc/{pid}/{name}").read_text(encoding="ascii") for name in ("uid_map", "gid_map"))
    return IdMap(parse_id_map(users), parse_id_map(groups))


def rights_of_process(pid: int) -> Rights | None:
    """Return the rights of the container with this first process, None if its root may do whatever ours may.

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
    return Rights(ids, root, tuple(dict.fromkeys((first, *_processes_sharing_namespaces(pid)))))


def _processes_sharing_namespaces(pid: int) -> Iterator[Credentials]:
    """Yield the credentials of all processes with the same mounts and users as ``pid``; raises OSError."""
    namespaces = _namespaces(str(pid))
    for name in os.listdir("/proc"):
        with suppress(OSError, ValueError):  # it has ended meanwhile
            if name.isdigit() and _namespaces(name) == namespaces:
                yield credentials_of(int(name))


def _namespaces(pid: str) -> tuple[int, ...]:
    return tuple(os.stat(f"/proc/{pid}/ns/{kind}").st_ino for kind in ("mnt", "user"))


def may(subject: Credentials, ids: IdMap, item: Inode, need: Need) -> bool:
    """Return whether the kernel would let these credentials do something to a file of the host."""
    status = item.status
    capabilities = _capabilities(subject, ids, status)
    if need & Need.CHOWN and not capabilities & Capability.CHOWN:
        return False
    if need & Need.OWN and status.st_uid != subject.user and not capabilities & Capability.FOWNER:
        return False
    bits = int(need) & 7
    if stat.S_ISDIR(status.st_mode) and bits & Need.WRITE:
        bits |= Need.TRAVERSE
    if _permitted(subject, item, bits) or capabilities & Capability.DAC_OVERRIDE:
        return True
    readable = Need.READ | Need.TRAVERSE if stat.S_ISDIR(status.st_mode) else Need.READ
    return bool(capabilities & Capability.DAC_READ_SEARCH) and not bits & ~readable


def may_take(subject: Credentials, ids: IdMap, directory: Inode, entry: os.stat_result) -> bool:
    """Return whether these credentials may remove, rename or replace a name: in a sticky directory only its owner
    may."""
    if not may(subject, ids, directory, Need.WRITE):
        return False
    if not directory.status.st_mode & stat.S_ISVTX or subject.user in (entry.st_uid, directory.status.st_uid):
        return True
    return bool(_capabilities(subject, ids, entry) & Capability.FOWNER)


def _capabilities(subject: Credentials, ids: IdMap, status: os.stat_result) -> int:
    """Return the capabilities that count for a file: none if the container does not map its owner and group."""
    mapped = shown_id(ids.users, status.st_uid) is not None and shown_id(ids.groups, status.st_gid) is not None
    return subject.capabilities if mapped else 0


def _permitted(subject: Credentials, item: Inode, bits: int) -> bool:
    """Check owner, group, mode and ACL only (acl_permission_check in fs/namei.c)."""
    mode = item.status.st_mode
    if item.status.st_uid == subject.user:
        return not bits & ~(mode >> 6)
    if item.acl and mode & stat.S_IRWXG:
        return _permitted_by_acl(subject, item, bits)
    if item.status.st_gid in subject.groups:
        mode >>= 3
    return not bits & ~mode


def _permitted_by_acl(subject: Credentials, item: Inode, bits: int) -> bool:
    """Judge by an ACL whose owner is somebody else (posix_acl_permission in fs/posix_acl.c)."""
    mask = next((rights for tag, rights, _ in item.acl if tag == _MASK), 7)
    in_a_group = False
    for tag, rights, number in item.acl:
        if tag == _USER and number == subject.user:
            return not bits & ~(rights & mask)
        if tag in (_GROUP_OBJ, _GROUP) and (item.status.st_gid if tag == _GROUP_OBJ else number) in subject.groups:
            in_a_group = True
            if not bits & ~rights:
                return not bits & ~mask
        if tag == _OTHER:
            return not in_a_group and not bits & ~rights
    return False


def inode_of(fd: int) -> Inode:
    """Describe an open file, O_PATH allowed; raises OSError."""
    status = os.fstat(fd)
    try:
        packed = os.getxattr(f"/proc/self/fd/{fd}", _ACL)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
            raise
        return Inode(status)
    return Inode(status, tuple(_ACL_ENTRY.iter_unpack(packed[_ACL_HEAD:])))


def refuse_not_permitted(rights: Rights, fd: int, path: bytes, need: Need, *, own: bool = False) -> None:
    """Raise NotPermitted if nobody in the container may do this to an open file."""
    item = inode_of(fd)
    if not any(may(who, rights.ids, item, need) for who in rights.subjects(own=own)):
        raise NotPermitted(path, item.status.st_uid)


def refuse_taking(
    rights: Rights,
    dir_fd: int,
    entry: os.stat_result,
    path: bytes,
    *,
    replaced_fd: int | None = None,
    own: bool = False,
) -> None:
    """Raise NotPermitted if nobody in the container may remove or rename a name.

    A file that replaces another keeps its owner, so the container must also be allowed to write that one
    (``replaced_fd``, an open descriptor).
    """
    subjects = rights.subjects(own=own)
    directory = inode_of(dir_fd)
    if not any(may_take(who, rights.ids, directory, entry) for who in subjects):
        raise NotPermitted(path, directory.status.st_uid)
    if replaced_fd is not None:
        item = inode_of(replaced_fd)
        needs = (Need.WRITE, Need.OWN)
        if not any(may(who, rights.ids, item, need) for who in subjects for need in needs):
            raise NotPermitted(path, item.status.st_uid)
