"""Whose a path or an id is: which entry of a data-root holds it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from tui.core.errors import NotFound, NotReachable, UsageError
from tui.core.records import DriverKind
from tui.core.text import count_of, printable
from tui.engine.at_rest.usual_roots import is_root, usual_roots
from tui.inventory.disk import inventory
from tui.inventory.entries import DiskEntry, EntryType

_ID = re.compile(r"[0-9a-f]{12,64}(-init)?|[0-9a-z]{25}")
"""An id of a layer or a container, whole or the 12 digits or more that Engines print."""


class Owners:
    """Answers whose something is. Each data-root is read once."""

    def __init__(self, roots: Iterable[Path] = ()) -> None:
        """``roots`` are searched; without them those above a path, or the usual ones for an id."""
        self._roots = tuple(Path(os.path.realpath(root)) for root in roots)
        self._read: dict[Path, tuple[DiskEntry, ...]] = {}

    def owner_of(self, text: str) -> DiskEntry:
        """Return the entry that a path of this host or an id belongs to; raises NotFound, UsageError."""
        if _ID.fullmatch(text) and not os.path.lexists(text):
            return self._with_id(text)
        return self._with_path(Path(text))

    def _entries(self, root: Path) -> tuple[DiskEntry, ...]:
        if root not in self._read:
            self._read[root] = inventory(root)
        return self._read[root]

    def _with_id(self, text: str) -> DiskEntry:
        roots = self._roots or usual_roots()
        matches = [
            entry
            for root in roots
            for entry in self._entries(root)
            if entry.id.startswith(text) and entry.type in (EntryType.LAYER, EntryType.RECORD)
        ]
        exact = [entry for entry in matches if entry.id == text]
        if not matches:
            where = printable(", ".join(map(str, roots))) or "a data-root"
            raise NotFound(f"no layer or container in {where} has the id {text}", "name the data-root with --root DIR")
        if len(exact) != 1 and len({entry.id.removesuffix("-init") for entry in matches}) > 1:
            raise UsageError(f"{text} begins {count_of(len(matches), 'id')}", "give more of its digits")
        return (exact or matches)[0]

    def _with_path(self, path: Path) -> DiskEntry:
        display_path = printable(str(path))
        searched: tuple[Path, ...] = ()
        # try the path itself first: a symlink inside a layer belongs to that layer, wherever it points
        for candidate in dict.fromkeys(
            (_without_short_link(Path(os.path.abspath(path))), Path(os.path.realpath(path)))
        ):
            roots = self._roots or _roots_for(candidate)
            searched = searched or roots
            holding = [entry for root in roots for entry in self._entries(root) if _holds(entry, candidate, root)]
            if holding:
                return max(holding, key=lambda entry: len(str(entry.path)))
        if not searched:
            _check_permission(path)
            raise NotFound(f"{display_path} is not in a data-root", "name the data-root with --root DIR")
        raise NotFound(f"nothing of {printable(str(searched[0]))} has {display_path}", "dtui disk lists what is in it")


def _check_permission(path: Path) -> None:
    try:
        os.lstat(path)
    except PermissionError as error:
        raise NotReachable(f"{printable(str(path))}: permission denied", "run dtui as root, or use sudo") from error
    except OSError:
        return  # it may not exist any more; its path is enough


def _holds(entry: DiskEntry, path: Path, root: Path) -> bool:
    """Return whether a path belongs to an entry: in its directory, or in another of the same name (``aufs/mnt``)."""
    if any(path.is_relative_to(top) for top in entry.files or (entry.path,)):
        return True
    if entry.driver is None or entry.driver.kind is not DriverKind.GRAPH:
        return False
    return path.is_relative_to(root / entry.driver.name) and entry.id in path.relative_to(root).parts


def _without_short_link(path: Path) -> Path:
    """Follow ``overlay2/l/SHORT``, the only symlinks that Engines make between layers."""
    for part in (path, *path.parents):
        if part.parent.name == "l" and os.path.islink(part):
            target = Path(os.path.normpath(part.parent / os.readlink(part)))
            return target / path.relative_to(part)
    return path


def _roots_for(path: Path) -> tuple[Path, ...]:
    """Return the data-root above a path, or the usual ones whose driver's directory is a link to one above it."""
    for directory in (path, *path.parents):
        if is_root(directory):
            return (directory,)
        if directory.name.startswith("io.containerd.snapshotter.") and Path("/var/lib/docker/containers").is_dir():
            return (Path("/var/lib/docker"),)
    return tuple(root for root in usual_roots() if _links_above(root, path))


def _links_above(root: Path, path: Path) -> bool:
    return any(child.is_symlink() and path.is_relative_to(child.resolve()) for child in root.iterdir())
