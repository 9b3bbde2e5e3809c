"""A process that has imported the command line once, and forks a child for each command.

Most of what a short command costs is the import of its modules. A child runs the same ``main`` as ``python -m tui``,
with the words, environment, directory and streams that its caller sends.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
from typing import NoReturn

import tui.cli

LARGEST = 1 << 20
"""Bytes of a request: the words of a command and its environment."""


def serve(requests: socket.socket) -> NoReturn:
    """Run each command that is asked for; end when nobody can ask any more."""
    for module in pkgutil.iter_modules(tui.cli.__path__):
        importlib.import_module(f"tui.cli.{module.name}")
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the process that waits for the command
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, LARGEST, 4)
        if not request:
            os._exit(0)
        if not os.fork():
            requests.close()
            _run(request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _run(request: bytes, descriptors: list[int]) -> NoReturn:
    """Run a command in a child, and write its number and then its exit code to the last descriptor."""
    *streams, answer = descriptors
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child:
        for stream in streams:
            os.close(stream)
        os.write(answer, child.to_bytes(4, "little"))
        _, status = os.waitpid(child, 0)
        os.write(answer, f"{os.waitstatus_to_exitcode(status)}".encode())
        os._exit(0)
    wanted = json.loads(request)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    os.chdir(wanted["directory"])
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.close(answer)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115 - until the end
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.argv = ["dtui", *wanted["words"]]
    sys.exit(tui.cli.main())


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
