"""overlay2, Docker's usual driver: ``overlay2/<id>/{diff,link,lower,work}`` and short links in ``overlay2/l``.

fuse-overlayfs has the same layout in a directory of its own, but unpacks image layers with the whiteouts of aufs.
Layouts read in moby daemon/graphdriver/{overlay2,fuse-overlayfs} (20.10 to 29), measured on 20.10.24 and 29.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tui.core.errors import LayerError
from tui.core.ids import LayerId
from tui.core.records import Driver, DriverKind, Layer, LayerRole, LayerStack, WhiteoutStyle
from tui.core.text import printable
from tui.drivers.data_root import DataRoot
from tui.drivers.storage_driver import check_layer_id, inspect_command, mount_command, mount_record, role_of
from tui.drivers.users import REMAPPED

MAX_LAYERS = 500
"""Most lower layers; the kernel mounts no more (fs/overlayfs/params.h, OVL_MAX_STACK)."""

_SHORT_LINK = re.compile(r"l/[A-Z0-9]{1,64}")
_LINK_TARGET = re.compile(r"\.\./([0-9a-z]{25,64}(?:-init)?)/diff")


class Overlay2:
    """Layers of a graph driver with the layout of overlay2; overlay2 itself by default."""

    engine_key = "UpperDir"

    def __init__(self, name: str = "overlay2", whiteout_style: WhiteoutStyle = WhiteoutStyle.OVERLAY) -> None:
        self.driver = Driver(DriverKind.GRAPH, name)
        self.home = name
        self._whiteout_style = whiteout_style

    def from_data_root(self, root: DataRoot, container_id: str) -> LayerStack:
        """Follow layerdb's mount-id to the layer, and its ``lower`` file to the layers below."""
        name = self.driver.name
        mount_id = mount_record(root, name, container_id, "mount-id")
        stack = self._stack(
            overlay2_layers(root, name, mount_id), "layerdb mount-id", mount_command(root, name, container_id)
        )
        return replace(stack, root=root.directory, userxattr=uses_user_xattrs(root, f"{name}/{mount_id}"))

    def from_engine(self, container_id: str, data: Mapping[str, str]) -> LayerStack:
        """Take the directories from GraphDriver.Data: UpperDir, LowerDir, WorkDir."""
        upper = data.get("UpperDir")
        if not upper:
            raise LayerError("the Engine reports no UpperDir for this container", "check that its driver is overlay2")
        layers = [Layer(_id_of(upper), LayerRole.WRITABLE, Path(upper))]
        for path in filter(None, data.get("LowerDir", "").split(":")):
            layers.append(Layer(_id_of(path), role_of(_id_of(path)), Path(path)))
        return self._stack(layers, "GraphDriver.Data.UpperDir", inspect_command("UpperDir", container_id))

    def _stack(self, layers: list[Layer], how: str, command: str) -> LayerStack:
        return LayerStack(
            driver=self.driver,
            layers=tuple(layers),
            located_by=how,
            command=command,
            work_dir=layers[0].path.with_name("work"),
            whiteout_style=self._whiteout_style,
            merged=layers[0].path.with_name("merged"),
        )


def overlay2_layers(root: DataRoot, home: str, layer_id: LayerId) -> list[Layer]:
    """Read a layer and those in its ``lower`` file, nearest first; ``home`` is the driver's directory.

    Raises LayerError, also if there are more layers than overlay can mount.
    """
    lower = root.text(f"{home}/{layer_id}/lower").strip() if root.exists(f"{home}/{layer_id}/lower") else ""
    links = list(filter(None, lower.split(":", MAX_LAYERS + 1)))
    if len(links) > MAX_LAYERS:
        raise LayerError(f"layer {layer_id[:12]} names more than {MAX_LAYERS} below it", "its `lower` file is damaged")
    base = root.path / home
    layers = [Layer(layer_id, LayerRole.WRITABLE, base / layer_id / "diff")]
    for link in links:
        lower_id = _follow(root, home, link)
        layers.append(Layer(lower_id, role_of(lower_id), base / lower_id / "diff"))
    return layers


def _follow(root: DataRoot, home: str, link: str) -> LayerId:
    """Return the layer that a short link points to. Any other target is refused, not followed."""
    if not _SHORT_LINK.fullmatch(link):
        raise LayerError(f"{printable(link[:80])} is not a layer link", "the layer's `lower` file is damaged")
    try:
        target = root.target_of(f"{home}/{link}")
    except OSError as error:
        raise LayerError(
            f"lower layer {link} is missing", "the image was removed, or the data-root is damaged"
        ) from error
    match = _LINK_TARGET.fullmatch(target)
    if match is None:
        raise LayerError(f"{link} points to {printable(target[:80])}, not to a layer", "the data-root is damaged")
    return LayerId(match.group(1))


def _id_of(path: str) -> LayerId:
    return check_layer_id(Path(path).parent.name)


def uses_user_xattrs(root: DataRoot, layer: str) -> bool:
    """Return whether a rootless engine wrote a layer, and so used ``user.overlay.*`` for its marks.

    Rootless engines mount with ``userxattr``, because trusted.* needs CAP_SYS_ADMIN in the initial user namespace
    (kernel: overlayfs.rst, "User xattr"). The layer directory then belongs to that user. It also does with userns-remap
    (data-root ``.../<uid>.<gid>``), but there the Engine is root and writes trusted.*.
    """
    if any(REMAPPED.fullmatch(part) for part in root.path.parts):
        return False
    try:
        return root.status(layer).st_uid != 0
    except OSError:
        return False
