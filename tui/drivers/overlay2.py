"""overlay2, Docker's usual driver: ``overlay2/<id>/{diff,link,lower,work}`` and short links in ``overlay2/l``.

Layout read in moby daemon/graphdriver/overlay2 (20.10 to 29) and measured on 20.10.24 and 29.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from tui.core.errors import LayerError
from tui.core.model import Driver, DriverKind, Layer, LayerRole, LayerStack
from tui.core.text import printable
from tui.drivers.base import DataRoot, read_record

_LAYER_ID = re.compile(r"[0-9a-z]{25,64}(-init)?")
_SHORT_LINK = re.compile(r"l/[A-Z0-9]{1,64}")
_LINK_TARGET = re.compile(r"\.\./([0-9a-z]{25,64}(?:-init)?)/diff")


class Overlay2:
    """Layers of the overlay2 graph driver."""

    driver = Driver(DriverKind.GRAPH, "overlay2")

    def from_data_root(self, root: DataRoot, container_id: str) -> LayerStack:
        """Follow layerdb's mount-id to the layer, and its ``lower`` file to those below."""
        mount_id = root.mount_record("overlay2", container_id, "mount-id")
        base = root.path / "overlay2"
        _check_id(mount_id)
        home = base / mount_id
        lower = read_record(home / "lower").strip() if os.path.exists(home / "lower") else ""
        layers = [Layer(mount_id, LayerRole.WRITABLE, home / "diff")]
        for link in filter(None, lower.split(":")):
            layer_id = _follow(base, link)
            layers.append(Layer(layer_id, _role(layer_id), base / layer_id / "diff"))
        where = f"image/overlay2/layerdb/mounts/{container_id}/mount-id"
        return LayerStack(
            driver=self.driver,
            layers=tuple(layers),
            how="layerdb mount-id",
            command=f"cat {printable(str(root.path))}/{where}",
            work=home / "work",
            userxattr=_uses_user_xattrs(layers),
        )

    def from_engine(self, container_id: str, data: Mapping[str, str]) -> LayerStack:
        """Take the directories from GraphDriver.Data: UpperDir, LowerDir, WorkDir."""
        upper = data.get("UpperDir")
        if not upper:
            raise LayerError("the Engine names no UpperDir for this container", "is it an overlay2 container?")
        layers = [Layer(_id_of(upper), LayerRole.WRITABLE, Path(upper))]
        for path in filter(None, data.get("LowerDir", "").split(":")):
            layer_id = _id_of(path)
            layers.append(Layer(layer_id, _role(layer_id), Path(path)))
        work = data.get("WorkDir")
        return LayerStack(
            driver=self.driver,
            layers=tuple(layers),
            how="GraphDriver.Data.UpperDir",
            command=f"docker inspect --format '{{{{.GraphDriver.Data.UpperDir}}}}' {container_id[:12]}",
            work=Path(work) if work else None,
            userxattr=_uses_user_xattrs(layers),
        )


def _check_id(layer_id: str) -> None:
    if not _LAYER_ID.fullmatch(layer_id):
        raise LayerError(f"{printable(layer_id[:80])} is no layer id", "the data-root's layerdb is damaged")


def _follow(base: Path, link: str) -> str:
    """Return the layer that a short link means; one that leads elsewhere is refused, not followed."""
    if not _SHORT_LINK.fullmatch(link):
        raise LayerError(f"{printable(link[:80])} is no layer link", "the layer's `lower` file is damaged")
    try:
        target = os.readlink(base / link)
    except OSError as error:
        raise LayerError(
            f"lower layer {link} is missing", "the image was removed, or the data-root is damaged"
        ) from error
    match = _LINK_TARGET.fullmatch(target)
    if match is None:
        raise LayerError(f"{link} leads to {printable(target[:80])}, not to a layer", "the data-root is damaged")
    return match.group(1)


def _id_of(path: str) -> str:
    return Path(path).parent.name


def _role(layer_id: str) -> LayerRole:
    return LayerRole.INIT if layer_id.endswith("-init") else LayerRole.IMAGE


def _uses_user_xattrs(layers: list[Layer]) -> bool:
    """Say whether a rootless engine wrote the layers: root cannot own what such a user made.

    Rootless engines mount with ``userxattr``, for trusted.* needs CAP_SYS_ADMIN in the initial user namespace
    (kernel: overlayfs.rst, "User xattr"). The data-root's layer directory then belongs to that user.
    """
    try:
        return layers[0].path.parent.stat().st_uid != 0
    except OSError:
        return False
