"""Which images use a layer, from Docker's ``imagedb`` or from containerd's database and content store."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from tui.core.errors import DtuiError
from tui.drivers.bolt import Bucket, read_bolt
from tui.drivers.chain_ids import chain_ids
from tui.drivers.data_root import DataRoot

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_HEX = re.compile("[0-9a-f]{64}")
_MAX_DEPTH = 3
"""Deepest nesting of image indexes; real ones have one level."""

_MAX_BLOBS = 1000
"""Most records read for one image name; an index has one per platform."""

_MAX_LAYERS = 1000
"""Most layers of an image; overlay mounts half as many."""


def docker_images(root: DataRoot, home: str, errors: list[DtuiError]) -> dict[str, tuple[str, ...]]:
    """Return image names by chain id, from ``image/<driver>``; an image without a name goes by its short id.

    Images whose record cannot be read are skipped, and the errors appended to ``errors``.
    """
    names: dict[str, list[str]] = defaultdict(list)
    with suppress(DtuiError):
        repositories = root.json(f"{home}/repositories.json").get("Repositories")
        for repository in repositories.values() if isinstance(repositories, dict) else ():
            for name, image_id in repository.items() if isinstance(repository, dict) else ():
                if "@" not in name:
                    names[str(image_id).removeprefix("sha256:")].append(str(name))
    users: dict[str, set[str]] = defaultdict(set)
    content = f"{home}/imagedb/content/sha256"
    for image_id in filter(_HEX.fullmatch, _names(root, content)):
        try:
            for chain in chain_ids(_diff_ids(root.json(f"{content}/{image_id}"))):
                users[chain].update(names.get(image_id) or [image_id[:12]])
        except DtuiError as error:
            errors.append(error)
    return {chain: tuple(sorted(image_names)) for chain, image_names in users.items()}


def _names(root: DataRoot, directory: str) -> list[str]:
    try:
        return root.names(directory)
    except OSError:
        return []


def _diff_ids(config: dict[str, Any]) -> list[str]:
    rootfs = config.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    return [str(diff) for diff in diff_ids[:_MAX_LAYERS]] if isinstance(diff_ids, list) else []


def stored_images(containerd: DataRoot, errors: list[DtuiError]) -> dict[str, tuple[str, ...]]:
    """Return image names by chain id, from all namespaces of a containerd; errors are appended to ``errors``."""
    users: dict[str, set[str]] = defaultdict(set)
    try:
        version = read_bolt(containerd, "io.containerd.metadata.v1.bolt/meta.db").bucket(b"v1")
        for _, namespace in version.items() if version else ():
            images = namespace.bucket(b"images") if isinstance(namespace, Bucket) else None
            for name, image in images.items() if images else ():
                target = image.bucket(b"target") if isinstance(image, Bucket) else None
                digest = target.value(b"digest").decode("ascii", "replace") if target else ""
                for diff_ids in _configurations(containerd, digest):
                    for chain in chain_ids(diff_ids):
                        users[chain].add(name.decode("utf-8", "replace"))
    except DtuiError as error:
        errors.append(error)
    return {chain: tuple(sorted(image_names)) for chain, image_names in users.items()}


def _configurations(containerd: DataRoot, digest: str) -> Iterator[list[str]]:
    """Yield the diff ids of every image configuration below an index or manifest, for the platforms present."""
    todo, visited = [(digest, 0)], {digest}
    while todo and len(visited) <= _MAX_BLOBS:
        digest, depth = todo.pop()
        match = _DIGEST.fullmatch(digest)
        if not match or depth > _MAX_DEPTH:
            continue
        try:
            body = containerd.json(f"io.containerd.content.v1.content/blobs/sha256/{match[1]}")
        except DtuiError:
            continue  # this platform was not pulled
        if diff_ids := _diff_ids(body):
            yield diff_ids
        manifests = body.get("manifests")
        parts = [*(manifests if isinstance(manifests, list) else ()), body.get("config")]
        for part in parts:
            child_digest = str(part.get("digest") or "") if isinstance(part, dict) else ""
            if child_digest not in visited:
                visited.add(child_digest)
                todo.append((child_digest, depth + 1))
