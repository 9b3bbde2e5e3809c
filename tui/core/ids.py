"""Ids of containers and layers, validated where an answer or a record comes in.

An id becomes part of a file name: a lock's, a backup's, a layer directory's. Functions that build such names take these
types instead of ``str``, so that mypy rejects an id that nobody has checked.
"""

from __future__ import annotations

import hashlib
import re
from typing import Self

from tui.core.errors import LayerError
from tui.core.text import printable

_ENGINE = re.compile(r"[0-9a-f]{64}")
_CONTAINERD = re.compile(r"(?=.{1,76}\Z)[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
"""containerd's own rule (pkg/identifiers), which allows neither a slash nor two dots in a row."""
_LAYER = re.compile(r"[0-9a-z]{25,64}(?:-init)?")
_NUMBER = re.compile(r"[0-9]{1,20}")


class BadId(LayerError):
    """The string is not a valid id of its kind."""


class ContainerId(str):
    """The id of a container, safe to use as a file name."""

    __slots__ = ()

    def __new__(cls, text: object) -> Self:
        """Check the id of a Docker or podman container, 64 hexadecimal digits; raises BadId."""
        return cls._checked(text, _ENGINE)

    @classmethod
    def of_containerd(cls, text: object) -> Self:
        """Check the id of a containerd container, which the client chose freely; raises BadId."""
        return cls._checked(text, _CONTAINERD)

    @classmethod
    def placeholder_for(cls, text: object) -> Self:
        """Return a stand-in id, so that a container whose own id is invalid can still be listed."""
        return cls(hashlib.sha256(repr(text)[:4096].encode("utf-8", "replace")).hexdigest())

    @classmethod
    def _checked(cls, text: object, pattern: re.Pattern[str]) -> Self:
        if not isinstance(text, str) or not pattern.fullmatch(text):
            raise BadId(f"{printable(str(text)[:80])!r} is not a container id", "dtui does not use it")
        return str.__new__(cls, text)


class LayerId(str):
    """The id of a layer, which is the name of its directory in the storage driver."""

    __slots__ = ()

    def __new__(cls, text: object) -> Self:
        """Check the id of a graph driver's or podman's layer; raises BadId."""
        return cls._checked(text, _LAYER)

    @classmethod
    def of_snapshot(cls, number: int) -> Self:
        """Check the number of a containerd snapshot; raises BadId."""
        return cls._checked(str(number), _NUMBER)

    @classmethod
    def _checked(cls, text: object, pattern: re.Pattern[str]) -> Self:
        if not isinstance(text, str) or not pattern.fullmatch(text):
            raise BadId(f"{printable(str(text)[:80])!r} is not a layer id", "the data-root's records are damaged")
        return str.__new__(cls, text)
