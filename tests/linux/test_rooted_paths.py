"""Paths of containers stay inside their root, whatever a stranger does meanwhile."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.core.errors import DtuiError, EditRefused, LayerError, NotReachable, UsageError
from tui.core.records import Mount
from tui.drivers.data_root import open_host
from tui.layers.mount_covers import Covers, mount_path
from tui.layers.process_root import open_process_root
from tui.linux import syscalls
from tui.linux.rooted_paths import Root, is_mount_point, normalized, read_limited, split


def no_openat2(*args: object) -> int:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


@pytest.fixture(autouse=True, params=["openat2", "walk"])
def kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    """This kernel, and one that is so old that every path is walked by us."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "walk":
            patch.setattr(syscalls, "_openat2", no_openat2)
            patch.setattr(syscalls, "has_openat2", lambda: False)
        yield request.param


def opened(path: Path) -> Root:
    return Root(open_host(path, os.O_RDONLY | os.O_DIRECTORY))


@pytest.mark.root
def test_bind_mounted_file_is_a_mount_point(tree: Path) -> None:
    target = tree / "etc" / "passwd"
    subprocess.run(["/bin/mount", "--bind", str(tree.parent / "secret"), str(target)], check=True)
    try:
        with opened(tree / "etc") as root:
            assert is_mount_point(root.fd, b"passwd")
    finally:
        subprocess.run(["/bin/umount", str(target)], check=True)


@given(st.binary(max_size=80).filter(lambda b: b"\0" not in b))
def test_clean_path_is_absolute_without_dots(path: bytes) -> None:
    parts = normalized(path).split(b"/")
    assert parts[0] == b""
    assert not {b"..", b"."} & set(parts)
    assert normalized(normalized(path)) == normalized(path)
    above, name = split(normalized(path))
    assert normalized(above + b"/" + name) == normalized(path)


def test_a_nul_byte_is_refused() -> None:
    with pytest.raises(UsageError):
        normalized(b"/a\0b")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "passwd").write_text("inside")
    (tmp_path / "secret").write_text("SECRET")
    (root / "absolute").symlink_to("/etc/passwd")
    (root / "up").symlink_to("../../../../../../../../etc/passwd")
    (root / "out").symlink_to(f"{tmp_path}/secret")
    (root / "magic").symlink_to("/proc/self/root/etc/passwd")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(root / "socket"))
    return root


def read(root: Root, path: bytes) -> bytes:
    fd = root.open_regular(path)
    try:
        return read_limited(fd, path, 1000)
    finally:
        os.close(fd)


@pytest.mark.parametrize("path", [b"/absolute", b"/up", b"/etc/../../../etc/passwd"])
def test_escaping_link_resolves_inside_root(tree: Path, path: bytes) -> None:
    with opened(tree) as root:
        assert read(root, path) == b"inside"


@pytest.mark.parametrize("path", [b"/out", b"/magic", b"/loop", b"/pipe", b"/socket", b"/etc", b"/nothing"])
def test_non_file_is_refused(tree: Path, path: bytes) -> None:
    with opened(tree) as root, pytest.raises(DtuiError):
        root.open_regular(path)


@pytest.mark.parametrize(
    "name", [b"a\nb", b"\x1b]0;x\x07", b"\xff\xfe", b"x" * 255, b"-rf", b" ", "ż\u202e".encode()], ids=repr
)
def test_any_name_is_opened_exactly(tree: Path, name: bytes) -> None:
    with open(os.path.join(os.fsencode(tree), name), "wb") as file:
        file.write(name)
    with opened(tree) as root:
        assert read(root, b"/" + name) == name
        assert root.real_path(b"/" + name) == b"/" + name


def test_eight_terabyte_hole_is_refused(tree: Path) -> None:
    with open(tree / "hole", "wb") as file:
        file.truncate(8 << 40)
    with opened(tree) as root, pytest.raises(EditRefused, match="larger than"):
        read(root, b"/hole")


def test_ordinary_name_is_not_a_mount_point(tree: Path) -> None:
    with opened(tree) as root:
        assert not is_mount_point(root.fd, b"etc")
        assert not is_mount_point(root.fd, b"nothing")


