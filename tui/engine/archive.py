"""A container's files through the Engine's archive API, for what cannot be reached as directories on this host.

moby api: ``HEAD``, ``GET`` and ``PUT /containers/ID/archive``, ``GET /containers/ID/changes``; measured on 20.10.24.
The Engine resolves links in a path inside the container's root, but for the last component.
"""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from tui.core.archive import FileFacts, RemoteFile
from tui.core.errors import EditRefused, EngineError, EngineLost, LayerError, NotFound
from tui.core.model import Change, Details, ReachKind
from tui.core.text import human_size, printable
from tui.engine.endpoint import Endpoint
from tui.engine.live import LiveEndpoint
from tui.engine.parse import parse_time
from tui.engine.sdk import engine_errors

_GO_TYPES = {1 << 31: "directory", 1 << 27: "symlink", 1 << 26: "device", 1 << 25: "fifo", 1 << 24: "socket"}
_GO_BITS = {1 << 23: stat.S_ISUID, 1 << 22: stat.S_ISGID, 1 << 20: stat.S_ISVTX}
"""Bits of Go's os.FileMode, which are not the kernel's."""

_MAX_LINKS = 40
_HEADERS = 1 << 20
"""Bytes of a directory's tar in which its own header must come."""

_PATIENCE = 30.0
"""Seconds that the container's own ``rm`` may take for one file."""
_CHANGES = (Change.MODIFIED, Change.ADDED, Change.DELETED)
"""``Kind`` 0, 1 and 2 of the changes API."""


class _Chunks:
    """A stream of chunks as a file to read from, which is all that tarfile wants of one."""

    def __init__(self, chunks: Iterator[bytes], limit: int | None = None) -> None:
        self._chunks = chunks
        self._rest = b""
        self._left = limit
        self.cut = False

    def read(self, size: int) -> bytes:
        """Return so many bytes, fewer at the end."""
        if self._left is not None:
            self.cut = self.cut or size > self._left
            size = min(size, self._left)
            self._left -= size
        while len(self._rest) < size and (chunk := next(self._chunks, b"")):
            self._rest += chunk
        found, self._rest = self._rest[:size], self._rest[size:]
        return found


