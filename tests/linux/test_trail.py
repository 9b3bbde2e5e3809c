"""The way to a directory that is kept open: always the right directory, few descriptors, few opens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.linux.trail import Trail

NAMES = st.sampled_from([b"a", b"ab", b"b", b"a-b"])
PATHS = st.lists(NAMES, max_size=40).map(lambda names: b"/" + b"/".join(names))


class Tree:
    """Directories that know their own path; counts what was opened and is open."""

    def __init__(self) -> None:
        self.opened = 0
        self.open = 0
        self.missing: set[bytes] = set()

    def descend(self, above: bytes, name: bytes) -> bytes:
        path = above + b"/" + name
        if path in self.missing:
            raise FileNotFoundError(path)
        self.opened += 1
        self.open += 1
        return path

    def close(self, path: bytes) -> None:
        assert path
        self.open -= 1

    def trail(self) -> Trail[bytes]:
        return Trail(b"", self.descend, self.close)


@given(st.lists(st.tuples(PATHS, st.booleans()), max_size=30), st.sets(PATHS, max_size=3))
def test_trail_returns_requested_directory(asked: list[tuple[bytes, bool]], missing: set[bytes]) -> None:
    tree = Tree()
    tree.missing = missing - {b"/"}
    trail = tree.trail()
    for path, forgotten in asked:
        parts = path.split(b"/")
        gone = any(b"/".join(parts[:end]) in tree.missing for end in range(2, len(parts) + 1))
        if gone:
            with pytest.raises(FileNotFoundError):
                trail.at(path)
        else:
            assert trail.at(path) == path.rstrip(b"/")
        if forgotten:
            trail.forget(path)
        assert tree.open <= 25
    trail.close()
    assert tree.open == 0


def comb(levels: int) -> Iterator[bytes]:
    """Yield the paths of a deep chain, then of a leaf beside each directory of it, from the bottom up."""
    yield from (b"/d" * level for level in range(levels))
    yield from (b"/d" * level + b"/leaf" for level in reversed(range(levels)))


@pytest.mark.promise("deep-trees-linear")
@pytest.mark.parametrize("levels", [100, 2_000])
def test_tree_walk_reopens_few_directories(levels: int) -> None:
    tree = Tree()
    trail = tree.trail()
    for path in comb(levels):
        trail.at(path)
    assert tree.opened < 4 * 2 * levels
    trail.close()


def test_forgotten_directory_is_reopened() -> None:
    tree = Tree()
    trail = tree.trail()
    trail.at(b"/a/b/c")
    trail.forget(b"/a/b")
    assert tree.open == 1
    trail.at(b"/a/b/c")
    assert tree.opened == 5
    trail.forget(b"/a/other")
    trail.at(b"/a/b/c")
    assert tree.opened == 5
