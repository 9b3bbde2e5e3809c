"""A container's files through the Engine's archive API, when its layers cannot be opened on this host.

moby api: ``HEAD``, ``GET`` and ``PUT /containers/ID/archive``, ``GET /containers/ID/changes``; measured on 20.10.24.
The Engine resolves symlinks in a path inside the container's root, except in the last component.
"""

from __future__ import annotations

import base64
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from tui.core.errors import EditRefused, EngineError, EngineLost, LayerError, NotFound
from tui.core.records import AccessKind, Change, Details
from tui.core.remote_files import FileFacts, RemoteFile
from tui.core.text import human_size, printable
from tui.engine.endpoint import Endpoint
from tui.engine.live import parse, tar
from tui.engine.live.answers import decode_json
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.engine.live.sdk import engine_errors
from tui.linux.rooted_paths import split

_GO_TYPES = {1 << 31: "directory", 1 << 27: "symlink", 1 << 26: "device", 1 << 25: "fifo", 1 << 24: "socket"}
_GO_BITS = {1 << 23: stat.S_ISUID, 1 << 22: stat.S_ISGID, 1 << 20: stat.S_ISVTX}
"""Bits of Go's os.FileMode, which differ from the kernel's."""

_MAX_LINKS = 40

_HEADERS = 2 << 20
"""Bytes of a directory's tar in which its own header must come."""

_RM_TIMEOUT = 30.0
"""Seconds that the container's own ``rm`` may take for one file."""

_MAX_MEMBERS = 300_000
"""Most members of a directory's tar that are read; an empty one takes 512 bytes."""


@dataclass(frozen=True, slots=True)
class _PathStat:
    """What the Engine says about a path; ``mode`` is a Go FileMode."""

    mode: int
    size: int
    link: str
    mtime_ns: int


@parse.checks_answer("a path")
def _parse_path_stat(header: str) -> _PathStat:
    body = parse.object_of(decode_json(base64.b64decode(header, validate=True)))
    if body["mode"] is None or body["size"] is None:
        raise ValueError("neither mode nor size")
    return _PathStat(
        parse.number_of(body["mode"], highest=2**32 - 1),
        parse.number_of(body["size"]),
        parse.text_of(body.get("linkTarget")),
        _nanoseconds(parse.text_of(body.get("mtime"), 64)),
    )


