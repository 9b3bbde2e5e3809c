"""A container is judged as the kernel judges it: the kernel itself is asked, as whoever the container would be."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.acls import GROUP, GROUP_OBJ, MASK, OTHER, USER, USER_OBJ, set_acl
from tui.core.id_maps import HOST_IDS
from tui.linux.admission import Need, inode_of, may, may_take
from tui.linux.processes import Credentials

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

_libc = ctypes.CDLL(None, use_errno=True)
_KEEP_CAPABILITIES = 8
_VERSION_3 = 0x20080522

IDS = st.sampled_from((0, 1000, 1001))
BITS = st.integers(0, 7)
WHO = st.builds(
    lambda user, groups, capabilities: Credentials(user, frozenset(groups), capabilities, capabilities),
    IDS,
    st.lists(IDS, min_size=1, max_size=2, unique=True),
    st.sets(st.sampled_from((1, 2, 4, 8)), max_size=2).map(sum),
)
NAMED = st.lists(st.tuples(st.sampled_from((USER, GROUP)), BITS, IDS), max_size=3, unique_by=lambda one: one[::2])
NEEDS = (Need.TRAVERSE, Need.READ, Need.WRITE, Need.READ | Need.WRITE)


def become(who: Credentials) -> None:
    """Take on the ids and capabilities of somebody else, for good."""
    first, *_ = sorted(who.groups)
    os.setgroups(list(who.groups))
    os.setresgid(first, first, first)
    _libc.prctl(_KEEP_CAPABILITIES, 1, 0, 0, 0)
    os.setresuid(who.user, who.user, who.user)
    header = struct.pack("=Ii", _VERSION_3, 0)
    sets = struct.pack("=6I", who.capabilities, who.capabilities, 0, 0, 0, 0)
    if _libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def answers(who: Credentials, folder: Path, fd: int) -> list[bool]:
    """Try everything in a process that is who it is asked about."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            become(who)
            tried = [os.access(folder / "item", int(need), effective_ids=True) for need in NEEDS]
            tried += [os.access(folder / "directory", int(need), effective_ids=True) for need in NEEDS]
            tried += [succeeds(os.fchmod, fd, 0o600), succeeds(os.fchown, fd, 7, -1)]
            tried += [succeeds(os.rename, folder / "directory/entry", folder / "directory/moved")]
            os.write(writer, bytes(tried))
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return [bool(one) for one in said]


def succeeds(act: object, *args: object) -> bool:
    with suppress(PermissionError):
        act(*args)  # type: ignore[operator]
        return True
    return False


@contextmanager
def folder_for_all() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="dtui-rights-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.mark.promise("container-rights-only")
@settings(max_examples=80, deadline=None)
@given(WHO, IDS, IDS, BITS, BITS, BITS, NAMED, st.booleans(), IDS)
def test_rights_are_judged_as_kernel_does(
    who: Credentials,
    user: int,
    group: int,
    of_user: int,
    of_group: int,
    of_others: int,
    entries: list[tuple[int, int, int]],
    sticky: bool,
    entry_user: int,
) -> None:
    with folder_for_all() as folder:
        (folder / "item").write_bytes(b"")
        (folder / "directory").mkdir()
        (folder / "directory/entry").write_bytes(b"")
        os.chown(folder / "directory/entry", entry_user, 0)
        for path in (folder / "item", folder / "directory"):
            os.chown(path, user, group)
            path.chmod(of_user << 6 | of_group << 3 | of_others)
            if entries:
                acl = [(USER_OBJ, of_user, 0), *entries, (GROUP_OBJ, of_others ^ 3, 0), (MASK, of_group, 0)]
                set_acl(path, *sorted([*acl, (OTHER, of_others, 0)], key=lambda one: (one[0], one[2])))
        (folder / "directory").chmod((folder / "directory").stat().st_mode & 0o777 | (0o1000 if sticky else 0))
        fds = [os.open(folder / name, os.O_RDONLY) for name in ("item", "directory")]
        try:
            item, directory = map(inode_of, fds)
            entry = os.stat(folder / "directory/entry")
            expected = [may(who, HOST_IDS, item, need) for need in NEEDS[1:]]
            expected += [may(who, HOST_IDS, directory, need) for need in (Need.TRAVERSE, Need.READ)]
            expected += [may(who, HOST_IDS, item, need) for need in (Need.OWN, Need.CHOWN)]
            expected += [may_take(who, HOST_IDS, directory, entry)]
            said = answers(who, folder, fds[0])
        finally:
            for fd in fds:
                os.close(fd)
        assert said[1:4] + said[4:6] + said[8:] == expected
