"""What a new entry inherits from its directory, as the kernel does it.

A new entry gets the directory's owner and group (this is dtui's own rule, if the container has them), and its default
ACL. A new directory also gets that ACL as its own default, and the setgid bit. The requested mode limits the ACL; the
umask is ignored (acl(5); posix_acl_create in fs/posix_acl.c, inode_init_owner in fs/inode.c, kernel 6.18).
"""

from __future__ import annotations

import stat
import struct
from dataclasses import replace

from tui.core.id_maps import IdMap, host_id, shown_id
from tui.core.records import EntryKind
from tui.files.tree.snapshots import EntrySnapshot

ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"

_HEAD = 4
"""Bytes of the version field before the first entry (include/uapi/linux/posix_acl_xattr.h)."""

_ENTRY = struct.Struct("<HHI")
_USER_OBJ, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x04, 0x10, 0x20


def inherited_from(parent: EntrySnapshot, node: EntrySnapshot, ids: IdMap) -> EntrySnapshot:
    """Return a new entry with what it inherits from its directory.

    If the container does not have the directory's owner (the host's root, for example), the container's root becomes
    owner.
    """
    mode = node.mode
    xattrs: tuple[tuple[str, bytes], ...] = ()
    default = dict(parent.xattrs).get(DEFAULT)
    if default is not None and node.kind is not EntryKind.SYMLINK:
        bits, acl = apply_default_acl(default, mode)
        mode = mode & ~0o777 | bits
        xattrs = ((ACCESS, acl),) if acl else ()
    if node.kind is EntryKind.DIRECTORY:
        mode |= parent.mode & stat.S_ISGID
        xattrs += ((DEFAULT, default),) if default is not None else ()
    uid, gid = _owners(parent, ids)
    return replace(node, mode=mode, uid=uid, gid=gid, xattrs=xattrs)


def _owners(parent: EntrySnapshot, ids: IdMap) -> tuple[int, int]:
    user, group = host_id(ids.users, 0), host_id(ids.groups, 0)
    keeps_group = shown_id(ids.groups, parent.gid) is not None or parent.mode & stat.S_ISGID
    return (
        parent.uid if user is None or shown_id(ids.users, parent.uid) is not None else user,
        parent.gid if group is None or keeps_group else group,
    )


def apply_default_acl(default: bytes, mode: int) -> tuple[int, bytes]:
    """Return mode bits and ACL of an entry created with a mode; the ACL is empty if the bits express it all."""
    entries = list(_ENTRY.iter_unpack(default[_HEAD:]))
    tags = {tag for tag, _, _ in entries}
    shifts = {_USER_OBJ: 6, _MASK if _MASK in tags else _GROUP_OBJ: 3, _OTHER: 0}
    bits, packed = 0, default[:_HEAD]
    for tag, entry_rights, who in entries:
        shift = shifts.get(tag)
        rights = entry_rights if shift is None else entry_rights & mode >> shift
        bits |= 0 if shift is None else rights << shift
        packed += _ENTRY.pack(tag, rights, who)
    return bits, packed if tags - {_USER_OBJ, _GROUP_OBJ, _OTHER} else b""