class EngineArchive:
    """One container's files. Fulfils :class:`tui.files.verbs.remote_save.Archive`."""

    def __init__(self, endpoint: LiveEndpoint, container_id: str) -> None:
        self._endpoint = endpoint
        self._id = container_id
        self.left_out = 0
        """Rows of the last list of changes that were not understood."""

    def _url(self) -> str:
        client = self._endpoint.client
        return f"{client.base_url}/v{client.api_version}/containers/{self._id}/archive"

    def _stat(self, path: bytes) -> _PathStat:
        with engine_errors(printable(path)):
            answer = self._endpoint.client.head(self._url(), params={"path": path}, timeout=60)
        if answer.status_code == 404:
            raise NotFound(f"{printable(path)} does not exist in the container", "dtui changes lists what is new")
        if answer.status_code != 200:
            raise LayerError(
                f"{printable(path)}: the Engine answers {answer.status_code}", "check that this is its real path"
            )
        try:
            return _parse_path_stat(answer.headers.get("X-Docker-Container-Path-Stat", ""))
        except EngineError as error:
            raise LayerError(
                f"the Engine does not answer for {printable(path)}", "check that it is a Docker Engine"
            ) from error

    def facts(self, path: bytes) -> FileFacts:
        """Return what a path resolves to, symlinks followed; raises NotFound."""
        for _ in range(_MAX_LINKS):
            path_stat = self._stat(path)
            facts = _facts_of(path, path_stat)
            if facts.kind != "symlink":
                return facts
            path = _link_target(path, path_stat.link)
        raise EditRefused(f"{printable(path)}: too many symbolic links", "check where they point: ls -l")

    def facts_of_name(self, path: bytes) -> FileFacts:
        """Return what is at a path, without following a symlink; raises NotFound."""
        return _facts_of(path, self._stat(path))

    @contextmanager
    def tree(self, path: bytes, limit: int) -> Iterator[TarNames]:
        """Yield the names below a directory with their tar headers, reading at most ``limit`` bytes of the tar."""
        with (
            engine_errors(printable(path)),
            closing(self._endpoint.client.archive(self._id, path)) as chunks,
        ):
            yield TarNames(tar.TarSource(chunks, limit), path)

    def get(self, path: bytes, limit: int) -> RemoteFile:
        """Read a regular file of at most ``limit`` bytes; raises EditRefused for anything else.

        The Engine's tar must contain this one file and nothing else. It is never unpacked.
        """
        facts = self.facts(path)
        if facts.kind != "file":
            raise EditRefused(f"{printable(path)} is a {facts.kind}, not a file", "only regular files can be read")
        if facts.size > limit:
            raise EditRefused(
                f"{printable(path)} has {human_size(facts.size)}, which is too large",
                "docker cp copies files of any size",
            )
        with (
            engine_errors(printable(path)),
            closing(self._endpoint.client.archive(self._id, facts.path)) as chunks,
        ):
            return _only_member(tar.TarSource(chunks), facts)

    def resolve(self, path: bytes) -> bytes:
        """Return the canonical path of a path whose last component need not exist.

        Raises NotFound if a directory in it does not exist.
        """
        remaining, resolved = path.strip(b"/").split(b"/"), b""
        for _ in range(_MAX_LINKS + len(remaining)):
            if not remaining or remaining == [b""]:
                return resolved or b"/"
            name, *remaining = remaining
            candidate = resolved + b"/" + name
            try:
                path_stat = self._stat(candidate)
            except NotFound:
                if remaining:
                    raise
                return candidate
            target = (
                _link_target(candidate, path_stat.link) if path_stat.link else candidate
            )  # podman reports a target for ordinary files, too
            if target != candidate:  # the Engine followed symlinks in it
                remaining, resolved = [*target.strip(b"/").split(b"/"), *remaining], b""
                continue
            if remaining and _facts_of(candidate, path_stat).kind != "directory":
                raise NotFound(f"there is no directory {printable(candidate)} in the container", "dtui tree lists them")
            resolved = candidate
        raise EditRefused(f"{printable(path)}: too many symbolic links", "check where they point: ls -l")

    def owner_of(self, directory: bytes) -> tuple[int, int]:
        """Return user and group of a directory; raises NotFound, LayerError."""
        display_path = printable(directory)
        try:
            with engine_errors(display_path), closing(self._endpoint.client.archive(self._id, directory)) as chunks:
                member = next(tar.Members(tar.TarSource(chunks, _HEADERS)), None)
        except tar.TarError as error:
            raise tar.tar_refused(error, display_path) from error
        if member is None or member.kind != tar.DIRECTORY:
            raise LayerError(
                f"the Engine's answer is not about {printable(directory)}", "it may have been changed meanwhile"
            )
        return member.uid, member.gid

    def remove(self, path: bytes) -> None:
        """Delete a file with the container's own ``rm``, since the archive API cannot; raises EditRefused."""
        display_path, hint = printable(path), "undo it on the Engine's own host"
        try:
            command = ["rm", "-f", "--", path.decode()]
        except UnicodeDecodeError as error:
            raise EditRefused(
                f"the Engine's API cannot take the name {display_path}, which is not UTF-8", hint
            ) from error
        client = self._endpoint.client
        with engine_errors(display_path):
            exec_id = parse.container_id_of(
                client.exec_create(self._id, command, user="0:0", stdout=False, stderr=False)
            )
        try:
            with engine_errors(display_path):
                client.exec_start(exec_id, detach=True)
                code = self._wait_for_exit(exec_id)
        except EngineLost:
            raise
        except EngineError as error:
            raise EditRefused(
                f"{display_path}: the container has no rm to delete it with: {error.message}", hint
            ) from error
        if code != 0:
            raise EditRefused(f"{display_path}: the container's own rm cannot delete it (exit code {code})", hint)

    def _wait_for_exit(self, exec_id: str) -> int | None:
        """Wait for a process in the container; None if it does not end in time."""
        deadline = time.monotonic() + _RM_TIMEOUT
        while time.monotonic() < deadline:
            code = parse.process_exit_code(self._endpoint.client.exec_inspect(exec_id))
            if code is not None:
                return code
            time.sleep(0.02)
        return None

    def put(self, directory: bytes, content: bytes) -> None:
        """Let the Engine unpack a tar in a directory. It refuses to replace a directory with a file."""
        params = {"path": directory, "noOverwriteDirNonDir": "true"}
        with engine_errors(printable(directory)):
            answer = self._endpoint.client.put(self._url(), params=params, data=content, timeout=120)
        if answer.status_code != 200:
            reason = " ".join(answer.content.decode("utf-8", "replace").split())[:300]
            raise EditRefused(f"the Engine refused: {printable(reason)}", "nothing was changed")

    def changes(self) -> tuple[tuple[bytes, Change], ...]:
        """Return the changes that the Engine reports, sorted by path; ``left_out`` counts malformed rows."""
        changes: dict[bytes, Change] = {}
        left_out = 0
        with engine_errors(self._id[:12]):
            url = f"/containers/{self._id}/changes"
            for row in self._endpoint.client.rows(url, parse.MAX_CHANGES, null_is_empty=True):
                try:
                    path, change = parse.change_of(row)
                except EngineError:
                    left_out += 1
                else:
                    changes[path] = change
        self.left_out = left_out
        """Rows of the last list of changes that could not be parsed."""
        return tuple(sorted(changes.items()))


