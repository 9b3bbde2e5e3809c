"""The copy-on-write suite: what IOzone cannot show, because it always creates a new file.

This process does everything itself, in the container's own mount (``/proc/PID/root``): the same system calls reach the
same file system as the container's own, and the image needs nothing but a program to keep the container alive. The
measures:

* *append*: the first ``open`` for appending to an image's file, one byte, ``fsync`` and ``close``; then once more.
* *lstat*, *open*: a thousand names in a directory that every layer has, looked up for the first time; per name.
* *create*, *remove*: a thousand files of 4 KiB, created and removed; per file.
* *second reader*: how much the host's page cache grows when a second container reads a file that another has read.
* *container*: the Engine's own ``create`` and ``start``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from tui.bench.archives import MANY_FILES
from tui.bench.plan import MAX_FILE_KB
from tui.bench.protocols import BenchContainer
from tui.core.errors import BenchError, UsageError
from tui.layers.process_root import open_process_root
from tui.linux.rooted_paths import Root

_SMALL_FILES = 1000
_BLOCK = 1 << 20


class CowTest(Enum):
    """The measures and their units, starting with those that distinguish drivers most."""

    APPEND = ("first append", "ms", "file")
    SECOND_READER = ("second reader", "MiB", "file")
    LSTAT = ("lstat", "µs", "layers")
    OPEN = ("open", "µs", "layers")
    CREATE = ("create file", "µs", "")
    REMOVE = ("remove file", "µs", "")
    CONTAINER_CREATE = ("container create", "ms", "layers")
    CONTAINER_START = ("container start", "ms", "layers")
    APPEND_AGAIN = ("second append", "ms", "file")

    def __init__(self, title: str, unit: str, axis: str) -> None:
        self.title = title
        self.unit = unit
        self.axis = axis


@dataclass(frozen=True, slots=True)
class CowPlan:
    """File sizes in kB, numbers of layers, repeats. The largest file is the one that a second container reads."""

    sizes: tuple[int, ...]
    depths: tuple[int, ...]
    repeats: int

    @property
    def numbers(self) -> int:
        """How many numbers one target yields."""
        return (2 * len(self.sizes) + 4 * len(self.depths) + 3) * self.repeats

    @property
    def seconds(self) -> float:
        """Expected seconds per target on a fast disk."""
        containers = 0.7 * (len(self.depths) + 1)
        return (containers + 0.004 * sum(self.sizes) / 1024 + 0.7) * self.repeats


QUICK = CowPlan((4, 1024, 16384, 65536), (1, 20), 3)
STANDARD = CowPlan((4, 1024, 16384, 65536, 262144, 1 << 20), (1, 10, 50), 3)

_MAX_LAYERS = 100
"""Most layers, accepted by every storage driver: overlay2 stops at 128, and a container adds two."""


def custom_cow(base: CowPlan, sizes: Iterable[int], depths: Iterable[int], repeats: int | None) -> CowPlan:
    """Return a plan with the given sizes (kB), depths and repeats, the base's where not given; raises UsageError."""
    plan = CowPlan(
        tuple(sorted(set(sizes))) or base.sizes, tuple(sorted(set(depths))) or base.depths, repeats or base.repeats
    )
    if invalid := [kb for kb in plan.sizes if not 1 <= kb <= MAX_FILE_KB]:
        raise UsageError(f"{invalid[0]}k is not a size from 1k to 16g", "for example 64k, 16m or 1g")
    if invalid := [depth for depth in plan.depths if not 1 <= depth <= _MAX_LAYERS]:
        raise UsageError(
            f"{invalid[0]} is not a number of layers from 1 to {_MAX_LAYERS}", "the quick preset uses 1 and 20"
        )
    return plan


@dataclass(frozen=True, slots=True)
class CowSample:
    """A number: its target, repeat, and the file size in kB or number of layers it was measured with."""

    target: str
    repeat: int
    test: CowTest
    x: int
    value: float


StartContainer = Callable[[int], BenchContainer]
MakeSample = Callable[[CowTest, int, float], CowSample]


def _timed(started_ns: int) -> float:
    return (time.perf_counter_ns() - started_ns) / 1e6


def append(root: Root, path: bytes) -> float:
    """Append one byte durably and return the milliseconds."""
    started_ns = time.perf_counter_ns()
    fd = root.open_path(path, flags=os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, b"x")
        os.fsync(fd)
    finally:
        os.close(fd)
    return _timed(started_ns)


def look_up(root: Root, *, opening: bool) -> float:
    """Look up a thousand names in the directory ``many`` and return microseconds per name."""
    fd = root.open_path(b"/many", flags=os.O_RDONLY | os.O_DIRECTORY)
    try:
        started_ns = time.perf_counter_ns()
        for number in range(MANY_FILES):
            if opening:
                os.close(os.open(str(number), os.O_RDONLY | os.O_CLOEXEC, dir_fd=fd))
            else:
                os.stat(str(number), dir_fd=fd, follow_symlinks=False)
        return _timed(started_ns) / MANY_FILES * 1000
    finally:
        os.close(fd)


def small_files(root: Root) -> tuple[float, float]:
    """Create a thousand 4 KiB files in ``/work`` and remove them; return microseconds per file for each."""
    fd = root.open_path(b"/work", flags=os.O_RDONLY | os.O_DIRECTORY)
    data = os.urandom(4096)
    try:
        started_ns = time.perf_counter_ns()
        for number in range(_SMALL_FILES):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            file = os.open(str(number), flags, 0o600, dir_fd=fd)
            os.write(file, data)
            os.close(file)
        create_ms = _timed(started_ns)
        started_ns = time.perf_counter_ns()
        for number in range(_SMALL_FILES):
            os.unlink(str(number), dir_fd=fd)
        return create_ms / _SMALL_FILES * 1000, _timed(started_ns) / _SMALL_FILES * 1000
    finally:
        os.close(fd)


def second_reader(first: Root, second: Root, path: bytes) -> float:
    """Return by how many MiB the page cache grows when a second container reads a file that the first has read.

    The cached pages of both are dropped first, so that only sharing decides.
    """
    for root in (first, second):
        fd = root.open_path(path, flags=os.O_RDONLY)
        try:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)
    _read(first, path)
    cached_before = _page_cache_kb()
    _read(second, path)
    return max(0.0, (_page_cache_kb() - cached_before) / 1024)


def _read(root: Root, path: bytes) -> None:
    fd = root.open_path(path, flags=os.O_RDONLY)
    try:
        while os.read(fd, _BLOCK):
            pass
    finally:
        os.close(fd)


def _page_cache_kb() -> int:
    """Return the size of the host's page cache in kB (kernel doc: proc, meminfo, Cached)."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Cached:"))


def root_of(container: BenchContainer) -> Root:
    """Open the root of a container; raises BenchError if it is not proven to be on this host."""
    if not container.pid:
        raise BenchError("the Engine's containers are not proven to be on this host", "use --suite iozone")
    return open_process_root(container.pid, container.id)


def measure(plan: CowPlan, start_container: StartContainer, target: str, repeat: int) -> Generator[CowSample]:
    """Yield the numbers of one repeat on one target, from new containers; raises BenchError.

    ``start_container`` starts one from the image with that many layers, in which nothing has been looked up yet.
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
                        yield from _file_samples(plan, root, start_container, sample)
            finally:
                container.remove()
    except OSError as error:
        raise BenchError(f"{target}: {(error.strerror or '').lower()}", "numbers measured before are kept") from error


def _file_samples(
    plan: CowPlan, root: Root, start_container: StartContainer, sample: MakeSample
) -> Iterator[CowSample]:
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
