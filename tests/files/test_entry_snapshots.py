"""An entry's record comes back from what is written down of it."""

from __future__ import annotations

import json
from dataclasses import fields

from tui.core.records import EntryKind
from tui.files.tree.snapshots import EntrySnapshot, InodeVersion, from_json, to_json

FULL = EntrySnapshot(
    path=b"/a/\xff",
    kind=EntryKind.FILE,
    mode=0o4755,
    uid=1,
    gid=2,
    mtime_ns=3,
    xattrs=(("user.a", b"\0b"),),
    target=b"to",
    rdev=4,
    size=5,
    offset=6,
    same_as=b"/other",
    has_bytes=True,
    image=True,
    inode=(7, 8),
    names=9,
    inode_version=InodeVersion(10, 11, 12),
    disk=13,
)
PASSING = ("inode_version", "disk")
"""Fields that hold only while an act runs."""


def test_persistent_node_fields_survive_json() -> None:
    names = [field.name for field in fields(EntrySnapshot)]
    assert all(getattr(FULL, name) for name in names), "a new field needs a value here"
    back = from_json(json.loads(json.dumps(to_json(FULL))))
    lasting = [name for name in names if name not in PASSING]
    assert {name: getattr(back, name) for name in lasting} == {name: getattr(FULL, name) for name in lasting}
    assert from_json(json.loads(json.dumps(to_json(EntrySnapshot(b"/gone"))))) == EntrySnapshot(b"/gone")