class TarNames:
    """The members of a directory's tar as relative paths. Nothing is unpacked; a name that leads out is an error."""

    def __init__(self, source: tar.TarSource, path: bytes) -> None:
        self._source = source
        self._display_path = printable(path)

    @property
    def cut(self) -> bool:
        """Whether the tar was longer than the limit or had too many members."""
        return self._source.cut or self._has_too_many

    _has_too_many = False

    def __iter__(self) -> Iterator[tuple[bytes, tar.Member]]:
        try:
            members = tar.Members(self._source)
            top = next(members, None)
            prefix = len(top.name.rstrip(b"/")) if top else 0
            for count, member in enumerate(members):
                if count == _MAX_MEMBERS:
                    self._has_too_many = True
                    return
                relative_path = member.name[prefix:].strip(b"/")
                if not _is_inside(relative_path):
                    raise LayerError(f"the Engine's answer is not about {self._display_path}", "try again")
                yield relative_path, member
        except tar.TarError as error:
            if not (self.cut and isinstance(error, tar.TarEnded)):
                raise tar.tar_refused(error, self._display_path) from error


def _is_inside(path: bytes) -> bool:
    return bool(path) and not {b"", b".", b".."} & set(path.split(b"/"))


def _link_target(path: bytes, target: str) -> bytes:
    """Return where the Engine says a symlink points. It resolves the target inside the container itself."""
    try:
        target_path = os.fsencode(target)
    except UnicodeEncodeError as error:
        raise LayerError(
            f"the Engine does not answer for {printable(path)}", "check that it is a Docker Engine"
        ) from error
    if not target_path or b"\0" in target_path:
        raise LayerError(f"{printable(path)} points nowhere, according to the Engine", "check where it points: ls -l")
    return target_path if target_path.startswith(b"/") else split(path)[0].rstrip(b"/") + b"/" + target_path


def _facts_of(path: bytes, path_stat: _PathStat) -> FileFacts:
    kind = next((name for bit, name in _GO_TYPES.items() if path_stat.mode & bit), "file")
    mode = path_stat.mode & 0o777 | sum(bit for go, bit in _GO_BITS.items() if path_stat.mode & go)
    return FileFacts(path, kind, path_stat.size, mode, path_stat.mtime_ns)


def _nanoseconds(text: str) -> int:
    """Return an RFC 3339 time in nanoseconds with all its digits; 0 if it is invalid."""
    moment = parse.parse_time(text)
    fraction = re.search(r"\.([0-9]{1,9})", text)
    if moment is None:
        return 0
    return int(moment.replace(microsecond=0).timestamp()) * 10**9 + int(fraction[1].ljust(9, "0") if fraction else 0)


def _only_member(source: tar.TarSource, facts: FileFacts) -> RemoteFile:
    display_path = printable(facts.path)
    try:
        members = tar.Members(source)
        member = next(members, None)
        if member is None or member.kind != tar.REGULAR or member.size != facts.size:
            raise LayerError(
                f"the Engine's answer is not about {display_path}", "it may have been changed meanwhile; try again"
            )
        data = members.content(facts.size)
        if next(members, None) is not None:
            raise LayerError(
                f"the Engine's answer has more than {display_path}", "it may have been changed meanwhile; try again"
            )
    except tar.TarError as error:
        raise tar.tar_refused(error, display_path) from error
    second = member.mtime  # the tar has whole seconds only
    mtime_ns = facts.mtime_ns if facts.mtime_ns // 10**9 == second else second * 10**9
    return RemoteFile(facts.path, data, member.mode & 0o7777, member.uid, member.gid, mtime_ns, member.attributes)


def archive_of(endpoint: Endpoint, details: Details) -> EngineArchive | None:
    """Return the archive API of a container if it is the only way to its files, else None."""
    if isinstance(endpoint, LiveEndpoint) and details.access.kind is AccessKind.ENGINE:
        return EngineArchive(endpoint, details.container.id)
    return None
