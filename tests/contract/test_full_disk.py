"""On a disk without a block or an inode to spare every act is done or refused as a whole, and says so in one line."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.attribute_tree import Facts, seen, without_times
from tests.support.boxes import Box, Boxes
from tests.support.dockerd import Dockerd
from tests.support.each_act import Acts, changes_next_to, changes_to
from tests.support.images import FILES, IMAGE
from tui.core.errors import DtuiError
from tui.files.write.options import SaveOptions

pytestmark = pytest.mark.engine

STATES = pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])

LITTLE = 16 << 10
"""Bytes to spare: enough for a small file, too few to copy a large one up."""

COPY_UP = ("chmod", "chown", "rename", "save in place")
IN_MUCH_SPACE = {f"{name} /data/large" for name in COPY_UP}
IN_MUCH_SPACE |= {f"{name} {path}" for name in ("grow", "grow in place") for path in ("/app/keep.txt", "/srv/own")}
IN_SOME_SPACE = {f"{name} {above}" for name in ("create", "mkdir", "copy in") for above in ("/srv", "/conf.d")}
IN_NO_SPACE = {f"{name} /srv/own" for name in ("chmod", "delete", "save in place")}
"""What a running container has room for even then: its root is mounted already, and the file is the layer's own."""

OTHERS = ("proc", "sys", "dev", "etc/hosts", "etc/hostname", "etc/resolv.conf")


@pytest.fixture(scope="module")
def small() -> Iterator[Dockerd]:
    """A dockerd on a disk that can be filled."""
    found = Dockerd("overlay2", disk=64)
    try:
        found.start()
        found.import_image("shop/base:1", FILES)
        found.layered_image(IMAGE, "shop/base:1", "head -c 200000 /dev/zero | tr '\\0' x > /data/large")
        yield found
    finally:
        found.close()


class Filler:
    """What takes a disk's last blocks but so many, and its last inodes or none."""

    def __init__(self, root: Path, spare: int, *, inodes: bool) -> None:
        self._blocks, self._spare = root / "filler", root / "spare"
        self._inodes = root / "inodes"
        self._inodes.mkdir()
        self._count = 0
        self._size = spare
        self._all = inodes

    def fill(self) -> None:
        with self._blocks.open("wb") as file, self._spare.open("wb") as spare:
            os.posix_fallocate(spare.fileno(), 0, max(1, self._size))
            with suppress(OSError):
                while self._all:
                    os.close(os.open(self._inodes / str(self._count), os.O_WRONLY | os.O_CREAT))
                    self._count += 1
            for size in (1 << 24, 1 << 20, 1 << 16, 1 << 12):
                with suppress(OSError):
                    while True:
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)
        if self._size:
            self._spare.unlink()
        self._settle()

    def _settle(self) -> None:
        """Let what was freed be free: ext4 gives it back when its journal is written."""
        fd = os.open(self._inodes, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    def free(self) -> None:
        self._blocks.unlink(missing_ok=True)
        for _ in range(min(60, self._count)):
            self._count -= 1
            (self._inodes / str(self._count)).unlink()
        self._settle()

    def close(self) -> None:
        self.free()
        shutil.rmtree(self._inodes)


@contextmanager
def filled(root: Path, spare: int, *, inodes: bool) -> Iterator[Filler]:
    filler = Filler(root, spare, inodes=inodes)
    filler.fill()
    try:
        yield filler
    finally:
        filler.close()


def told(box: Box) -> Facts:
    return without_times(seen(box, "/", leave=OTHERS))


def everything(box: Box, host: Path) -> Acts:
    """Return acts, those first that copy a large file up: after the first that is done it is the layer's own."""
    large = changes_to(box, b"/data/large", host)
    del large["revert"]  # it is as the image has it
    acts = {f"{name} /data/large": large.pop(name) for name in COPY_UP}
    acts |= {f"{name} /data/large": act for name, act in large.items()}
    for path in (b"/app/keep.txt", b"/srv/own"):
        acts |= {f"{name} {path.decode()}": act for name, act in changes_to(box, path, host).items()}
        acts |= {f"{name} {path.decode()}": act for name, act in growing(box, path).items()}
    for above in (b"/srv", b"/conf.d"):
        acts |= {f"{name} {above.decode()}": act for name, act in changes_next_to(box, above, host).items()}
    return acts | {
        "delete all of /old": lambda: box.remove(b"/old", recursive=True),
        "rename all of /old": lambda: box.rename(b"/old", b"/srv/old"),
        "revert what was deleted": lambda: box.revert(b"/etc/motd"),
        "revert a directory": lambda: box.revert(b"/app"),
    }


def growing(box: Box, path: bytes) -> Acts:
    return {
        "grow": lambda: box.write(path, b"x" * 300_000),
        "grow in place": lambda: box.files.save(path, b"x" * 300_000, None, SaveOptions(in_place=True)),
    }


@pytest.mark.case(35)
@STATES
def test_full_disk_act_is_done_or_refused(small: Dockerd, tmp_path: Path, alive: bool) -> None:
    (tmp_path / "host").write_bytes(b"from the host" * 1000)
    script = "mkdir /srv; echo own > /srv/own; chmod 640 /srv/own; rm /etc/motd; "
    script += "echo mine > /app/start.sh; rm -r /old/one; mkdir /old/one; echo x > /old/one/x; chmod 600 /app/keep.txt"
    box = Boxes(small)(script, alive=alive, name=f"web{alive}")
    before = told(box)
    acts = everything(box, tmp_path / "host")
    with filled(small.root, 0, inodes=True) as filler:
        done = {name for name, act in acts.items() if tried(box, name, act, before, filler)}
    assert done >= IN_NO_SPACE if alive else not done  # at rest not even the mount has room
    assert done.isdisjoint(IN_MUCH_SPACE | IN_SOME_SPACE)
    with filled(small.root, LITTLE, inodes=False) as filler:
        done = {name for name, act in acts.items() if tried(box, name, act, before, filler)}
    assert acts.keys() - done == IN_MUCH_SPACE
    assert not list(small.root.rglob("*dtui*"))


def tried(box: Box, name: str, act: Callable[[], object], before: Facts, filler: Filler) -> bool:
    """Try an act; say whether it was done. It is taken back then."""
    try:
        act()
    except DtuiError as error:
        said = str(error)
        assert "no space left" in said, name
        assert "\n" not in said
        assert told(box) == before, name
        return False
    filler.free()
    assert told(box) != before, name
    box.undo()
    assert told(box) == before, name
    filler.fill()
    return True