def test_foreign_process_root_is_refused() -> None:
    with pytest.raises((NotReachable, LayerError)):
        open_process_root(os.getpid(), "0" * 64)


SWAP = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
here = os.open(sys.argv[1], os.O_RDONLY)
print("on", flush=True)
while True:
    libc.renameat2(here, b"dir", here, b"evil", 2)
"""


def test_swapped_symlink_never_escapes_root(tmp_path: Path) -> None:
    root_path = tmp_path / "root"
    (root_path / "dir").mkdir(parents=True)
    (root_path / "dir" / "file").write_text("inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("SECRET")
    (root_path / "evil").symlink_to(f"../{'../' * 20}{str(tmp_path / 'outside').lstrip('/')}")
    with subprocess.Popen([sys.executable, "-c", SWAP, str(root_path)], stdout=subprocess.PIPE) as swapper:
        assert swapper.stdout is not None
        swapper.stdout.readline()
        seen = {"inside": 0, "refused": 0}
        end = time.monotonic() + 3
        with opened(root_path) as root:
            while time.monotonic() < end:
                try:
                    data = read(root, b"/dir/file")
                except DtuiError:
                    seen["refused"] += 1
                else:
                    assert data == b"inside"
                    seen["inside"] += 1
        swapper.kill()
    assert seen["inside"]
    assert seen["refused"]


LINKS = {b"/var/run": b"../run", b"/run/data": b"/srv/./data", b"/loop": b"loop", b"/up": b"../../../etc"}


@pytest.mark.parametrize(
    ("destination", "place"),
    [
        ("/srv/www", b"/srv/www"),
        ("/var/run/lock", b"/run/lock"),
        ("/var/run/data/sub", b"/srv/data/sub"),
        ("/up/hosts", b"/etc/hosts"),
        ("/not/there/yet", b"/not/there/yet"),
        ("/", b"/"),
    ],
)
def test_mount_destination_follows_links(destination: str, place: bytes) -> None:
    assert mount_path(destination, lambda path: LINKS.get(path, b"")) == place


@given(
    st.dictionaries(st.sampled_from([b"/a", b"/a/b", b"/b", b"/b/c"]), st.text("/ab.c", max_size=12).map(os.fsencode)),
    st.text("/ab.c"),
)
def test_any_links_resolve_to_clean_path(links: dict[bytes, bytes], destination: str) -> None:
    place = mount_path(destination, lambda path: links.get(path, b""))
    assert place == normalized(place)


def test_nearest_mount_covers_a_path() -> None:
    outer, inner = Mount("/data", "/one", "volume"), Mount("/data/in", "/two", "bind")
    covers = Covers.of((outer, inner))
    assert (covers.mount_hiding(b"/data/in/x"), covers.mount_hiding(b"/data/x"), covers.mount_hiding(b"/database")) == (
        inner,
        outer,
        None,
    )
    assert (covers.at(b"/data"), covers.at(b"/data/x")) == (outer, None)
    assert covers.mount_below(b"/data/in") == (b"/data/in", inner)
    assert (covers.mount_below(b"/"), covers.mount_below(b"/dat")) == ((b"/data", outer), None)


RENAMER = """
import os
os.chdir({place!r})
open("one", "w").close()
print("ready", flush=True)
while True:
    os.rename("one", "two")
    os.rename("two", "one")
"""


def test_dotdot_path_opens_despite_renames(tmp_path: Path) -> None:
    """The kernel answers EAGAIN for ``..`` whenever anything on the host was renamed meanwhile."""
    (tmp_path / "a").mkdir()
    arguments = [sys.executable, "-c", RENAMER.format(place=str(tmp_path))]
    back_and_forth = b"/".join([b"a", b".."] * 600) + b"/a"
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as renamer, opened(tmp_path) as root:
        try:
            assert renamer.stdout is not None
            assert renamer.stdout.readline() == b"ready\n"
            for _ in range(120):
                os.close(root.open_path(back_and_forth))
        finally:
            renamer.kill()
