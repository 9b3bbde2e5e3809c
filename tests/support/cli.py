"""Runs ``dtui`` as a script would, in a separate process."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLong
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]


def dtui(*arguments: str, stdin: bytes = b"", code: int = 0, seconds: float = 120) -> bytes:
    """Run a verb and assert its exit code; return its standard output, or standard error if a failure is expected."""
    result = run(*arguments, stdin=stdin, seconds=seconds)
    assert result.returncode == code, (arguments, result.returncode, result.stdout, result.stderr)
    return result.stdout if code == 0 else result.stderr


def dtui_json(*arguments: str) -> Any:
    return json.loads(dtui(*arguments, "--json"))


def run(*arguments: str, stdin: bytes = b"", seconds: float = 120) -> subprocess.CompletedProcess[bytes]:
    """Run a verb in a process of its own, forked from one that has imported the command line already."""
    their_input, our_input = os.pipe()
    (output, their_output), (errors, their_errors), (answer, their_answer) = (os.pipe() for _ in range(3))
    request = {"words": arguments, "environment": dict(os.environ), "directory": os.getcwd()}
    theirs = [their_input, their_output, their_errors, their_answer]
    socket.send_fds(_preloaded(), [json.dumps(request).encode()], theirs)
    for descriptor in theirs:
        os.close(descriptor)
    with ThreadPoolExecutor(4) as threads:
        threads.submit(_feed, our_input, stdin)
        results = [threads.submit(_drain, descriptor) for descriptor in (output, errors)]
        process = int.from_bytes(os.read(answer, 4), "little")
        try:
            ended = threads.submit(_drain, answer).result(seconds)
        except TooLong:
            os.kill(process, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(arguments, int(ended), *(result.result() for result in results))


def _feed(descriptor: int, data: bytes) -> None:
    with open(descriptor, "wb", buffering=0) as file:
        while data:
            try:
                data = data[file.write(data) :]
            except BrokenPipeError:  # a command need not read its input
                return


def _drain(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        return file.read()


@functools.cache
def _preloaded() -> socket.socket:
    """Start the process that forks one for each command; it ends with its caller."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    with theirs:
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.preloaded", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            cwd=_ROOT,
        )
    return ours
