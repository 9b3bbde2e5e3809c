"""How answers are read from the wire: bounded in time and size, and closable from any thread.

``http.client`` and ``urllib3`` trust the server: a chunk of size -1 is read until memory is full, a byte per second
keeps any timeout from passing, and nobody counts trailers. Every byte of an answer passes :class:`_Reader`, which
refuses such lengths, and :class:`_Wire`, which enforces a deadline for the whole answer.
"""

from __future__ import annotations

import http.client
import io
import queue
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import requests.adapters
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from tui.linux.descriptors import is_readable

_MAX_LINE = 64 << 10
"""Longest line in bytes of a header or of a chunk size, as in ``http.client``."""

_MAX_LINES = 1_000
"""Most lines in a row without a byte of the body between them: headers have at most a hundred, trailers no limit."""

PIECE = 64 << 10
"""Bytes of a body that are read at once."""


class AnswerRefused(OSError):
    """An answer of the Engine's is rejected; ``hint`` says what works instead."""

    def __init__(self, message: str, hint: str = "check that it is a Docker or podman Engine") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class AnswerDeadline:
    """How long a whole answer may take. Every ``rate`` bytes received add a second."""

    seconds: float | None
    rate: int = 0

    def remaining(self, started_at: float, received: int) -> float | None:
        """Return the seconds left, None for an answer without a limit."""
        if self.seconds is None:
            return None
        return self.seconds + (received / self.rate if self.rate else 0) - (time.monotonic() - started_at)


class Closable(Protocol):
    """A connection that another thread can end."""

    def shutdown(self, how: int, /) -> None:
        """End it, which wakes whoever waits on it."""
        ...


class Connections:
    """The open connections of one client. Closing them wakes every thread that waits on one."""

    def __init__(self) -> None:
        self._open: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self.deadline = AnswerDeadline(None)
        """The limit for the next answer. A client asks one question at a time."""
        self.writing = False
        """True while a file is being sent, which closing would leave half written."""

    def add(self, connection: Closable) -> None:
        """Register a connection, even one still being made; raises AnswerRefused after the end."""
        with self._lock:
            if not self._closed.is_set():
                self._open.add(connection)
                return
        _shut_down(connection)
        raise AnswerRefused("the connection was closed", "open it again")

    def close(self) -> None:
        """End all connections and refuse new ones. Never blocks; idempotent. A file being sent is finished first."""
        with self._lock:
            self._closed.set()
            connections = [] if self.writing else list(self._open)
        for connection in connections:
            _shut_down(connection)

    def dial(self, host: str, port: int, seconds: float | None) -> socket.socket:
        """Return a TCP connection. A name server or host that never answers cannot hold up :meth:`close`."""
        error: OSError = AnswerRefused(f"{host} has no address", "check the name")
        for family, kind, protocol, _, address in self._addresses(host, port):
            connection = socket.socket(family, kind, protocol)
            try:
                self.add(connection)
                connection.settimeout(seconds)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.connect(address)
            except OSError as connect_error:
                connection.close()
                error = connect_error
            else:
                return connection
        raise error

    def _addresses(self, host: str, port: int) -> list[Any]:
        with suppress(socket.gaierror):
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        answers: queue.Queue[list[Any] | OSError] = queue.Queue()

        def ask() -> None:
            try:
                answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except OSError as error:
                answers.put(error)
            except UnicodeError:
                answers.put(AnswerRefused(f"{host} is not a host name", "check the name"))

        threading.Thread(target=ask, daemon=True, name=f"address of {host}").start()
        while not self._closed.is_set():
            with suppress(queue.Empty):
                answer = answers.get(timeout=0.1)
                if isinstance(answer, OSError):
                    raise answer
                return answer
        raise AnswerRefused("the connection was closed", "open it again")


def _shut_down(connection: Any) -> None:
    with suppress(OSError):  # it may have ended by itself
        if isinstance(
            connection, ssl.SSLSocket
        ):  # its own shutdown would discard the TLS session that another thread is reading from
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
        else:
            connection.shutdown(socket.SHUT_RDWR)


