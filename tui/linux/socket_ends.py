"""Find the processes at the other end of a connected unix socket, which need not be the one that listened
(sock_diag(7))."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

_SOCK_DIAG = 4  # linux/netlink.h
_BY_FAMILY = 20  # linux/sock_diag.h
_REQUEST, _ERROR = 1, 2  # linux/netlink.h
_SHOW_PEER, _PEER = 4, 2  # linux/unix_diag.h
_HEADER = struct.Struct("=IHHII")
_QUERY = struct.Struct("=BBHIIIII")
_MESSAGE = 16
"""Size of struct unix_diag_msg, after which the attributes follow."""


def peer_inode(inode: int) -> int:
    """Return the inode of the socket at the other end, 0 if nobody has accepted the connection; raises OSError."""
    all_bits = 0xFFFFFFFF  # any state, and any cookie
    query = _QUERY.pack(socket.AF_UNIX, 0, 0, all_bits, inode, _SHOW_PEER, all_bits, all_bits)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as kernel:
        kernel.send(_HEADER.pack(_HEADER.size + len(query), _BY_FAMILY, _REQUEST, 1, 0) + query)
        answer = kernel.recv(8192)
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    if kind == _ERROR:
        number = -struct.unpack_from("=i", answer, _HEADER.size)[0]
        raise OSError(number, os.strerror(number))
    offset = _HEADER.size + _MESSAGE
    while offset + 4 <= len(answer):
        length, attribute = struct.unpack_from("=HH", answer, offset)
        if attribute == _PEER and length == 8:
            return int(struct.unpack_from("=I", answer, offset + 4)[0])
        offset += max(4, length + 3 & ~3)
    return 0


def holders_of(inode: int) -> Iterator[int]:
    """Yield the processes that have a socket open, except those that we may not look at."""
    for name in os.listdir("/proc"):
        if name.isdigit() and has_open(int(name), inode):
            yield int(name)


def has_open(pid: int, inode: int) -> bool:
    """Return whether a process has a socket open."""
    socket_link = f"socket:[{inode}]"
    directory = f"/proc/{pid}/fd"
    try:
        numbers = os.listdir(directory)
    except OSError:
        return False
    return any(_target(f"{directory}/{number}") == socket_link for number in numbers)


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:  # closed meanwhile
        return ""
