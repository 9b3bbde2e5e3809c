"""A model of a container's tree, in plain Python, that predicts the result of acts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class ModelEntry:
    """One entry: a symbolic link if it has a ``target``, a file if it has ``data``, else a directory.

    Entries with the same ``file`` number are names of the same file; 0 means that there is no other name.
    """

    mode: int
    data: bytes | None = None
    owner: tuple[int, int] = (0, 0)
    target: str = ""
    file: int = 0

    @property
    def is_directory(self) -> bool:
        return self.data is None and not self.target


Tree = dict[str, ModelEntry]


def link(target: str) -> ModelEntry:
    return ModelEntry(0o777, target=target)


IMAGE_TREE: Tree = {
    "/tree": ModelEntry(0o755),
    "/tree/a": ModelEntry(0o755),
    "/tree/a/f": ModelEntry(0o644, b"af\n"),
    "/tree/a/g": ModelEntry(0o600, b"ag\n"),
    "/tree/b": ModelEntry(0o750),
    "/tree/b/c": ModelEntry(0o755),
    "/tree/b/c/h": ModelEntry(0o755, b"h\n"),
    "/tree/f": ModelEntry(0o644, b"f\n"),
}
"""The tree that ``PREPARE`` in tests/support/images.py puts into the image."""

MADE = "cd /tree; ln -s f l; ln -s /tree/a la; ln -s nowhere a/lost; echo two > x; ln x a/y; ln x b/z; "
MADE += "chown 3:4 x b; chmod 4755 x"
MADE_TREE: Tree = {
    "/tree/l": link("f"),
    "/tree/la": link("/tree/a"),
    "/tree/a/lost": link("nowhere"),
    "/tree/b": ModelEntry(0o750, owner=(3, 4)),
    **{path: ModelEntry(0o4755, b"two\n", (3, 4), file=1) for path in ("/tree/x", "/tree/a/y", "/tree/b/z")},
}
"""What ``MADE`` adds: links to a file, to a directory and to nothing; a directory of another owner; a setuid file with
three names."""

HOST_TREE: Tree = {
    "/pack": ModelEntry(0o750),
    "/pack/one": ModelEntry(0o755, b"one\n"),
    "/pack/sub": ModelEntry(0o700),
    "/pack/sub/two": ModelEntry(0o644, b""),
    "/pack/to": link("sub/two"),
    "/file": ModelEntry(0o640, b"of the host\n"),
}
"""The tree on this host that is copied in."""


def write_tree(tree: Tree, top: Path) -> None:
    """Create a tree on this host."""
    for path, one in tree.items():
        directory = top / path[1:]
        if one.target:
            directory.symlink_to(one.target)
            continue
        if one.data is None:
            directory.mkdir()
        else:
            directory.write_bytes(one.data)
        directory.chmod(one.mode)


def parent_of(path: str) -> str:
    return path.rpartition("/")[0]


def last(path: str) -> str:
    return path.rpartition("/")[2]


def subtree(tree: Tree, path: str) -> Tree:
    return {one: seen for one, seen in tree.items() if one == path or one.startswith(path + "/")}


def without(tree: Tree, gone: Iterable[str]) -> Tree:
    return {path: seen for path, seen in tree.items() if path not in set(gone)}


def is_directory(tree: Tree, path: str | None) -> bool:
    return path in tree and tree[path].is_directory


def resolve(tree: Tree, path: str, *, follow: bool = False, depth: int = 0) -> str | None:
    """Return the canonical path of a name, None if its directory does not exist.

    With ``follow``, also follow a link at the name itself, and return None if nothing is there.
    """
    if parent_of(path):
        directory = resolve(tree, parent_of(path), follow=True, depth=depth)
        if directory is None or not is_directory(tree, directory):
            return None
        path = f"{directory}/{last(path)}"
    seen = tree.get(path)
    if follow and seen is None:
        return None
    if follow and seen and seen.target:
        target = seen.target if seen.target.startswith("/") else f"{parent_of(path)}/{seen.target}"
        return resolve(tree, target, follow=True, depth=depth + 1) if depth < 40 else None
    return path


def written(tree: Tree, path: str, *, depth: int = 0) -> str | None:
    """Return the canonical path that a write to a path changes or creates; dangling links are followed too."""
    place = resolve(tree, path)
    target = tree[place].target if place in tree else ""
    if place is None or not target or depth == 40:
        return place
    return written(tree, target if target.startswith("/") else f"{parent_of(place)}/{target}", depth=depth + 1)


def rename_target(tree: Tree, new: str, name: str) -> str | None:
    """Return the destination of ``name``: inside ``new`` if that is a directory, else ``new`` itself."""
    there = resolve(tree, new, follow=True)
    return f"{there}/{name}" if there and is_directory(tree, there) else resolve(tree, new)


def names_of(tree: Tree, path: str) -> set[str]:
    """Return all names of the file at a path."""
    number = tree[path].file if path in tree else 0
    return {path} | {one for one, seen in tree.items() if number and seen.file == number}


def in_all_names(tree: Tree, path: str, **changes: object) -> Tree:
    """Return the tree with a file changed under all of its names."""
    return tree | {one: replace(tree[one], **changes) for one in names_of(tree, path)}  # type: ignore[arg-type]


def moved(tree: Tree, path: str, new: str) -> Tree:
    gone = subtree(tree, path)
    return without(tree, gone) | {new + one[len(path) :]: seen for one, seen in gone.items()}


def rejoined(tree: Tree, before: Tree, touched: set[str]) -> Tree:
    """Return the tree in which restored names are again the same file as the names that stayed."""
    new = dict(tree)
    for path in touched & {*before}:
        stayed = [one for one in names_of(before, path) if one in tree and one not in touched]
        if stayed:
            number = tree[stayed[0]].file or before[path].file
            new[path] = replace(tree[path], file=number)
            new[stayed[0]] = replace(tree[stayed[0]], file=number)
    return new


def by_inodes(tree: Tree, inodes: dict[str, int]) -> Tree:
    """Return the tree in which names with different inodes are different files; names are never joined."""
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
