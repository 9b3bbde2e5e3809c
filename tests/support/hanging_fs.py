"""A FUSE file system in a container that answers as far as it was told to, and then never again.

A program of its own: ``hanging_fs.py PID PATH UNTIL`` mounts it at PATH in the mount namespace of PID, prints a line
and stays. ``UNTIL`` is ``never`` (not even the handshake is answered), ``mounted`` (nothing but the handshake) or
``opened`` (``PATH/file`` can be looked at and opened, and is never read). It lets go of all who wait when it is killed;
what it has taken in and not answered keeps whoever asked in the kernel until then, also after kill -9.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LOOKUP, _GETATTR, _OPEN, _INIT, _OPENDIR = 1, 3, 14, 26, 27  # linux/fuse.h
_GETXATTR, _LISTXATTR, _STATFS = 22, 23, 17
_NO_SUCH, _NOT_SUPPORTED = 2, 95
_DIRECTORY, _FILE = 0o40755, 0o100644
_ROOT = 1


@contextmanager
def hanging(pid: int, path: str, until: str = "mounted") -> Iterator[subprocess.Popen[bytes]]:
    """Keep such a file system mounted in the mount namespace of a process."""
    words = [sys.executable, __file__, str(pid), path, until]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"mounted\n"
            yield server
        finally:
            server.kill()


def _attributes(node: int) -> bytes:
    mode, size = (_DIRECTORY, 4096) if node == _ROOT else (_FILE, 5)
    return struct.pack("QQQQQQIIIIIIIIII", node, size, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def _answer(code: int, node: int, body: bytes, until: str) -> bytes | int | None:
    """Return what to answer to a request, an errno for a refusal, None for nothing at all."""
    if code == _INIT:
        return struct.pack("IIIIHHIIHHI28x", 7, 31, 4096, 0, 12, 9, 4096, 1, 0, 0, 0)
    if until != "opened":
        return None
    if code == _LOOKUP and body.rstrip(b"\0") == b"file":
        return struct.pack("QQQQII", 2, 1, 60, 60, 0, 0) + _attributes(2)
    if code == _LOOKUP:
        return _NO_SUCH
    if code == _GETATTR:
        return struct.pack("QII", 60, 0, 0) + _attributes(node)
    if code in (_OPEN, _OPENDIR):
        return struct.pack("QII", 1, 0, 0)
    if code == _STATFS:
        return bytes(80)
    if code in (_GETXATTR, _LISTXATTR):
        return _NOT_SUPPORTED
    return None


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
    while True:
        request = os.read(device, 1 << 17)
        _, code, unique, node = struct.unpack_from("IIQQ", request)
        answer = _answer(code, node, request[40:], until)
        if isinstance(answer, int):
            os.write(device, struct.pack("IiQ", 16, -answer, unique))
        elif answer is not None:
            os.write(device, struct.pack("IiQ", 16 + len(answer), 0, unique) + answer)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), sys.argv[2], sys.argv[3])
