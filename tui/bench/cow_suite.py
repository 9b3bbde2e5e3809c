"""The copy-on-write suite: what IOzone cannot show, for it always makes a new file.

Everything is done by this process in the container's own mount (``/proc/PID/root``): the same system calls meet the
same file system as the container's would, and nothing has to be put into it but a program that keeps it there. One
definition a measure:

* *append*: the first ``open`` for appending of an image's file, one byte, ``fsync`` and ``close``; then the same again.
* *lstat*, *open*: a thousand names of a directory that each layer has, asked for the first time, a name.
* *create*, *remove*: a thousand files of 4 KiB made and removed, a file.
* *second reader*: by how much the host's page cache grows when another container reads a file that one has read.
* *container*: the Engine's own ``create`` and ``start``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from tui.bench.archives import MANY
from tui.bench.plan import LARGEST
from tui.bench.protocols import BenchContainer
from tui.core.errors import BenchError, UsageError
from tui.layers.process_root import open_process_root
from tui.linux.rooted_paths import Root

_SMALL = 1000
_BLOCK = 1 << 20


class CowTest(Enum):
    """The measures and their units, what tells drivers apart most first."""

    APPEND = ("first append", "ms", "file")
    SECOND_READER = ("second reader", "MiB", "file")
    LSTAT = ("lstat", "µs", "layers")
    OPEN = ("open", "µs", "layers")
    CREATE = ("create file", "µs", "")
    REMOVE = ("remove file", "µs", "")
    CONTAINER_CREATE = ("container create", "ms", "layers")
    CONTAINER_START = ("container start", "ms", "layers")
    APPEND_AGAIN = ("second append", "ms", "file")

    def __init__(self, title: str, unit: str, over: str) -> None:
        self.title = title
        self.unit = unit
        self.over = over


@dataclass(frozen=True, slots=True)
class CowPlan:
    """File sizes in kB, numbers of layers, repeats. The largest file is the one that a second container reads."""

    sizes: tuple[int, ...]
    depths: tuple[int, ...]
    repeats: int

    @property
    def numbers(self) -> int:
        """How many numbers one target gives."""
        return (2 * len(self.sizes) + 4 * len(self.depths) + 3) * self.repeats

    @property
    def seconds(self) -> float:
        """What one target takes on a fast disk: containers, bytes copied and read, a thousand small files."""
        containers = 0.7 * (len(self.depths) + 1)
        return (containers + 0.004 * sum(self.sizes) / 1024 + 0.7) * self.repeats


QUICK = CowPlan((4, 1024, 16384, 65536), (1, 20), 3)
STANDARD = CowPlan((4, 1024, 16384, 65536, 262144, 1 << 20), (1, 10, 50), 3)

_DEEPEST = 100
"""Layers that every storage driver takes: overlay2 has its limit at 128, and a container adds two."""


def custom_cow(base: CowPlan, sizes: Iterable[int], depths: Iterable[int], repeats: int | None) -> CowPlan:
    """Return a plan of one's own, sizes in kB, with the base's parts for those not given; raises UsageError."""
    plan = CowPlan(
        tuple(sorted(set(sizes))) or base.sizes, tuple(sorted(set(depths))) or base.depths, repeats or base.repeats
    )
    if bad := [kb for kb in plan.sizes if not 1 <= kb <= LARGEST]:
        raise UsageError(f"{bad[0]}k is no size from 1k to 16g", "64k, 16m and 1g are sizes")
    if bad := [depth for depth in plan.depths if not 1 <= depth <= _DEEPEST]:
        raise UsageError(f"{bad[0]} is no number of layers from 1 to {_DEEPEST}", "1 and 20 are the quick preset's")
    return plan


@dataclass(frozen=True, slots=True)
class CowSample:
    """One number: on which target, in which repeat, over which file size in kB or number of layers."""

    target: str
    repeat: int
    test: CowTest
    x: int
    value: float


HoldImage = Callable[[int], BenchContainer]
MakeSample = Callable[[CowTest, int, float], CowSample]


def _timed(began: int) -> float:
    return (time.perf_counter_ns() - began) / 1e6


def append(root: Root, path: bytes) -> float:
    """Append one byte durably; return the milliseconds."""
    began = time.perf_counter_ns()
    fd = root.open_path(path, flags=os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, b"x")
        os.fsync(fd)
    finally:
        os.close(fd)
    return _timed(began)


def look_up(root: Root, *, opening: bool) -> float:
    """Ask for a thousand names of the directory ``many``; return the microseconds a name."""
    fd = root.open_path(b"/many", flags=os.O_RDONLY | os.O_DIRECTORY)
    try:
        began = time.perf_counter_ns()
        for number in range(MANY):
            if opening:
                os.close(os.open(str(number), os.O_RDONLY | os.O_CLOEXEC, dir_fd=fd))
            else:
                os.stat(str(number), dir_fd=fd, follow_symlinks=False)
        return _timed(began) / MANY * 1000
    finally:
        os.close(fd)


def small_files(root: Root) -> tuple[float, float]:
    """Make a thousand files of 4 KiB in ``/work`` and remove them; return the microseconds a file for each."""
    fd = root.open_path(b"/work", flags=os.O_RDONLY | os.O_DIRECTORY)
    data = os.urandom(4096)
    try:
        began = time.perf_counter_ns()
        for number in range(_SMALL):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            file = os.open(str(number), flags, 0o600, dir_fd=fd)
            os.write(file, data)
            os.close(file)
        create_ms = _timed(began)
        began = time.perf_counter_ns()
        for number in range(_SMALL):
            os.unlink(str(number), dir_fd=fd)
        return create_ms / _SMALL * 1000, _timed(began) / _SMALL * 1000
    finally:
        os.close(fd)


def second_reader(first: Root, second: Root, path: bytes) -> float:
    """Read a file in one container, then in another; return the MiB by which the second reading fills the page cache.

    Both containers' cached pages of it are let go first, so that nothing but the sharing decides.
    """
    for root in (first, second):
        fd = root.open_path(path, flags=os.O_RDONLY)
        try:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)
    _read(first, path)
    before = _cached()
    _read(second, path)
    return max(0.0, (_cached() - before) / 1024)


def _read(root: Root, path: bytes) -> None:
    fd = root.open_path(path, flags=os.O_RDONLY)
    try:
        while os.read(fd, _BLOCK):
            pass
    finally:
        os.close(fd)


def _cached() -> int:
    """Return the host's page cache in kB (kernel doc: proc, meminfo, Cached)."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Cached:"))


