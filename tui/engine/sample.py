# ruff: noqa: E501 - the samples are tables
"""The demo: a small data-root as Docker leaves it on disk, created in a temporary directory.

It is read and edited by the same code as a real one, and works without root: the kernel lets anybody create a whiteout
(Linux 5.8), and the opaque mark is written as ``user.overlay.*``, as rootless engines do.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tui.core.errors import LayerError
from tui.drivers.chain_ids import chain_ids
from tui.layers.whiteouts import xattr_prefix
from tui.linux.process_marks import owner_lives, owner_mark

Files = dict[str, bytes]

_BASE: Files = {
    "bin/sh": b"\x7fELF\x02\x01\x01" + bytes(9) + b"a sample, not a program" + bytes(64),
    "etc/os-release": b'NAME="Sample Linux"\nVERSION_ID=1\n',
    "etc/motd": b"welcome to the sample\n",
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nweb:x:1234:4321::/app:/bin/sh\n",
    "usr/share/licence.txt": b"free to look at\n" * 60,
    "var/log/.keep": b"",
}
_PYTHON: Files = {
    "usr/lib/python3/server.py": (
        b'"""A web server of the sample."""\n\nimport json\nimport socket\n\n\n'
        b"def serve(config):\n    port = int(config['port'])  # KeyError when the file says prot\n"
        b"    with socket.create_server(('', port)) as listener:\n        while True:\n            answer(listener.accept())\n"
    ),
    "usr/lib/python3/json5.py": b"def loads(text):\n    raise NotImplementedError\n",
}
_WEB: Files = {
    "app/start.sh": b"#!/bin/sh\necho starting\nexec python3 /app/main.py --config /app/server.json\n",
    "app/server.json": b'{\n  "prot": 8080,\n  "workers": 4,\n  "static": "/app/static"\n}\n',
    "app/main.py": b"from server import serve\nimport json, sys\n\nserve(json.load(open(sys.argv[2])))\n",
    "app/static/s.css": b"body { color: #222 }\n",
    "app/static/index.html": b"<!doctype html>\n<title>shop</title>\n<h1>Shop</h1>\n",
    "app/conf.d/a.conf": b"a = 1\n",
    "app/conf.d/b.conf": b"b = 2\n",
}
_IMPORT: Files = {
    "srv/import.sh": b"#!/bin/sh\nfor f in /data/*.csv; do load $f; done\n",
    "srv/map.yaml": b"id: int\nname: text\n",
}


@dataclass(frozen=True, slots=True)
class _Sample:
    """A container of the sample: its image's layers, its state, its changes and its output."""

    name: str
    image: str
    layers: tuple[str, ...]
    minutes: int
    state: dict[str, Any]
    argv: tuple[str, ...]
    log: tuple[str, ...] = ()
    added: Files = field(default_factory=dict)
    deleted: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)
    volume: str = ""


_LAYERS: dict[str, Files] = {"base": _BASE, "python": _PYTHON, "web": _WEB, "import": _IMPORT}

