"""A socket-activated Engine: a fake systemd listens, and a service that runs as a given user answers.

The fake is a copy of the Python interpreter named ``systemd``, because the kernel reports a process by that name.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.forward import pump


@contextmanager
def activated(upstream: Path, user: int) -> Iterator[str]:
    """Yield the address of a socket whose service runs as ``user`` and forwards connections to ``upstream``."""
    with tempfile.TemporaryDirectory(prefix="dt-act-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        manager = shutil.copy(os.path.realpath(sys.executable), f"{folder}/systemd")
        if user:
            upstream.parent.chmod(0o755)
            upstream.chmod(0o666)
        path = f"{folder}/d.sock"
        environment = {"PYTHONHOME": sys.base_prefix, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [manager, "-P", __file__, path, str(upstream), str(user)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"listening\n"
            yield f"unix://{path}"
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()


def main(path: str, upstream: str, user: int) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    service = os.fork()
    if service == 0:
        if user:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        serve(listener, upstream)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    print("listening", flush=True)
    try:
        os.waitpid(service, 0)
    finally:
        os.kill(service, 9)


def serve(listener: socket.socket, upstream: str) -> None:
    while True:
        outer, _ = listener.accept()
        inner = socket.socket(socket.AF_UNIX)
        inner.connect(upstream)
        for one, other in ((outer, inner), (inner, outer)):
            threading.Thread(target=pump, args=(one, other), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
