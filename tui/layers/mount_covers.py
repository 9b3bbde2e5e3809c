"""Which paths are hidden by mounts over them while the container runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tui.core.records import Mount
from tui.linux.rooted_paths import normalized, split

_MAX_LINKS = 40
"""Symlinks followed in one path, as in the kernel."""

RUNTIME_MOUNTS = (b"/dev", b"/proc", b"/sys")
"""Where every runtime mounts its own file systems, though no engine lists them (runtime-spec, config-linux.md)."""

Target = Callable[[bytes], bytes]
"""Returns the target of the symlink at a canonical path, empty for anything else; raises nothing."""


def no_links(path: bytes) -> bytes:
    """Return no target: a Target for callers that cannot look."""
    del path
    return b""


def mount_path(destination: str | bytes, target_of: Target = no_links) -> bytes:
    """Return the path at which a mount ends up, with symlinks in its destination followed inside the container's root.

    Missing components are created when the mount is made, so they are taken as written (runc: securejoin).
    """
    todo = normalized(destination).split(b"/")[::-1]
    resolved, links = b"/", 0
    while todo:
        name = todo.pop()
        if name == b"..":
            resolved = split(resolved)[0]
        elif name not in (b"", b"."):
            resolved = resolved.rstrip(b"/") + b"/" + name
            target = target_of(resolved) if links < _MAX_LINKS else b""
            if target:
                links += 1
                todo += target.split(b"/")[::-1]
                resolved = b"/" if target.startswith(b"/") else split(resolved)[0]
    return resolved


@dataclass(frozen=True, slots=True)
class Covers:
    """The mounts of a container with the canonical paths they cover."""

    mounts: tuple[tuple[bytes, Mount], ...] = ()

    @classmethod
    def of(cls, mounts: Iterable[Mount], target_of: Target = no_links) -> Covers:
        """Resolve where each mount ends up."""
        return cls(tuple((mount_path(mount.destination, target_of), mount) for mount in mounts))

    def at(self, path: bytes) -> Mount | None:
        """Return the mount exactly at a path."""
        return next((mount for mounted_at, mount in reversed(self.mounts) if mounted_at == path), None)

    def mount_hiding(self, path: bytes) -> Mount | None:
        """Return the mount that hides a path: the nearest one at or above it."""
        covering = [
            placement for placement in self.mounts if (path + b"/").startswith(placement[0].rstrip(b"/") + b"/")
        ]
        return max(covering, key=lambda placement: len(placement[0]))[1] if covering else None

    def mount_below(self, path: bytes) -> tuple[bytes, Mount] | None:
        """Return a mount at or below a path, and where it is."""
        prefix = path.rstrip(b"/") + b"/"
        return next((placement for placement in self.mounts if (placement[0] + b"/").startswith(prefix)), None)
