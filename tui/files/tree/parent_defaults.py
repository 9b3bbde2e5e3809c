"""What a directory gives to what is made in it, as the kernel gives it to whatever a container makes there.

That is its owner and group (by dtui alone), its default ACL, and to a directory that ACL as its own default and the
setgid bit. The permission bits that were asked for become the bounds of the ACL, the umask has no part in it (acl(5);
posix_acl_create in fs/posix_acl.c, inode_init_owner in fs/inode.c, kernel 6.18).
"""

from __future__ import annotations

import stat
import struct
from dataclasses import replace

from tui.core.records import EntryKind
from tui.files.tree.snapshots import EntrySnapshot

ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"

_HEAD = 4
"""Bytes of the version before the first entry (include/uapi/linux/posix_acl_xattr.h)."""

_ENTRY = struct.Struct("<HHI")
_USER_OBJ, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x04, 0x10, 0x20


def inherited_from(parent: EntrySnapshot, node: EntrySnapshot) -> EntrySnapshot:
    """Return a new entry as it is once it is made in a directory; attributes of its own it has none."""
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
    return replace(node, mode=mode, uid=parent.uid, gid=parent.gid, xattrs=xattrs)


def apply_default_acl(default: bytes, mode: int) -> tuple[int, bytes]:
    """Return permission bits and ACL of an entry made with a mode; no ACL where the bits say all of it."""
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
