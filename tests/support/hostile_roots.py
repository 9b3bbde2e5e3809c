"""Data-roots prepared by an attacker: intact ones, and ways to replace their parts.

As a program, it keeps exchanging two names, such as a directory of a data-root and a link out of it.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTAINER = "c" * 64
LAYER, IMAGE = "1" * 64, "2" * 64
INIT = f"{LAYER}-init"
SECRET = b"SECRET of this host\n"
EXCHANGE = 2


@dataclass(frozen=True)
class Prepared:
    """A data-root, the directory of its writable layer's files, and a host directory that must not be reached."""

    root: Path
    upper: Path
    host: Path

    def link(self, place: str, target: Path | str) -> None:
        """Replace a path of the data-root with a symbolic link."""
        path = self.root / place
        if path.is_dir() and not path.is_symlink():
            path.rename(path.with_name(path.name + ".was"))
        else:
            path.unlink(missing_ok=True)
        path.symlink_to(target)

    def put(self, place: str, text: str | bytes) -> None:
        """Write a file into the data-root."""
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def hosts(folder: Path) -> Path:
    """Create a directory of the host that has the layout of a layer, so that redirected paths exist in it."""
    host = folder / "host"
    for name in (
        *(f"{kind}/etc" for kind in ("diff", "upper", "root")),
        "etc",
        f"{IMAGE}/diff/etc",
        f"{LAYER}/diff/etc",
    ):
        (host / name).mkdir(parents=True)
        (host / name / "secret").write_bytes(SECRET)
        (host / name / "app.conf").write_bytes(SECRET)
    return host


def record_of(driver: str, **more: Any) -> dict[str, Any]:
    """Return Docker's record of a container that has exited."""
    state = {"Running": False, "ExitCode": 1, "Pid": 0, "StartedAt": "2026-01-01T00:00:00Z"}
    config = {"Image": "shop/web:1", "Cmd": ["true"]}
    return {"ID": CONTAINER, "Name": "/web", "Driver": driver, "State": state, "Config": config, **more}


def docker_root(folder: Path, driver: str = "overlay2") -> Prepared:
    """Create a data-root with one container: ``/etc/app.conf`` is the image's, ``/etc/own`` the container's."""
    root = folder / "docker"
    prepared = Prepared(
        root, root / (f"vfs/dir/{LAYER}" if driver == "vfs" else f"{driver}/{LAYER}/diff"), hosts(folder)
    )
    prepared.put(f"containers/{CONTAINER}/config.v2.json", json.dumps(record_of(driver)))
    prepared.put(f"containers/{CONTAINER}/{CONTAINER}-json.log", '{"log":"hello\\n","stream":"stdout"}\n')
    mounts = f"image/{driver}/layerdb/mounts/{CONTAINER}"
    prepared.put(f"{mounts}/mount-id", LAYER)
    prepared.put(f"{mounts}/init-id", INIT)
    if driver == "vfs":
        for layer in (LAYER, INIT):
            prepared.put(f"vfs/dir/{layer}/etc/app.conf", "port=1\n")
    else:
        for short, layer in (("AAA", LAYER), ("BBB", INIT), ("CCC", IMAGE)):
            (root / driver / layer / "diff" / "etc").mkdir(parents=True)
            (root / driver / layer / "work").mkdir()
            prepared.put(f"{driver}/{layer}/link", short)
            (root / driver / "l").mkdir(exist_ok=True)
            (root / driver / "l" / short).symlink_to(f"../{layer}/diff")
        prepared.put(f"{driver}/{LAYER}/lower", "l/BBB:l/CCC")
        prepared.put(f"{driver}/{IMAGE}/diff/etc/app.conf", "port=1\n")
    (prepared.upper / "etc" / "own").write_text("mine\n")
    return prepared


def podman_root(folder: Path) -> Prepared:
    """Create podman storage with one container on overlay."""
    root = folder / "storage"
    prepared = Prepared(root, root / "overlay" / LAYER / "diff", hosts(folder))
    prepared.put(
        "overlay-containers/containers.json", json.dumps([{"id": CONTAINER, "names": ["web"], "layer": LAYER}])
    )
    prepared.put("overlay-layers/layers.json", json.dumps([{"id": IMAGE}, {"id": LAYER, "parent": IMAGE}]))
    prepared.put(f"overlay-containers/{CONTAINER}/userdata/config.json", json.dumps({"process": {"args": ["true"]}}))
    prepared.put(f"overlay-containers/{CONTAINER}/userdata/ctr.log", "2026-01-01T00:00:00Z stdout F hello\n")
    for short, layer in (("AAA", LAYER), ("CCC", IMAGE)):
        (root / "overlay" / layer / "diff" / "etc").mkdir(parents=True)
        (root / "overlay" / layer / "work").mkdir()
        (root / "overlay" / "l").mkdir(exist_ok=True)
        (root / "overlay" / "l" / short).symlink_to(f"../{layer}/diff")
    prepared.put(f"overlay/{LAYER}/lower", "l/CCC")
    prepared.put(f"overlay/{IMAGE}/diff/etc/app.conf", "port=1\n")
    (prepared.upper / "etc" / "own").write_text("mine\n")
    return prepared


