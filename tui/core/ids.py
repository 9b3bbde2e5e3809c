"""Ids of containers and layers, checked when an endpoint's answer or record is taken in.

An id becomes a file name: of a lock, of a backup, of a layer's directory. What demands one of these types cannot be
handed a string that nobody has looked at, because mypy refuses it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Self

from tui.core.errors import LayerError
from tui.core.text import printable

_ENGINE = re.compile(r"[0-9a-f]{64}")
_CONTAINERD = re.compile(r"(?=.{1,76}\Z)[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
"""containerd's own rule (pkg/identifiers): it allows neither a slash nor two dots in a row."""
_LAYER = re.compile(r"[0-9a-z]{25,64}(?:-init)?")
_NUMBER = re.compile(r"[0-9]{1,20}")


class BadId(LayerError):
    """A string that is no id of the kind it was given as."""


class ContainerId(str):
    """The id of a container; it holds nothing that could lead out of a directory."""

    __slots__ = ()

    def __new__(cls, text: object) -> Self:
        """Check the id of a Docker or podman container, 64 hexadecimal digits; raises BadId."""
        return cls._checked(text, _ENGINE)

    @classmethod
    def of_containerd(cls, text: object) -> Self:
        """Check the id of a containerd container, whose clients choose it; raises BadId."""
        return cls._checked(text, _CONTAINERD)

    @classmethod
    def placeholder_for(cls, text: object) -> Self:
        """Return an id under which a container can be listed whose own id is none."""
        return cls(hashlib.sha256(repr(text)[:4096].encode("utf-8", "replace")).hexdigest())

    @classmethod
    def _checked(cls, text: object, pattern: re.Pattern[str]) -> Self:
        if not isinstance(text, str) or not pattern.fullmatch(text):
            raise BadId(f"{printable(str(text)[:80])!r} is no container id", "it is never used as a name")
        return str.__new__(cls, text)


class LayerId(str):
    """The id of a layer, as its storage driver names the layer's directory."""

    __slots__ = ()

    def __new__(cls, text: object) -> Self:
        """Check the id of a graph driver's or podman's layer; raises BadId."""
        return cls._checked(text, _LAYER)

    @classmethod
    def of_snapshot(cls, number: int) -> Self:
        """Check the number under which a snapshotter keeps a snapshot; raises BadId."""
        return cls._checked(str(number), _NUMBER)

    @classmethod
    def _checked(cls, text: object, pattern: re.Pattern[str]) -> Self:
        if not isinstance(text, str) or not pattern.fullmatch(text):
            raise BadId(f"{printable(str(text)[:80])!r} is no layer id", "the data-root's records are damaged")
        return str.__new__(cls, text)