class EngineArchive:
    """One container's files. Fulfils :class:`tui.editing.remote.Archive`."""

    def __init__(self, endpoint: LiveEndpoint, container_id: str) -> None:
        self._endpoint = endpoint
        self._id = container_id

    def _url(self) -> str:
        client = self._endpoint.client
        return f"{client.base_url}/v{client.api_version}/containers/{self._id}/archive"

    def _ask(self, path: bytes) -> dict[str, Any]:
        with engine_errors(printable(path)):
            answer = self._endpoint.client.head(self._url(), params={"path": path}, timeout=60)
        if answer.status_code == 404:
            raise NotFound(f"{printable(path)} does not exist in the container", "the changes show what is new")
        if answer.status_code != 200:
            raise LayerError(f"{printable(path)}: the Engine answers {answer.status_code}", "is that its real path?")
        told = answer.headers.get("X-Docker-Container-Path-Stat", "")
        try:
            found = json.loads(base64.b64decode(told))
            return {
                "mode": int(found["mode"]),
                "size": int(found["size"]),
                "link": str(found.get("linkTarget") or ""),
                "mtime_ns": _nanoseconds(str(found.get("mtime") or "")),
            }
        except (ValueError, KeyError, TypeError) as error:
            raise LayerError(f"the Engine says nothing of {printable(path)}", "is it a Docker Engine?") from error

    def facts(self, path: bytes) -> FileFacts:
        """Say what a path means, links followed; raises NotFound."""
        for _ in range(_MAX_LINKS):
            found = self._ask(path)
            facts = _facts_of(path, found)
            if facts.kind != "symlink":
                return facts
            path = os.fsencode(found["link"])
        raise EditRefused(f"{printable(path)}: too many symbolic links", "look where they point: ls -l")

    def facts_of_name(self, path: bytes) -> FileFacts:
        """Say what stands at a path, a link being a link; raises NotFound."""
        return _facts_of(path, self._ask(path))

    @contextmanager
    def tree(self, path: bytes, limit: int) -> Iterator[TarNames]:
        """Yield the names below a directory with their tar headers; reads at most ``limit`` bytes of the tar."""
        with engine_errors(printable(path)):
            chunks, _ = self._endpoint.client.get_archive(self._id, path)
            names = TarNames(_Chunks(iter(chunks), limit), path)
            try:
                yield names
            finally:
                chunks.close()

    def get(self, path: bytes, limit: int) -> RemoteFile:
        """Read a regular file of at most ``limit`` bytes; raises EditRefused for anything else.

        The Engine's tar must hold this one file and nothing else: it is never unpacked.
        """
        facts = self.facts(path)
        if facts.kind != "file":
            raise EditRefused(f"{printable(path)} is a {facts.kind}, not a file", "only regular files can be read")
        if facts.size > limit:
            raise EditRefused(f"{printable(path)} has {human_size(facts.size)}", "docker cp takes any size")
        with engine_errors(printable(path)):
            chunks, _ = self._endpoint.client.get_archive(self._id, facts.path)
            return _only_member(_Chunks(iter(chunks)), facts)

    def place_of(self, path: bytes) -> bytes:
        """Return the canonical path of what a path means, there or not: links followed, its directory there.

        Raises NotFound where a directory is not.
        """
        left, place = path.strip(b"/").split(b"/"), b""
        for _ in range(_MAX_LINKS + len(left)):
            if not left or left == [b""]:
                return place or b"/"
            name, *left = left
            here = place + b"/" + name
            try:
                found = self._ask(here)
            except NotFound:
                if left:
                    raise
                return here
            if found["link"]:  # the Engine has followed links in it
                left, place = [*os.fsencode(found["link"]).strip(b"/").split(b"/"), *left], b""
                continue
            if left and _facts_of(here, found).kind != "directory":
                raise EditRefused(f"{printable(here)} is no directory", "make it first")
            place = here
        raise EditRefused(f"{printable(path)}: too many symbolic links", "look where they point: ls -l")

    def owner_of(self, directory: bytes) -> tuple[int, int]:
        """Return user and group of a directory; raises NotFound, LayerError."""
        with engine_errors(printable(directory)):
            chunks, _ = self._endpoint.client.get_archive(self._id, directory)
            try:
                with tarfile.open(fileobj=cast("IO[bytes]", _Chunks(iter(chunks), _HEADERS)), mode="r|") as tar:
                    member = tar.next()
            except (tarfile.TarError, EOFError) as error:
                raise LayerError(f"the Engine's answer for {printable(directory)} is no tar", "try again") from error
            finally:
                chunks.close()
        if member is None or not member.isdir():
            raise LayerError(f"the Engine's answer is not {printable(directory)}", "was it changed meanwhile?")
        return member.uid, member.gid

    def remove(self, path: bytes) -> None:
        """Delete a file by the container's own ``rm``: the archive API cannot. Raises EditRefused."""
        shown, hint = printable(path), "undo it on the Engine's host, by its socket"
        try:
            words = ["rm", "-f", "--", path.decode()]
        except UnicodeDecodeError as error:
            raise EditRefused(f"the Engine cannot be told the name of {shown}", hint) from error
        client = self._endpoint.client
        with engine_errors(shown):
            number = str(client.exec_create(self._id, words, user="0:0", stdout=False, stderr=False)["Id"])
        try:
            with engine_errors(shown):
                client.exec_start(number, detach=True)
                code = self._ended(number)
        except EngineLost:
            raise
        except EngineError as error:
            raise EditRefused(f"{shown}: the container has no rm that deletes it: {error.message}", hint) from error
        if code != 0:
            raise EditRefused(f"{shown}: the container's own rm cannot delete it (exit code {code})", hint)

    def _ended(self, number: str) -> int | None:
        """Wait for what was started in the container; None where it does not end."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            told = self._endpoint.client.exec_inspect(number)
            if not told.get("Running"):
                return int(told.get("ExitCode") or 0)
            time.sleep(0.02)
        return None

    def put(self, directory: bytes, tar: bytes) -> None:
        """Have the Engine unpack a tar in a directory; it refuses to put a file in the place of a directory."""
        params = {"path": directory, "noOverwriteDirNonDir": "true"}
        with engine_errors(printable(directory)):
            answer = self._endpoint.client.put(self._url(), params=params, data=tar, timeout=120)
        if answer.status_code != 200:
            text = answer.text.strip()[:300].replace("\n", " ")
            raise EditRefused(f"the Engine refused: {printable(text)}", "nothing was changed")

    def changes(self) -> tuple[tuple[bytes, Change], ...]:
        """Return what the Engine says was changed, sorted by path."""
        with engine_errors(self._id[:12]):
            rows = self._endpoint.client.diff(self._id) or []
        return tuple(sorted((os.fsencode(str(row["Path"])), _CHANGES[int(row["Kind"])]) for row in rows))


class TarNames:
    """The members of a directory's tar as paths below it. Nothing is unpacked; a name that leads out is an error."""

    def __init__(self, stream: _Chunks, path: bytes) -> None:
        self._stream = stream
        self._shown = printable(path)

    @property
    def cut(self) -> bool:
        """Whether the tar was longer than what was to be read of it."""
        return self._stream.cut

    def __iter__(self) -> Iterator[tuple[bytes, tarfile.TarInfo]]:
        try:
            with tarfile.open(fileobj=cast("IO[bytes]", self._stream), mode="r|") as tar:
                top = tar.next()
                prefix = len(os.fsencode(top.name.rstrip("/"))) if top else 0
                while (member := tar.next()) is not None:
                    cast("Any", tar).members.clear()  # tarfile keeps them all
                    below = os.fsencode(member.name)[prefix:].strip(b"/")
                    if not below or b".." in below.split(b"/"):
                        raise LayerError(f"the Engine's answer is not {self._shown}", "try again")
                    yield below, member
        except (tarfile.TarError, EOFError) as error:
            if not self.cut:
                raise LayerError(f"the Engine's answer for {self._shown} is cut short or no tar", "again?") from error