class _Wire(io.RawIOBase):
    """The raw bytes of one answer; every wait for more ends at the deadline of the whole."""

    def __init__(self, raw: io.RawIOBase, connection: Any, deadline: AnswerDeadline) -> None:
        self._raw = raw
        self._sock = connection
        self._deadline = deadline
        self._started_at = time.monotonic()
        self._received = 0

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int | None:
        remaining_seconds = self._deadline.remaining(self._started_at, self._received)
        if remaining_seconds is not None and remaining_seconds <= 0:
            raise TimeoutError("the answer takes too long")
        if isinstance(self._raw, socket.SocketIO):
            self._sock.settimeout(remaining_seconds)
        elif remaining_seconds is not None and not is_readable(self._raw.fileno(), remaining_seconds):
            raise TimeoutError("the answer takes too long")
        count = self._raw.readinto(buffer)
        self._received += count or 0
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._raw.close()


class _Reader(io.BufferedReader):
    """A buffered reader that refuses lengths from the server which would fill memory."""

    _lines = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            raise AnswerRefused("the answer has a chunk with an invalid size")
        self._lines = 0
        return super().read(size)

    def read1(self, size: int = -1, /) -> bytes:
        if size < 0:
            raise AnswerRefused("the answer has a chunk with an invalid size")
        self._lines = 0
        return super().read1(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        self._lines += 1
        if self._lines > _MAX_LINES:
            raise AnswerRefused("the answer has too many header lines")
        limit = _MAX_LINE + 1 if size is None or size < 0 else size
        line = super().readline(limit)
        if len(line) > _MAX_LINE:
            raise AnswerRefused("the answer has a header line that is too long")
        return line


class _Answer(http.client.HTTPResponse):
    """An answer that is read through :class:`_Reader`."""

    def __init__(self, connections: Connections, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        raw = self.fp.detach()
        self.fp = _Reader(_Wire(raw, sock, connections.deadline))


def answer_class(connections: Connections) -> Any:
    """Return the response class for a connection of ``http.client``."""
    return partial(_Answer, connections)


class UnixConnection(HTTPConnection):
    """A connection to a unix socket."""

    def __init__(self, connections: Connections, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self.response_class = answer_class(connections)
        self._connections = connections
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self._connections.add(self.sock)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _TcpConnection(HTTPConnection):
    def __init__(self, connections: Connections, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.response_class = answer_class(connections)
        self._connections = connections

    def _new_conn(self) -> socket.socket:
        return self._connections.dial(self.host, self.port, self.timeout)


class _TlsConnection(HTTPSConnection):
    def __init__(self, connections: Connections, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.response_class = answer_class(connections)
        self._connections = connections
        self._duplicate: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        plain = self._connections.dial(self.host, self.port, self.timeout)
        self._duplicate = plain.dup()  # TLS takes over the socket; this duplicate can end a handshake that hangs
        self._connections.add(self._duplicate)
        return plain

    def connect(self) -> None:
        try:
            super().connect()
        finally:
            if self._duplicate:
                self._duplicate.close()
        self._connections.add(self.sock)


class _TcpPool(HTTPConnectionPool):
    def __init__(self, connections: Connections, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ConnectionCls: Any = partial(_TcpConnection, connections)


class _TlsPool(HTTPSConnectionPool):
    def __init__(self, connections: Connections, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ConnectionCls: Any = partial(_TlsConnection, connections)


class TcpAdapter(requests.adapters.HTTPAdapter):
    """Connections over TCP, with or without TLS, straight to the host named."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **options)
        pools: dict[str, Any] = {
            "http": partial(_TcpPool, self._connections),
            "https": partial(_TlsPool, self._connections),
        }
        self.poolmanager.pool_classes_by_scheme = pools


class OwnPool(HTTPConnectionPool):
    """A pool whose connections are made by a callback: unix sockets and ssh."""

    def __init__(self, make: Callable[[], HTTPConnection], timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._make = make

    def _new_conn(self) -> Any:
        return self._make()


def pieces(answer: Any) -> Iterator[bytes]:
    """Yield the body of an answer as it arrives, never decompressed."""
    raw: urllib3.HTTPResponse = answer.raw
    while data := raw.read1(PIECE, decode_content=False):
        yield data


def body_of(answer: Any, limit: int) -> bytes:
    """Return a whole body; raises AnswerRefused beyond ``limit`` bytes."""
    body = bytearray()
    for piece in pieces(answer):
        body += piece
        if len(body) > limit:
            answer.close()
            raise AnswerRefused(f"the answer is longer than {limit:,} bytes")
    return bytes(body)


def beginning_of(answer: Any, limit: int) -> bytes:
    """Return the first bytes of a body that is only displayed."""
    body = bytearray()
    for piece in pieces(answer):
        body += piece
        if len(body) >= limit:
            answer.close()
            break
    return bytes(body[:limit])
