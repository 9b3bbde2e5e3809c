"""Which images use a layer: from Docker's ``imagedb``, or from containerd's database and its content store."""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tui.core.errors import DtuiError
from tui.drivers.base import read_json
from tui.drivers.bolt import Bucket, read_bolt

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_DEEPEST = 3
"""Indexes within indexes; real ones have one."""


def chain_ids(diff_ids: list[str]) -> Iterator[str]:
    """Yield the chain id of each layer of an image, base first, without ``sha256:`` (OCI image-spec, config.md)."""
    chain = ""
    for diff in diff_ids:
        chain = diff if not chain else "sha256:" + hashlib.sha256(f"{chain} {diff}".encode()).hexdigest()
        yield chain.removeprefix("sha256:")


def docker_images(home: Path, missed: list[DtuiError]) -> dict[str, tuple[str, ...]]:
    """Return chain id to names of images, from ``image/<driver>``; one without a name goes by its short id.

    Images whose record cannot be read are left out, and the errors added to ``missed``.
    """
    names: dict[str, list[str]] = defaultdict(list)
    with suppress(DtuiError):
        repositories = read_json(home / "repositories.json").get("Repositories")
        for repository in repositories.values() if isinstance(repositories, dict) else ():
            for name, image_id in repository.items() if isinstance(repository, dict) else ():
                if "@" not in name:
                    names[str(image_id).removeprefix("sha256:")].append(str(name))
    users: dict[str, set[str]] = defaultdict(set)
    content = home / "imagedb" / "content" / "sha256"
    for image_id in os.listdir(content) if content.is_dir() else ():
        try:
            for chain in chain_ids(_diff_ids(read_json(content / image_id))):
                users[chain].update(names.get(image_id) or [image_id[:12]])
        except DtuiError as error:
            missed.append(error)
    return {chain: tuple(sorted(found)) for chain, found in users.items()}


def _diff_ids(config: dict[str, Any]) -> list[str]:
    rootfs = config.get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    return [str(diff) for diff in found] if isinstance(found, list) else []


def stored_images(containerd: Path, missed: list[DtuiError]) -> dict[str, tuple[str, ...]]:
    """Return chain id to names of images, of all namespaces of a containerd; what cannot be read adds to ``missed``."""
    users: dict[str, set[str]] = defaultdict(set)
    try:
        version = read_bolt(containerd / "io.containerd.metadata.v1.bolt" / "meta.db").bucket(b"v1")
        for _, namespace in version.items() if version else ():
            images = namespace.bucket(b"images") if isinstance(namespace, Bucket) else None
            for name, image in images.items() if images else ():
                target = image.bucket(b"target") if isinstance(image, Bucket) else None
                digest = target.value(b"digest").decode("ascii", "replace") if target else ""
                for diff_ids in _configurations(containerd, digest, 0):
                    for chain in chain_ids(diff_ids):
                        users[chain].add(name.decode("utf-8", "replace"))
    except DtuiError as error:
        missed.append(error)
    return {chain: tuple(sorted(found)) for chain, found in users.items()}


def _configurations(containerd: Path, digest: str, depth: int) -> Iterator[list[str]]:
    """Yield the diff ids of every configuration below an index or a manifest, of those platforms that are here."""
    known = _DIGEST.fullmatch(digest)
    if not known or depth > _DEEPEST:
        return
    blob = containerd / "io.containerd.content.v1.content" / "blobs" / "sha256" / known[1]
    try:
        body = read_json(blob)
    except DtuiError:
        return  # of a platform that was not pulled
    for part in body.get("manifests") or []:
        if isinstance(part, dict):
            yield from _configurations(containerd, str(part.get("digest")), depth + 1)
    config = body.get("config")
    if isinstance(config, dict) and "digest" in config:
        yield from _configurations(containerd, str(config["digest"]), depth + 1)
    if diff_ids := _diff_ids(body):
        yield diff_ids
