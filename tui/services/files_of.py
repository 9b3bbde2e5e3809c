"""How a container's tree and files are reached: through its layers, or through its Engine."""

from __future__ import annotations

from tui.core.records import Details
from tui.engine.endpoint import Endpoint
from tui.engine.live.archive import archive_of
from tui.engine.live.archive_view import ArchiveView
from tui.files import ContainerFiles, SeenTree, stack_of

Tree = SeenTree | ArchiveView


def tree_of(endpoint: Endpoint, details: Details) -> Tree:
    """Open a container's tree; raises NotReachable, LayerError. The caller closes it."""
    archive = archive_of(endpoint, details)
    if archive:
        return ArchiveView(archive, details.mounts)
    return SeenTree(details)


def files_of(endpoint: Endpoint, details: Details) -> ContainerFiles:
    """Return the interface to change a container's files; raises NotReachable if there is none."""
    archive = archive_of(endpoint, details)
    if not archive:
        stack_of(details)
    return ContainerFiles(details, endpoint.inspect, archive)
