"""An Engine that lies: it changes the answers of a real Engine, or makes up a few of its own.

Run as a program, it can belong to another user and other namespaces; the kernel then names that process as the peer.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn, UnixStreamServer
from typing import Any, ClassVar

VERSION = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Components": [{"Name": "Engine"}]}


class _Upstream(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def merged(answer: Any, patch: Any) -> Any:
    """Apply a patch to an answer: to objects key by key, to lists row by row; anything else is replaced."""
    if isinstance(answer, list) and isinstance(patch, dict):
        return [merged(row, patch) for row in answer]
    if isinstance(answer, dict) and isinstance(patch, dict):
        return answer | {key: merged(answer.get(key), value) for key, value in patch.items()}
    return patch


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream = ""
    lies: ClassVar[dict[str, Any]] = {}

    def _answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body, path = self.rfile.read(size), self.path.split("?")[0]
        patch = next((lie for pattern, lie in self.lies.items() if re.fullmatch(rf"(/v[\d.]+)?{pattern}", path)), None)
        if self.upstream:
            connection = _Upstream(self.upstream)
            connection.request(self.command, self.path, body or None, dict(self.headers))
            answer = connection.getresponse()
            status, headers, data = answer.status, answer.getheaders(), answer.read()
            connection.close()
        else:
            status, headers, data = (
                (200 if patch is not None else 404),
                [("Content-Type", "application/json")],
                b'{"message": "no"}',
            )
        if patch is not None and status == 200 and self.command == "GET":
            data = json.dumps(merged(json.loads(data), patch)).encode()
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer  # noqa: N815 - the names that http.server asks for

    def address_string(self) -> str:
        return "engine"

    def log_message(self, *_: object) -> None:
        pass


class _Unix(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


class _Tcp(ThreadingMixIn, TCPServer):
    daemon_threads = True
    allow_reuse_address = True


def serve(address: str, upstream: str, lies: dict[str, Any]) -> _Unix | _Tcp:
    """Listen on a unix socket or on a TCP port of this host (``:0`` for any), and answer in threads."""
    handler = type("Handler", (_Handler,), {"upstream": upstream, "lies": lies})
    port = address.removeprefix(":")
    server = _Tcp(("127.0.0.1", int(port)), handler) if address.startswith(":") else _Unix(address, handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as line:
        return line.connect_ex(path) == 0


@contextmanager
def lying(
    lies: dict[str, Any], upstream: Path | None = None, *, user: int = 0, unshared: tuple[str, ...] = ()
) -> Iterator[str]:
    """Yield the address of a lying Engine that runs as ``user``.

    ``unshared`` are options for unshare(1), which runs it in new namespaces.
    """
    with tempfile.TemporaryDirectory(prefix="dt-lie-", dir="/tmp") as folder:
        os.chmod(folder, 0o777)
        if upstream is not None and user:
            upstream.parent.chmod(0o755)
            upstream.chmod(0o666)
        path = f"{folder}/d.sock"
        command = [sys.executable, os.path.abspath(__file__), path, str(upstream or ""), json.dumps(lies)]
        if user:
            command = ["/usr/bin/setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]
        if unshared:
            command = [shutil.which("unshare") or "unshare", *unshared, *command]
        process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"})
        try:
            from tests.support.waiting import until  # not at the top: as a program this module is in no package

            until(lambda: _listens(path) or process.poll() is not None, "the lying engine does not come up")
            assert process.poll() is None
            os.chmod(path, 0o666)
            yield f"unix://{path}"
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
    threading.Event().wait()
