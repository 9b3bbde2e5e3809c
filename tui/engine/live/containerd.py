"""Two calls to containerd: where a snapshotter keeps its files, and what a snapshot is made of.

gRPC is written by hand on top of an HTTP/2 library. Two calls with three string fields do not justify grpcio, a
compiled dependency of several megabytes, with generated code. Field numbers: containerd
api/services/{snapshots,introspection}/v1 and api/types/mount.proto, measured on 2.1.9.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tui.core.errors import EngineError, EngineLost, NotFound, NotReachable
from tui.core.text import printable
from tui.engine.live.trust import refuse_stranger

_TIMEOUT = 5.0
"""Time limit for an answer, and for each wait within it."""
_MAX_ANSWER = 4 << 20
"""Largest answer in bytes; a list of plugins has some thousand."""

_MOUNTS = "/containerd.services.snapshots.v1.Snapshots/Mounts"
_PLUGINS = "/containerd.services.introspection.v1.Introspection/Plugins"
_NOT_FOUND = "5"
"""gRPC status code for something that does not exist (google.rpc.Code)."""


@dataclass(frozen=True, slots=True)
class SnapshotMount:
    """What to mount to see a snapshot: type, source and options, as for mount(8)."""

    type: str
    source: str
    options: tuple[str, ...]

    @property
    def writable(self) -> Path | None:
        """The directory of the layer's own files, None if it is not a directory."""
        for option in self.options:
            if option.startswith("upperdir="):
                return Path(option.removeprefix("upperdir="))
        return Path(self.source) if self.type == "bind" else None


def mounts(address: str, namespace: str, snapshotter: str, key: str) -> tuple[SnapshotMount, ...]:
    """Ask what an active snapshot is made of; raises NotFound, EngineLost, EngineError, NotReachable."""
    answer = _call(address, namespace, _MOUNTS, _field(1, snapshotter) + _field(2, key))
    snapshot_mounts = []
    for number, raw in _fields(answer):
        if number == 1 and isinstance(raw, bytes):
            fields = [(n, v.decode("utf-8", "replace")) for n, v in _fields(raw) if isinstance(v, bytes)]
            single = dict(fields)
            options = tuple(value for number, value in fields if number == 4)
            snapshot_mounts.append(SnapshotMount(single.get(1, ""), single.get(2, ""), options))
    return tuple(snapshot_mounts)


def snapshotter_root(address: str, namespace: str, snapshotter: str) -> Path:
    """Ask for the directory of a snapshotter; raises NotFound if containerd does not export it."""
    plugin_filter = f"type==io.containerd.snapshotter.v1,id=={snapshotter}"
    answer = _call(address, namespace, _PLUGINS, _field(1, plugin_filter))
    for number, raw in _fields(answer):
        if number != 1 or not isinstance(raw, bytes):
            continue
        for inner, pair in _fields(raw):
            if inner == 5 and isinstance(pair, bytes):
                entry = {n: v.decode("utf-8", "replace") for n, v in _fields(pair) if isinstance(v, bytes)}
                if entry.get(1) == "root":
                    return Path(entry.get(2, ""))
    raise NotFound(f"containerd exports no root of {printable(snapshotter)}", "ctr plugins ls -d shows what it exports")


# protobuf ----------------------------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def _field(number: int, text: str) -> bytes:
    data = text.encode()
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _read_varint(data: bytes, offset: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70 and offset < len(data):
        byte = data[offset]
        offset += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, offset
        shift += 7
    raise EngineError("containerd's answer is cut short", "try again")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (field number, value) of a protobuf message; raises EngineError if it is invalid."""
    offset = 0
    while offset < len(data):
        key, offset = _read_varint(data, offset)
        size, kind = 0, key & 7
        if kind == 0:
            value, offset = _read_varint(data, offset)
            yield key >> 3, value
            continue
        if kind == 2:
            size, offset = _read_varint(data, offset)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise EngineError("containerd's answer is not a message", "check that this is its socket")
        if offset + size > len(data):
            raise EngineError("containerd's answer is cut short", "try again")
        yield key >> 3, data[offset : offset + size]
        offset += size


# HTTP/2 ------------------------------------------------------------------------------------------------------


def _call(address: str, namespace: str, method: str, message: bytes) -> bytes:
    """Make one unary gRPC call and return the message in the answer."""
    try:
        with closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(_TIMEOUT)
            connection.connect(address.removeprefix("unix://"))
            refuse_stranger(connection, address)
            status, text, data = _exchange(connection, namespace, method, message)
    except PermissionError as error:
        raise NotReachable(f"{printable(address)}: permission denied", "run dtui as root") from error
    except (OSError, h2.exceptions.ProtocolError) as error:
        raise EngineLost(f"containerd at {printable(address)}: {error}", "check that it is running") from error
    if status == _NOT_FOUND:
        raise NotFound(f"containerd: {printable(text)}", "the container was removed meanwhile")
    if status != "0" or len(data) < 5:
        raise EngineError(f"containerd: {printable(text or 'no answer')}", "the Engine's own log may say more")
    return data[5 : 5 + struct.unpack(">I", data[1:5])[0]]


def _exchange(wire: socket.socket, namespace: str, method: str, message: bytes) -> tuple[str, str, bytes]:
    """Send one request; return gRPC status, its text, and the body."""
    connection = h2.connection.H2Connection(config=h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    stream = connection.get_next_available_stream_id()
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("containerd-namespace", namespace),
    ]
    connection.send_headers(stream, headers)
    connection.send_data(stream, b"\0" + struct.pack(">I", len(message)) + message, end_stream=True)
    wire.sendall(connection.data_to_send())
    response_headers: dict[str, str] = {}
    body = bytearray()
    deadline = time.monotonic() + _TIMEOUT
    while chunk := wire.recv(65536):
        if time.monotonic() > deadline:
            raise EngineLost("containerd's answer takes too long", "check that this is its socket")
        for event in connection.receive_data(chunk):
            match event:
                case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                    response_headers.update((str(name), str(value)) for name, value in event.headers or ())
                case h2.events.DataReceived():
                    body += event.data or b""
                    if len(body) > _MAX_ANSWER:
                        raise EngineError("containerd's answer is too long", "check that this is its socket")
                    connection.acknowledge_received_data(event.flow_controlled_length or 0, stream)
                case h2.events.StreamEnded():
                    return (
                        response_headers.get("grpc-status", "?"),
                        response_headers.get("grpc-message", ""),
                        bytes(body),
                    )
                case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                    raise EngineLost("containerd ended the connection", "try again")
        wire.sendall(connection.data_to_send())
    raise EngineLost("containerd ended the connection", "try again")
