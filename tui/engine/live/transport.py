"""How an Engine's answers come off the wire: never for ever, never without end, and closable from any thread.

``http.client`` and ``urllib3`` trust whoever answers: a chunk of size -1 is read until memory is full, a byte a second
keeps a timeout from ever passing, and nobody counts trailers. Every byte of an answer passes :class:`_Reader`, which
refuses such a length, and :class:`_Wire`, which ends a wait at a deadline for the whole answer.
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

_LINE = 64 << 10
"""Bytes of one line of a header or of a chunk's size, as in ``http.client``."""

_LINES = 1_000
"""Lines in a row without a byte of the body between them: headers are at most a hundred, trailers have no limit."""

PIECE = 64 << 10
"""Bytes of a body that are read at once."""


class AnswerRefused(OSError):
    """What the Engine sends is not taken; ``hint`` says what works instead."""

    def __init__(self, message: str, hint: str = "is that a Docker or podman Engine?") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class AnswerDeadline:
    """How long an answer may take as a whole; ``rate`` bytes received buy another second."""

    seconds: float | None
    rate: int = 0

    def remaining(self, began: float, received: int) -> float | None:
        """Return the seconds that remain; None for an answer that may take for ever."""
        if self.seconds is None:
            return None
        return self.seconds + (received / self.rate if self.rate else 0) - (time.monotonic() - began)


class Closable(Protocol):
    """A connection that another thread can end."""

    def shutdown(self, how: int, /) -> None:
        """End it, so that whoever waits on it wakes."""
        ...


class Connections:
    """The open connections of one client: closing them wakes every thread that waits on one."""

    def __init__(self) -> None:
        self._open: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self.patience = AnswerDeadline(None)
        """What the next answer may take; a client asks one question at a time."""
        self.writing = False
        """Whether a file is on its way to the Engine, which would be left half written."""

    def add(self, connection: Closable) -> None:
        """Take in a connection, also one that is only being made; raises AnswerRefused after the end."""
        with self._lock:
            if not self._closed.is_set():
                self._open.add(connection)
                return
        _shut(connection)
        raise AnswerRefused("the connection was closed", "open it again")

    def close(self) -> None:
        """End all connections and refuse new ones; never blocks, idempotent. A file under way is sent to its end."""
        with self._lock:
            self._closed.set()
            connections = [] if self.writing else list(self._open)
        for connection in connections:
            _shut(connection)

    def dial(self, host: str, port: int, seconds: float | None) -> socket.socket:
        """Return a TCP connection; a name server or host that never answers does not keep :meth:`close` waiting."""
        error: OSError = AnswerRefused(f"{host} has no address", "check the name")
        for family, kind, protocol, _, address in self._addresses(host, port):
            connection = socket.socket(family, kind, protocol)
            try:
                self.add(connection)
                connection.settimeout(seconds)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.connect(address)
            except OSError as failed:
                connection.close()
                error = failed
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
                answers.put(AnswerRefused(f"{host} is no host name", "check the name"))

        threading.Thread(target=ask, daemon=True, name=f"address of {host}").start()
        while not self._closed.is_set():
            with suppress(queue.Empty):
                answer = answers.get(timeout=0.1)
                if isinstance(answer, OSError):
                    raise answer
                return answer
        raise AnswerRefused("the connection was closed", "open it again")


def _shut(connection: Any) -> None:
    with suppress(OSError):  # it may have ended by itself
        if isinstance(connection, ssl.SSLSocket):  # its own way would pull the session away under its reader
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
        else:
            connection.shutdown(socket.SHUT_RDWR)


class _Wire(io.RawIOBase):
    """The raw bytes of one answer; each wait for more ends at the deadline of the whole."""

    def __init__(self, raw: io.RawIOBase, connection: Any, patience: AnswerDeadline) -> None:
        self._raw = raw
        self._sock = connection
        self._patience = patience
        self._began = time.monotonic()
        self._received = 0

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int | None:
        remaining_seconds = self._patience.remaining(self._began, self._received)
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
    """A buffered reader that takes no length from a stranger which would fill memory."""

    _lines = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            raise AnswerRefused("the answer has a part of no size")
        self._lines = 0
        return super().read(size)

    def read1(self, size: int = -1, /) -> bytes:
        if size < 0:
            raise AnswerRefused("the answer has a part of no size")
        self._lines = 0
        return super().read1(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        self._lines += 1
        if self._lines > _LINES:
            raise AnswerRefused("the answer has headers without end")
        limit = _LINE + 1 if size is None or size < 0 else size
        line = super().readline(limit)
        if len(line) > _LINE:
            raise AnswerRefused("the answer has a header line without end")
        return line


class _Answer(http.client.HTTPResponse):
    """An answer that is read through :class:`_Reader`."""

    def __init__(self, connections: Connections, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        raw = self.fp.detach()
        self.fp = _Reader(_Wire(raw, sock, connections.patience))


def answer_class(connections: Connections) -> Any:
    """Return what a connection of ``http.client`` reads its answers with."""
    return partial(_Answer, connections)


class UnixConnection(HTTPConnection):
    """A connection to a unix socket."""

    def __init__(self, connections: Connections, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self.response_class = answer_class(connections)
        self._connections = connections
        self._path = path

    def connect(self) -> None:
        """Connect."""
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
        self._spare: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        plain = self._connections.dial(self.host, self.port, self.timeout)
        self._spare = plain.dup()  # TLS takes the socket away; this one can end a handshake that hangs
        self._connections.add(self._spare)
        return plain

    def connect(self) -> None:
        try:
            super().connect()
        finally:
            if self._spare:
                self._spare.close()
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
    """Connections over TCP, with or without TLS, straight to the host that was named."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        """Make the pools of our own connections."""
        super().init_poolmanager(connections, maxsize, block, **options)
        pools: dict[str, Any] = {
            "http": partial(_TcpPool, self._connections),
            "https": partial(_TlsPool, self._connections),
        }
        self.poolmanager.pool_classes_by_scheme = pools


class OwnPool(HTTPConnectionPool):
    """A pool whose connections somebody else makes: of unix sockets and of ssh."""

    def __init__(self, make: Callable[[], HTTPConnection], timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._make = make

    def _new_conn(self) -> Any:
        return self._make()


def pieces(answer: Any) -> Iterator[bytes]:
    """Yield the body of an answer of requests as it comes, so many bytes at once, never decompressed."""
    raw: urllib3.HTTPResponse = answer.raw
    while data := raw.read1(PIECE, decode_content=False):
        yield data


def body_of(answer: Any, limit: int) -> bytes:
    """Return a whole body; raises AnswerRefused where it is longer than ``limit`` bytes."""
    body = bytearray()
    for piece in pieces(answer):
        body += piece
        if len(body) > limit:
            answer.close()
            raise AnswerRefused(f"the answer is longer than {limit:,} bytes")
    return bytes(body)


def beginning_of(answer: Any, limit: int) -> bytes:
    """Return the first bytes of a body that is only shown."""
    body = bytearray()
    for piece in pieces(answer):
        body += piece
        if len(body) >= limit:
            answer.close()
            break
    return bytes(body[:limit])
