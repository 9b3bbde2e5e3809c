"""Renames and removes names inside the mount namespace of a container. Run as a program; never imported.

Inside the namespace the kernel answers EBUSY for a mount point; from outside the same call would detach the mount
(``detach_mounts``, fs/namei.c; measured on 6.18). Everything is imported before entering the namespace, the import
paths are emptied, and nothing is opened afterwards: the files in there are untrusted.

argv: descriptor of a SOCK_SEQPACKET socket, descriptor of the namespace. A request is ``op flags len name name`` with
one or two directory descriptors; an answer is an errno of four bytes.
"""

import array  # noqa: F401 - socket.recv_fds imports it when it is called
import ctypes
import os
import socket
import struct
import sys

NEW_MOUNTS = 0x00020000  # CLONE_NEWNS
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
KILL = 9


def serve(control: socket.socket, namespace: int) -> None:
    """Enter the namespace, then answer requests until the other end closes."""
    libc = ctypes.CDLL(None, use_errno=True)
    # a call may hang in a file system that never answers, and would never notice that the socket was closed
    libc.prctl(DIE_WITH_PARENT, KILL, 0, 0, 0)
    rename = libc.renameat2
    rename.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    unlink = libc.unlinkat
    unlink.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
    rename(
        -1, b"", -1, b"", 0
    )  # resolve the symbol now: inside the namespace the dynamic linker would open a stranger's libc
    unlink(-1, b"", 0)
    for search_list in (sys.path, sys.meta_path, sys.path_hooks):
        search_list.clear()
    if libc.setns(namespace, NEW_MOUNTS) != 0:
        control.send(struct.pack("i", ctypes.get_errno()))
        return
    control.send(struct.pack("i", 0))
    while True:
        message, fds, _, _ = socket.recv_fds(control, 8192, 2)
        if not message:
            return
        op, flags, length = struct.unpack_from("ciH", message)
        names = message[struct.calcsize("ciH") :]
        if op == b"r":
            failed = rename(fds[0], names[:length], fds[-1], names[length:], flags)
        else:
            failed = unlink(fds[0], names, flags)
        control.send(struct.pack("i", ctypes.get_errno() if failed else 0))
        for fd in fds:
            os.close(fd)


if __name__ == "__main__":
    try:
        serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
    finally:
        os._exit(0)  # skip the interpreter's shutdown, which may open files
