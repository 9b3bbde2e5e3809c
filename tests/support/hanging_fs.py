"""A FUSE file system that hangs at a chosen call.

``hanging_fs.py PID PATH UNTIL`` mounts it at PATH in the mount namespace of PID, prints a line and keeps running.
``UNTIL`` is ``never`` (it does not even answer the handshake), ``mounted`` (it answers only the handshake), ``opened``
(``PATH/file`` can be looked up and opened, but neither read nor changed), or the name of the only call that hangs, such
as ``unlink``; small files and directories can then be created, read and changed.

A process that waits for an unanswered call stays in the kernel, even after kill -9, until the file system is killed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_CODES = {  # linux/fuse.h
    "lookup": 1,
    "getattr": 3,
    "setattr": 4,
    "mkdir": 9,
    "unlink": 10,
    "rmdir": 11,
    "rename": 12,
    "open": 14,
    "read": 15,
    "write": 16,
    "statfs": 17,
    "release": 18,
    "fsync": 20,
    "setxattr": 21,
    "getxattr": 22,
    "listxattr": 23,
    "removexattr": 24,
    "flush": 25,
    "init": 26,
    "opendir": 27,
    "readdir": 28,
    "releasedir": 29,
    "fsyncdir": 30,
    "create": 35,
    "rename2": 45,
}
_NAMES = {code: name for name, code in _CODES.items()}
_UNANSWERED = (2, 36, 42)  # forget, interrupt, batch_forget
_OPENED = ("init", "lookup", "getattr", "open", "opendir", "statfs", "getxattr", "listxattr")
_SIZE_GIVEN = 1 << 3  # FATTR_SIZE
_MODE_GIVEN = 1 << 0  # FATTR_MODE
_ROOT = 1
_OPENED_ANSWER = struct.pack("QII", 1, 0, 0)
_FIXED: dict[str, bytes | int] = {
    "init": struct.pack("IIIIHHIIHHI28x", 7, 31, 4096, 0, 12, 9, 4096, 1, 0, 0, 0),
    "open": _OPENED_ANSWER,
    "opendir": _OPENED_ANSWER,
    "statfs": struct.pack("QQQQQIIII24x", 1 << 30, 1 << 29, 1 << 29, 1 << 20, 1 << 19, 4096, 255, 4096, 0),
    **dict.fromkeys(("flush", "release", "releasedir", "fsync", "fsyncdir"), b""),
    **dict.fromkeys(("setxattr", "getxattr", "listxattr", "removexattr"), errno.EOPNOTSUPP),
}


@contextmanager
def hanging(pid: int, path: str, until: str = "mounted") -> Iterator[subprocess.Popen[bytes]]:
    """Mount such a file system in the mount namespace of a process; yield its server process."""
    arguments = [sys.executable, __file__, str(pid), path, until]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"mounted\n"
            yield server
        finally:
            server.kill()
            if pid == os.getpid():
                subprocess.run(["/bin/umount", "-l", path], check=True)


class _Files:
    """Files and directories in memory, by node number."""

    def __init__(self) -> None:
        self.modes = {_ROOT: 0o40755, 2: 0o100644}
        self.contents: dict[int, bytes] = {2: b"text\n"}
        self.names: dict[int, dict[bytes, int]] = {_ROOT: {b"file": 2}}

    def make(self, above: int, name: bytes, mode: int) -> int:
        """Create a file or directory and return its node number."""
        node = max(self.modes) + 1
        self.modes[node] = mode
        if stat.S_ISDIR(mode):
            self.names[node] = {}
        else:
            self.contents[node] = b""
        self.names[above][name] = node
        return node

    def attributes(self, node: int) -> bytes:
        size = len(self.contents.get(node, b""))
        return struct.pack("QQQQQQIIIIIIIIII", node, size, 8, 0, 0, 0, 0, 0, 0, self.modes[node], 1, 0, 0, 0, 4096, 0)

    def entry(self, node: int) -> bytes:
        return struct.pack("QQQQII", node, 1, 60, 60, 0, 0) + self.attributes(node)

    def listing(self, node: int, start: int) -> bytes:
        listed = b""
        for number, (name, child) in enumerate(self.names[node].items(), 1):
            if number > start:
                one = struct.pack("QQII", child, number, len(name), self.modes[child] >> 12) + name
                listed += one + bytes(-len(one) % 8)
        return listed

    def set(self, node: int, body: bytes) -> bytes:
        valid, _, _, size = struct.unpack_from("IIQQ", body)
        (mode,) = struct.unpack_from("I", body, 68)
        if valid & _SIZE_GIVEN:
            self.contents[node] = self.contents[node][:size].ljust(size, b"\0")
        if valid & _MODE_GIVEN:
            self.modes[node] = mode
        return struct.pack("QII", 60, 0, 0) + self.attributes(node)

    def rename(self, node: int, body: bytes, head: int) -> bytes:
        (target,) = struct.unpack_from("Q", body)
        old, new = body[head:].split(b"\0")[:2]
        self.names[target][new] = self.names[node].pop(old)
        return b""

    def write(self, node: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("QQI", body)
        data, old = body[40 : 40 + size], self.contents[node].ljust(offset, b"\0")
        self.contents[node] = old[:offset] + data + old[offset + size :]
        return struct.pack("II", size, 0)

    def look_up(self, node: int, body: bytes) -> bytes | int:
        child = self.names[node].get(_name(body))
        return self.entry(child) if child else errno.ENOENT

    def create(self, node: int, body: bytes) -> bytes:
        made = self.make(node, _name(body[16:]), 0o100644)
        return self.entry(made) + _OPENED_ANSWER

    def remove(self, node: int, body: bytes) -> bytes | int:
        return b"" if self.names[node].pop(_name(body), None) else errno.ENOENT

    def read(self, node: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("QQI", body)
        return self.contents[node][offset : offset + size]

    def answer(self, call: str, node: int, body: bytes) -> bytes | int:
        """Return the answer to a call, or an errno."""
        if call in _FIXED:
            return _FIXED[call]
        answers: dict[str, Callable[[], bytes | int]] = {
            "lookup": lambda: self.look_up(node, body),
            "getattr": lambda: struct.pack("QII", 60, 0, 0) + self.attributes(node),
            "setattr": lambda: self.set(node, body),
            "mkdir": lambda: self.entry(self.make(node, _name(body[8:]), 0o40755)),
            "create": lambda: self.create(node, body),
            "unlink": lambda: self.remove(node, body),
            "rmdir": lambda: self.remove(node, body),
            "rename": lambda: self.rename(node, body, 8),
            "rename2": lambda: self.rename(node, body, 16),
            "read": lambda: self.read(node, body),
            "readdir": lambda: self.listing(node, struct.unpack_from("QQ", body)[1]),
            "write": lambda: self.write(node, body),
        }
        return answers[call]() if call in answers else errno.ENOSYS


def _name(body: bytes) -> bytes:
    return body.split(b"\0", 1)[0]


def _is_answered(call: str, until: str) -> bool:
    if until in ("mounted", "opened"):
        return call in (_OPENED if until == "opened" else ("init",))
    return call != until


def _serve(pid: int, path: str, until: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR)
    space = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    if libc.setns(space, 0):
        raise OSError(ctypes.get_errno(), "setns")
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    if libc.mount(b"stuck", path.encode(), b"fuse", 0, options.encode()):
        raise OSError(ctypes.get_errno(), "mount")
    os.write(1, b"mounted\n")
    while until == "never":
        signal.pause()
    files = _Files()
    while True:
        request = os.read(device, 1 << 17)
        _, code, unique, node = struct.unpack_from("IIQQ", request)
        call = _NAMES.get(code, "")
        if code in _UNANSWERED or not _is_answered(call, until):
            continue
        answer = files.answer(call, node, request[40:])
        if isinstance(answer, int):
            os.write(device, struct.pack("IiQ", 16, -answer, unique))
        else:
            os.write(device, struct.pack("IiQ", 16 + len(answer), 0, unique) + answer)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), sys.argv[2], sys.argv[3])
