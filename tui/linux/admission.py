"""What a container with users of its own may do with a file, asked before this host's root does it for the container.

The root of a user namespace has no more rights than everybody over a file whose owner or group the namespace does not
have (kernel: ``privileged_wrt_inode_uidgid``, fs/inode.c). This host's root has all of them: a link that the container
made into a directory of the host that is mounted there would lend them to whoever is in the container.
"""

from __future__ import annotations

import os
from enum import IntFlag
from pathlib import Path

from tui.core.errors import EditRefused
from tui.core.id_maps import IdMap, host_id, parse_id_map, shown_id
from tui.core.text import printable
from tui.linux.processes import shares_namespace


class BeyondContainer(EditRefused):
    """A file or directory of the host with which a container that sees it may not do what was asked."""

    def __init__(self, path: bytes, owner: int) -> None:
        whose = f"user {owner}" if owner else "root"
        told = f"{printable(path)}: {whose} of the host does not let the container, which has users of its own, do this"
        super().__init__(told, "do it on the host, in the directory that is mounted there; nothing was changed")
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
    """Change owner, mode or attributes, which no bit of a mode allows."""


def ids_of_process(pid: int) -> IdMap | None:
    """Return the users and groups of a process in another user namespace, None for one in ours; raises OSError."""
    if shares_namespace(pid, "user"):
        return None
    users, groups = (Path(f"/proc/{pid}/{name}").read_text(encoding="ascii") for name in ("uid_map", "gid_map"))
    return IdMap(parse_id_map(users), parse_id_map(groups))


def may(ids: IdMap, status: os.stat_result, need: Need) -> bool:
    """Say whether the root of a container may do something with what has this status on the host."""
    if shown_id(ids.users, status.st_uid) is not None and shown_id(ids.groups, status.st_gid) is not None:
        return True
    allowed = status.st_mode & 7
    if status.st_uid == host_id(ids.users, 0):
        allowed = status.st_mode >> 6 & 7 | Need.OWN
    elif status.st_gid == host_id(ids.groups, 0):
        allowed = status.st_mode >> 3 & 7
    return need & allowed == need


def refuse_beyond(ids: IdMap | None, fd: int, path: bytes, need: Need) -> None:
    """Raise BeyondContainer for what the container's own root may not do; without ids of its own it is the host's."""
    if ids is not None and not may(ids, status := os.fstat(fd), need):
        raise BeyondContainer(path, status.st_uid)