_SAMPLES = (
    _Sample(
        "web", "shop/web:1", ("web", "python", "base"), 2, {"ExitCode": 1}, ("sh", "/app/start.sh"),
        log=("starting", "Traceback (most recent call last):", '  File "server.py", line 8, in serve', "KeyError: 'port'"),
        added={"app/static/s.css": b"body { color: #000 }\n", "app/new.txt": b"new\n", "app/conf.d/c.conf": b"c = 3\n"},
        deleted=("etc/motd",), opaque=("app/conf.d",), links={"app/run": "start.sh"}, volume="shop_data",
    ),
    _Sample(
        "import-7", "shop/import:4", ("import", "base"), 180, {"ExitCode": 137, "OOMKilled": True},
        ("sh", "/srv/import.sh"), log=("loading 1.csv", "loading 2.csv", "Killed"),
        added={"data/part-1.csv": b"id,name\n1,a\n" * 4000, "data/dump.bin": bytes(range(256)) * 300},
    ),
    _Sample("cron", "shop/cron:2", ("base",), 1440, {"ExitCode": 0}, ("crond", "-f"), log=("all done",)),
    _Sample("typo", "shop/cron:2", ("base",), 47, {"ExitCode": 127}, ("crnod", "-f"), log=("sh: crnod: not found",)),
    _Sample(
        "api", "shop/web:1", ("web", "python", "base"), 4320, {"Running": True, "ExitCode": 0}, ("sh", "/app/start.sh"),
        log=("starting", "GET / 200", "GET /s.css 200"), added={"var/log/access.log": b"GET / 200\n" * 300},
    ),
    _Sample("queue", "shop/queue:9", ("base",), 600, {"Running": True, "Paused": True}, ("queue", "--strict"), log=("ready",)),
    _Sample("flapping", "shop/queue:9", ("base",), 9, {"Running": True, "Restarting": True}, ("queue",), log=("no peer",)),
    _Sample("fresh", "shop/web:2", ("web", "python", "base"), 1, {"StartedAt": "0001-01-01T00:00:00Z"}, ("sh", "/app/start.sh")),
    _Sample("stuck", "shop/import:3", ("import", "base"), 20160, {"Dead": True, "ExitCode": 137}, ("sh", "/srv/import.sh")),
)  # fmt: skip


_OWNER = "owner"


@contextmanager
def demo_directory() -> Iterator[Path]:
    """Create a directory for a demo and remove it afterwards, together with those that killed demos left."""
    for leftover in Path(tempfile.gettempdir()).glob("dtui-demo-*"):
        with suppress(OSError):
            mark = leftover / _OWNER
            if (
                not leftover.is_symlink()
                and leftover.stat().st_uid == os.geteuid()
                and not owner_lives(mark.read_text())
            ):
                shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(prefix="dtui-demo-") as directory:
        Path(directory, _OWNER).write_text(owner_mark())
        yield Path(directory)


def build_sample(root: Path) -> None:
    """Write the sample data-root into an empty directory; raises LayerError if that fails."""
    try:
        for name, files in _LAYERS.items():
            _write_layer(root, _layer_id(name), files)
            link = root / "overlay2" / "l" / _short_link(name)
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(f"../{_layer_id(name)}/diff")
        _write_images(root / "image" / "overlay2")
        for sample in _SAMPLES:
            _write_container(root, sample, datetime.now(UTC))
    except OSError as error:
        raise LayerError(
            f"the sample cannot be built: {error}", "check the free space and the permissions there"
        ) from error


_MTIME = 1_764_000_000
"""Modification time in seconds of the sample's files, the same in every sample."""


