"""An Engine that sends any bytes that a test scripts, endlessly if need be, over a unix socket or TCP.

Requests that are not scripted are answered like an Engine with one exited container, ``web``.
"""

from __future__ import annotations

import base64
import io
import json
import socket
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

ID = "ab" * 32
MOTD = b"hello\n"

Answer = bytes | Callable[[], Iterable[bytes]]


def http(body: bytes | str, status: str = "200 OK", **headers: str) -> bytes:
    """Return an answer with a Content-Length."""
    data = body.encode() if isinstance(body, str) else body
    return head(status, Content_Length=str(len(data)), **headers) + data


def head(status: str = "200 OK", **headers: str) -> bytes:
    """Return the head of an answer; underscores in header names become hyphens."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def in_chunks(pieces: Iterable[bytes], **headers: str) -> Iterator[bytes]:
    """Yield an answer in chunked encoding."""
    yield head(Transfer_Encoding="chunked", **headers)
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def endless(piece: bytes) -> Iterator[bytes]:
    """Yield the same bytes forever."""
    while True:
        yield piece


def stat_header(kind: int = 0, size: int = len(MOTD), **more: Any) -> str:
    """Return the header that describes a path; ``kind`` has the type bits of Go's FileMode."""
    told = {"name": "x", "size": size, "mode": kind | 0o644, "mtime": "2026-01-01T00:00:00Z", "linkTarget": "", **more}
    return base64.b64encode(json.dumps(told).encode()).decode()


def tar(name: str = "motd", data: bytes = MOTD) -> bytes:
    """Return a tar archive with one file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def row(**more: Any) -> dict[str, Any]:
    """Return a row of the container list."""
    return {
        "Id": ID,
        "Names": ["/web"],
        "Image": "shop/web:1",
        "State": "exited",
        "Status": "Exited (0) 2 minutes ago",
        "Created": 1_700_000_000,
        "Labels": {},
        "Ports": [],
        **more,
    }


def inspected(**more: Any) -> dict[str, Any]:
    """Return the answer to an inspect request."""
    return {
        "Id": ID,
        "Name": "/web",
        "Created": "2026-01-01T00:00:00Z",
        "Path": "true",
        "Args": [],
        "State": {"Status": "exited", "Pid": 0, "ExitCode": 0},
        "Config": {"Image": "shop/web:1", "Tty": False},
        "HostConfig": {},
        "Mounts": [],
        "GraphDriver": {"Name": "overlay2", "Data": None},
        **more,
    }


def silence() -> Iterator[bytes]:
    """Yield the head of a stream, then nothing for two minutes."""
    yield head(Transfer_Encoding="chunked")
    threading.Event().wait(120)


HEALTHY: Mapping[str, Answer] = {
    "GET /events": silence,
    "GET /version": http(json.dumps({"Version": "28.0.0", "ApiVersion": "1.41", "Components": []})),
    "GET /info": http(json.dumps({"Driver": "overlay2", "DriverStatus": [], "DockerRootDir": "/var/lib/docker"})),
    "GET /containers/json": http(json.dumps([row()])),
    f"GET /containers/{ID}/json": http(json.dumps(inspected())),
    f"GET /containers/{ID}/changes": http(json.dumps([{"Path": "/etc/motd", "Kind": 0}])),
    f"HEAD /containers/{ID}/archive": head(X_Docker_Container_Path_Stat=stat_header()),
    f"GET /containers/{ID}/archive": http(tar()),
    f"PUT /containers/{ID}/archive": http(b""),
}


class HostileEngine:
    """Serves as a context manager; records ``requests`` and ``headers``, and counts the bytes ``sent``."""

    def __init__(self, script: Mapping[str, Answer] | None = None, path: Path | None = None) -> None:
        self.script: dict[str, Answer] = {**HEALTHY, **(script or {})}
        self.requests: list[str] = []
        self.headers: list[str] = []
        self.sent = 0
        self._listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self._listener.bind(str(path) if path else ("127.0.0.1", 0))
        self._listener.listen(64)
        self.address = f"unix://{path}" if path else f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lines: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in self._lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            self._lines.append(line)
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        reader = line.makefile("rb")
        with suppress(OSError, ValueError):
            while first := reader.readline().decode():
                method, target, _ = first.split()
                headers = [held.decode() for held in iter(reader.readline, b"\r\n") if held]
                self.headers += headers
                length = next((int(held.split(":")[1]) for held in headers if held.lower().startswith("content-l")), 0)
                reader.read(length)
                path = "/" + target.split("?")[0].split("/", 2)[2] if target.startswith("/v1.") else target
                self.requests.append(f"{method} {path}")
                if not self._answer(line, self.script.get(f"{method} {path}", http("{}", "404 Not Found"))):
                    return

    def _answer(self, line: socket.socket, answer: Answer) -> bool:
        """Send an answer; return whether the connection stays open."""
        for piece in [answer] if isinstance(answer, bytes) else answer():
            line.sendall(piece)
            self.sent += len(piece)
        if isinstance(answer, bytes):
            return True
        line.shutdown(socket.SHUT_RDWR)
        return False