def _facts_of(path: bytes, found: dict[str, Any]) -> FileFacts:
    kind = next((name for bit, name in _GO_TYPES.items() if found["mode"] & bit), "file")
    mode = found["mode"] & 0o777 | sum(bit for go, bit in _GO_BITS.items() if found["mode"] & go)
    return FileFacts(path, kind, found["size"], mode, found["mtime_ns"])


def _nanoseconds(text: str) -> int:
    """Return an RFC 3339 time in nanoseconds, every digit of which counts; 0 for garbage."""
    whole = parse_time(text)
    fraction = re.search(r"\.([0-9]{1,9})", text)
    if whole is None:
        return 0
    return int(whole.replace(microsecond=0).timestamp()) * 10**9 + int(fraction[1].ljust(9, "0") if fraction else 0)


def _only_member(stream: _Chunks, facts: FileFacts) -> RemoteFile:
    shown = printable(facts.path)
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|") as tar:
            member = tar.next()
            if member is None or not member.isreg() or member.size != facts.size:
                raise LayerError(f"the Engine's answer is not {shown}", "was it changed meanwhile? try again")
            content = tar.extractfile(member)
            data = content.read() if content else b""
            attributes = {k: v for k, v in member.pax_headers.items() if k.startswith("SCHILY.xattr.")}
            if len(data) != facts.size or tar.next() is not None:
                raise LayerError(f"the Engine's answer is not {shown} alone", "was it changed meanwhile? try again")
    except (tarfile.TarError, EOFError) as error:
        raise LayerError(f"the Engine's answer for {shown} is cut short or no tar", "try again") from error
    second = int(member.mtime)  # the Engine cuts off what is less
    mtime_ns = facts.mtime_ns if facts.mtime_ns // 10**9 == second else second * 10**9
    return RemoteFile(facts.path, data, member.mode & 0o7777, member.uid, member.gid, mtime_ns, attributes)


def archive_of(endpoint: Endpoint, details: Details) -> EngineArchive | None:
    """Return the Engine's way to a container's files where that is the only one, else None."""
    if isinstance(endpoint, LiveEndpoint) and details.reach.kind is ReachKind.ENGINE:
        return EngineArchive(endpoint, details.container.id)
    return None
