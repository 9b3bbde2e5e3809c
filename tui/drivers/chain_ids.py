"""The names that Docker and containerd give to stacks of layers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator


def chain_ids(diff_ids: list[str]) -> Iterator[str]:
    """Yield the chain id of each layer of an image, base first, without ``sha256:`` (OCI image-spec, config.md)."""
    chain = ""
    for diff in diff_ids:
        chain = diff if not chain else "sha256:" + hashlib.sha256(f"{chain} {diff}".encode()).hexdigest()
        yield chain.removeprefix("sha256:")