def root_of(container: BenchContainer) -> Root:
    """Open the root of a held container; raises BenchError for one that is not proven to be on this host."""
    if not container.pid:
        raise BenchError("the Engine's containers are not proven to be on this host", "take --suite iozone")
    return open_process_root(container.pid, container.id)


def measure(plan: CowPlan, start_container: HoldImage, target: str, repeat: int) -> Generator[CowSample]:
    """Yield one repeat's numbers of one target, from new containers; raises BenchError.

    ``start_container`` starts a container of the image with so many layers, in which nothing has been asked for yet.
    """

    def sample(test: CowTest, x: int, value: float) -> CowSample:
        return CowSample(target, repeat, test, x, value)

    try:
        for depth in plan.depths:
            container = start_container(depth)
            try:
                yield sample(CowTest.CONTAINER_CREATE, depth, container.create_seconds * 1000)
                yield sample(CowTest.CONTAINER_START, depth, container.start_seconds * 1000)
                with root_of(container) as root:
                    yield sample(CowTest.LSTAT, depth, look_up(root, opening=False))
                    yield sample(CowTest.OPEN, depth, look_up(root, opening=True))
                    if depth == plan.depths[0]:
                        yield from _of_files(plan, root, start_container, sample)
            finally:
                container.remove()
    except OSError as error:
        raise BenchError(
            f"{target}: {(error.strerror or '').lower()}", "the numbers that came before are kept"
        ) from error


def _of_files(plan: CowPlan, root: Root, start_container: HoldImage, sample: MakeSample) -> Iterator[CowSample]:
    largest = max(plan.sizes)
    second_container = start_container(plan.depths[0])
    try:
        with root_of(second_container) as second:
            yield sample(CowTest.SECOND_READER, largest, second_reader(root, second, f"/data/{largest}".encode()))
    finally:
        second_container.remove()
    for kb in plan.sizes:
        path = f"/data/{kb}".encode()
        yield sample(CowTest.APPEND, kb, append(root, path))
        yield sample(CowTest.APPEND_AGAIN, kb, append(root, path))
    create_us, remove_us = small_files(root)
    yield sample(CowTest.CREATE, 0, create_us)
    yield sample(CowTest.REMOVE, 0, remove_us)