def _hash(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


def _layer_id(name: str) -> str:
    return _hash("layer", name)


def _short_link(name: str) -> str:
    return _hash("link", name)[:26].upper()


def _write_layer(root: Path, layer_id: str, files: Files) -> Path:
    home = root / "overlay2" / layer_id
    diff = home / "diff"
    diff.mkdir(parents=True)
    for path, data in files.items():
        target = diff / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        os.utime(target, (_MTIME, _MTIME))
        target.chmod(0o755 if data.startswith((b"#!", b"\x7fELF")) else 0o644)
    return diff


def _write_images(home: Path) -> None:
    """Write the records of the images: names, layers, and the directory of each layer."""
    names: dict[str, dict[str, str]] = {}
    content = home / "imagedb" / "content" / "sha256"
    content.mkdir(parents=True)
    for image, layers in sorted({(sample.image, sample.layers) for sample in _SAMPLES}):
        base_first = layers[::-1]
        diff_ids = [f"sha256:{_hash('diff', name)}" for name in base_first]
        for name, chain in zip(base_first, chain_ids(diff_ids), strict=True):
            record = home / "layerdb" / "sha256" / chain
            record.mkdir(parents=True, exist_ok=True)
            (record / "cache-id").write_text(_layer_id(name))
        (content / _hash("image", image)).write_text(json.dumps({"rootfs": {"type": "layers", "diff_ids": diff_ids}}))
        names.setdefault(image.partition(":")[0], {})[image] = f"sha256:{_hash('image', image)}"
    (home / "repositories.json").write_text(json.dumps({"Repositories": names}))


def _write_container(root: Path, sample: _Sample, current_time: datetime) -> None:
    container_id, mount_id = _hash("container", sample.name), _hash("mount", sample.name)
    init = f"{mount_id}-init"
    _write_layer(root, init, {"etc/hosts": b"", "etc/hostname": b"", "etc/resolv.conf": b"", ".dockerenv": b""})
    init_link = _hash("link", init)[:26].upper()
    (root / "overlay2" / "l" / init_link).symlink_to(f"../{init}/diff")
    diff = _write_layer(root, mount_id, sample.added)
    for path in sample.deleted:
        _whiteout(diff / path)
    for path in sample.opaque:
        (diff / path).mkdir(parents=True, exist_ok=True)
        os.setxattr(diff / path, xattr_prefix(os.geteuid() != 0) + "opaque", b"y")
    for path, target in sample.links.items():
        (diff / path).symlink_to(target)
    home = root / "overlay2" / mount_id
    (home / "work").mkdir()
    links = [init_link, *(_short_link(name) for name in sample.layers)]
    (home / "lower").write_text(":".join(f"l/{link}" for link in links))
    records = root / "image" / "overlay2" / "layerdb" / "mounts" / container_id
    records.mkdir(parents=True)
    (records / "mount-id").write_text(mount_id)
    (records / "init-id").write_text(init)
    _write_records(root, sample, container_id, current_time)


def _whiteout(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(PermissionError):  # before Linux 5.8 only root can create one; then nothing is shown as deleted
        os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def _write_records(root: Path, sample: _Sample, container_id: str, current_time: datetime) -> None:
    home = root / "containers" / container_id
    home.mkdir(parents=True)
    created = current_time - timedelta(
        minutes=sample.minutes, seconds=30
    )  # so that no displayed age changes while somebody looks
    started = sample.state.get("StartedAt", (created + timedelta(seconds=1)).isoformat())
    running = sample.state.get("Running")
    finished = "0001-01-01T00:00:00Z" if running else (created + timedelta(seconds=1.3)).isoformat()
    log = home / f"{container_id}-json.log"
    volume = {
        "Type": "volume", "Name": sample.volume, "Source": f"/var/lib/docker/volumes/{sample.volume}/_data",
        "Destination": "/data", "RW": True,
    }  # fmt: skip
    record = {
        "ID": container_id,
        "Name": f"/{sample.name}",
        "Driver": "overlay2",
        "OS": "linux",
        "Created": created.isoformat(),
        "Image": f"sha256:{_hash('image', sample.image)}",
        "Config": {"Image": sample.image, "Cmd": list(sample.argv), "WorkingDir": "/app"},
        "Path": sample.argv[0],
        "Args": list(sample.argv[1:]),
        "State": {"ExitCode": 0, "FinishedAt": finished, **sample.state, "StartedAt": started, "Pid": 0},
        "MountPoints": {"/data": volume} if sample.volume else {},
        "NetworkSettings": {"Ports": {"8080/tcp": [{"HostIp": "", "HostPort": "80"}]} if sample.name == "api" else {}},
        "HostsPath": f"/var/lib/docker/containers/{container_id}/hosts",
        "RestartCount": 4 if sample.name == "flapping" else 0,
        "LogPath": str(log),
    }
    (home / "config.v2.json").write_text(json.dumps(record))
    lines = [
        json.dumps({"log": f"{line}\n", "stream": "stdout", "time": (created + timedelta(seconds=1)).isoformat()})
        for line in sample.log
    ]
    log.write_text("".join(f"{line}\n" for line in lines))