LINKED: dict[str, Callable[[Prepared], None]] = {
    "a layer": lambda it: it.link(f"overlay2/{LAYER}", it.host),
    "a layer's files": lambda it: it.link(f"overlay2/{LAYER}/diff", it.host),
    "an image's layer": lambda it: it.link(f"overlay2/{IMAGE}", it.host),
    "an image's files": lambda it: it.link(f"overlay2/{IMAGE}/diff", it.host),
    "the driver's home": lambda it: it.link("overlay2", it.host),
    "a relative way": lambda it: it.link(f"overlay2/{LAYER}", "../../host"),
    "the lower file": lambda it: it.link(f"overlay2/{LAYER}/lower", it.host / "etc" / "secret"),
    "the mount's record": lambda it: it.link(f"image/overlay2/layerdb/mounts/{CONTAINER}", it.host),
    "the mount-id": lambda it: it.link(
        f"image/overlay2/layerdb/mounts/{CONTAINER}/mount-id", it.host / "etc" / "secret"
    ),
    "the layer database": lambda it: it.link("image", it.host),
}
"""Parts of an overlay2 data-root that an attacker may replace with a link; then nothing of the container is opened."""

NAMED: dict[str, Callable[[Prepared], None]] = {
    "a mount-id that climbs": lambda it: it.put(
        f"image/overlay2/layerdb/mounts/{CONTAINER}/mount-id", "../../../../../../host/aaaaaaaaaaaaaaaaaaaaaaaaa"
    ),
    "a short link out": lambda it: it.link("overlay2/l/CCC", f"../../../host/{IMAGE}/diff"),
    "a lower that climbs": lambda it: it.put(f"overlay2/{LAYER}/lower", "l/../../../host"),
    "ten thousand layers": lambda it: it.put(f"overlay2/{LAYER}/lower", ":".join(["l/CCC"] * 10_000)),
    "a layer of its own below itself": lambda it: it.put(f"overlay2/{LAYER}/lower", ":".join(["l/AAA"] * 600)),
}
"""What an attacker may write into the records instead."""


def deep(levels: int) -> str:
    """Return JSON of lists that are nested ``levels`` deep."""
    return "[" * levels + "]" * levels


def cyclic_bolt(branches: int = 24, links: int = 200) -> bytes:
    """Return a bolt database whose branch pages each link many times to the next one; the last is a leaf."""
    page_size, magic, version = 4096, 0xED0CDAED, 2

    def meta(number: int) -> bytes:
        fields = struct.pack("<IIIIQQQQQ", magic, version, page_size, 0, 2, 0, 0, branches + 3, 1)
        value = 0xCBF29CE484222325
        for byte in fields:
            value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
        return struct.pack("<QHHI", number, 4, 0, 0) + fields + struct.pack("<Q", value)

    pages = [meta(0), meta(1)]
    for number in range(2, 2 + branches):
        pages.append(struct.pack("<QHHI", number, 1, links, 0) + struct.pack("<IIQ", 0, 0, number + 1) * links)
    name = b"v1"
    leaf = struct.pack("<QHHI", 2 + branches, 2, 1, 0) + struct.pack("<IIII", 0, 16, len(name), 0) + name
    return b"".join(page.ljust(page_size, b"\0") for page in (*pages, leaf))


def swap(place: str, other: str) -> None:
    """Exchange two names atomically, again and again, until killed."""
    libc = ctypes.CDLL(None)
    print("on", flush=True)
    while True:
        for _ in range(random.choice((1, 1, 2, 3, 20))):
            libc.renameat2(-100, os.fsencode(place), -100, os.fsencode(other), EXCHANGE)
        time.sleep(random.choice((0, 0.001, 0.003) if os.path.islink(place) else (0.002, 0.01, 0.05)))


def remove(prepared: Prepared) -> None:
    """Remove a data-root, ignoring errors."""
    shutil.rmtree(prepared.root, ignore_errors=True)


if __name__ == "__main__":
    swap(sys.argv[1], sys.argv[2])
