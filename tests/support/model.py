"""What a tree of a container must be after acts on it: plain Python, without a file system."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Seen:
    """One entry: a link by its target, a file by its bytes, else a directory.

    Names with one ``file`` number are the same file; 0 is that of no other.
    """

    mode: int
    data: bytes | None = None
    owner: tuple[int, int] = (0, 0)
    target: str = ""
    file: int = 0

    @property
    def is_directory(self) -> bool:
        return self.data is None and not self.target


Tree = dict[str, Seen]


def link(target: str) -> Seen:
    return Seen(0o777, target=target)


IMAGE_TREE: Tree = {
    "/tree": Seen(0o755),
    "/tree/a": Seen(0o755),
    "/tree/a/f": Seen(0o644, b"af\n"),
    "/tree/a/g": Seen(0o600, b"ag\n"),
    "/tree/b": Seen(0o750),
    "/tree/b/c": Seen(0o755),
    "/tree/b/c/h": Seen(0o755, b"h\n"),
    "/tree/f": Seen(0o644, b"f\n"),
}
"""What tests/safety/conftest.py puts into the image."""

MADE = "cd /tree; ln -s f l; ln -s /tree/a la; ln -s nowhere a/lost; echo two > x; ln x a/y; ln x b/z; "
MADE += "chown 3:4 x b; chmod 4755 x"
MADE_TREE: Tree = {
    "/tree/l": link("f"),
    "/tree/la": link("/tree/a"),
    "/tree/a/lost": link("nowhere"),
    "/tree/b": Seen(0o750, owner=(3, 4)),
    **{path: Seen(0o4755, b"two\n", (3, 4), file=1) for path in ("/tree/x", "/tree/a/y", "/tree/b/z")},
}
"""What the container made: links to a file, to a directory and to nothing; a directory of another's; a file of three
names, which runs as another."""

HOST_TREE: Tree = {
    "/pack": Seen(0o750),
    "/pack/one": Seen(0o755, b"one\n"),
    "/pack/sub": Seen(0o700),
    "/pack/sub/two": Seen(0o644, b""),
    "/pack/to": link("sub/two"),
    "/file": Seen(0o640, b"of the host\n"),
}
"""What is copied in; a setuid bit stays behind."""


def lay(tree: Tree, top: Path) -> None:
    """Make a tree on this host."""
    for path, one in tree.items():
        place = top / path[1:]
        if one.target:
            place.symlink_to(one.target)
            continue
        if one.data is None:
            place.mkdir()
        else:
            place.write_bytes(one.data)
        place.chmod(one.mode)


def above(path: str) -> str:
    return path.rpartition("/")[0]


def last(path: str) -> str:
    return path.rpartition("/")[2]


def subtree(tree: Tree, path: str) -> Tree:
    return {one: seen for one, seen in tree.items() if one == path or one.startswith(path + "/")}


def without(tree: Tree, gone: Iterable[str]) -> Tree:
    return {path: seen for path, seen in tree.items() if path not in set(gone)}


def is_directory(tree: Tree, path: str | None) -> bool:
    return path in tree and tree[path].is_directory


def real(tree: Tree, path: str, *, follow: bool = False, depth: int = 0) -> str | None:
    """Return the canonical path of a name whose directory is there, with ``follow`` of what a link there means."""
    if above(path):
        directory = real(tree, above(path), follow=True, depth=depth)
        if directory is None or not is_directory(tree, directory):
            return None
        path = f"{directory}/{last(path)}"
    seen = tree.get(path)
    if follow and seen is None:
        return None
    if follow and seen and seen.target:
        target = seen.target if seen.target.startswith("/") else f"{above(path)}/{seen.target}"
        return real(tree, target, follow=True, depth=depth + 1) if depth < 40 else None
    return path


def written(tree: Tree, path: str, *, depth: int = 0) -> str | None:
    """Return the canonical path of what a write to a path changes or makes: links are followed to where nothing is."""
    place = real(tree, path)
    target = tree[place].target if place in tree else ""
    if place is None or not target or depth == 40:
        return place
    return written(tree, target if target.startswith("/") else f"{above(place)}/{target}", depth=depth + 1)


def goal(tree: Tree, new: str, name: str) -> str | None:
    """Return where something comes to lie: in a directory by its own name, else in the place that was named."""
    there = real(tree, new, follow=True)
    return f"{there}/{name}" if there and is_directory(tree, there) else real(tree, new)


def names_of(tree: Tree, path: str) -> set[str]:
    """Return all names of the file at a path."""
    number = tree[path].file if path in tree else 0
    return {path} | {one for one, seen in tree.items() if number and seen.file == number}


def in_all_names(tree: Tree, path: str, **changes: object) -> Tree:
    """Change a file in place, by whichever of its names."""
    return tree | {one: replace(tree[one], **changes) for one in names_of(tree, path)}  # type: ignore[arg-type]


def moved(tree: Tree, path: str, new: str) -> Tree:
    gone = subtree(tree, path)
    return without(tree, gone) | {new + one[len(path) :]: seen for one, seen in gone.items()}


def rejoined(tree: Tree, before: Tree, touched: set[str]) -> Tree:
    """Say of what came back that it is the same file again as the names that stayed."""
    new = dict(tree)
    for path in touched & {*before}:
        stayed = [one for one in names_of(before, path) if one in tree and one not in touched]
        if stayed:
            number = tree[stayed[0]].file or before[path].file
            new[path] = replace(tree[path], file=number)
            new[stayed[0]] = replace(tree[stayed[0]], file=number)
    return new


def by_inodes(tree: Tree, inodes: dict[str, int]) -> Tree:
    """Tell apart what was one file and is so no more; nothing becomes one file that was not."""
    numbers: dict[int, dict[int, list[str]]] = {}
    for path, seen in tree.items():
        if seen.file:
            numbers.setdefault(seen.file, {}).setdefault(inodes[path], []).append(path)
    new = dict(tree)
    for number, groups in numbers.items():
        if len(groups) > 1:
            for inode, paths in groups.items():
                for path in paths:
                    new[path] = replace(tree[path], file=hash((number, inode)))
    return new
