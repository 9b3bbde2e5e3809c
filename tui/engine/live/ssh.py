"""HTTP to an Engine through the user's own ssh program, as ``docker -H ssh://HOST`` does it.

The SDK's transport would import paramiko and cryptography, a second ssh with its own idea of keys and known hosts, even
when it runs the ssh program.
"""

from __future__ import annotations

import atexit
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import requests.adapters
from urllib3.connection import HTTPConnection

from tui.engine.live.transport import AnswerRefused, Connections, OwnPool, answer_class


class SSHEnded(OSError):
    """ssh ended before the Engine answered; its own message says why."""


_SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
"""ssh must not ask anything, since nobody would see the question, nor wait for a dead host as long as TCP does."""

_RUNNING: weakref.WeakSet[_SSHSocket] = weakref.WeakSet()


class _SSHSocket(socket.socket):
    """An ssh in a session of its own, so that it can neither read our keys nor write over our screen."""

    def __init__(self, address: str) -> None:
        """``address`` is ``[USER@]HOST[:PORT]``."""
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)  # never connected: urllib3 wants a socket's methods
        host, _, self._port = address.partition(":")
        self._user, _, self._host = host.rpartition("@")
        self._process: subprocess.Popen[bytes] | None = None

    def connect(self, _address: object = None) -> None:
        """Start ssh; raises SSHEnded if it is not installed."""
        command = [*_SSH, *(("-l", self._user) if self._user else ()), *(("-p", self._port) if self._port else ())]
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as ssh
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own ssh, to the host that was named
                [*command, "--", self._host, "docker system dial-stdio"],
                env={k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "SSL_CERT_FILE")},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise SSHEnded("there is no ssh program") from error
        _RUNNING.add(self)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Write to ssh; raises OSError once it is closed."""
        del flags
        if self._process is None or self._process.stdin is None:
            raise BrokenPipeError("ssh is not running")
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def makefile(self, *_args: Any, **_options: Any) -> BinaryIO:  # type: ignore[override]
        """Return what ssh prints."""
        if self._process is None or self._process.stdout is None:
            raise BrokenPipeError("ssh is not running")
        return self._process.stdout  # type: ignore[return-value]

    def last_message(self) -> str:
        """Return the last line that ssh printed."""
        with suppress(subprocess.TimeoutExpired):
            if self._process:
                self._process.wait(1)
        self._stderr.seek(0)
        lines = self._stderr.read(65_536).decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "ssh had no answer"

    def shutdown(self, how: int, /) -> None:
        del how
        self.close()

    def close(self) -> None:
        """End ssh and everything it started; idempotent."""
        _RUNNING.discard(self)
        super().close()
        process, self._process = self._process, None
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
                break
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError, ValueError):  # another thread may be using it
                if pipe:
                    pipe.close()


@atexit.register
def _end_ssh() -> None:
    for ssh_socket in list(_RUNNING):
        ssh_socket.close()


class _SSHConnection(HTTPConnection):
    def __init__(self, connections: Connections, address: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._address = address
        self.response_class = answer_class(connections)
        self._connections = connections

    def connect(self) -> None:
        self._ssh = _SSHSocket(self._address)  # urllib3 resets self.sock before an error reaches us
        self._ssh.settimeout(self.timeout)
        self._ssh.connect()
        self._connections.add(self._ssh)
        self.sock = self._ssh

    def request(self, *args: Any, **options: Any) -> None:
        with self._reasons():
            super().request(*args, **options)

    def getresponse(self, *args: Any, **options: Any) -> Any:
        with self._reasons():
            return super().getresponse(*args, **options)

    @contextmanager
    def _reasons(self) -> Iterator[None]:
        try:
            yield
        except AnswerRefused:
            raise
        except TimeoutError as error:
            raise SSHEnded("ssh had no answer in time") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise SSHEnded(self._ssh.last_message()) from error


class SSHAdapter(requests.adapters.HTTPAdapter):
    """Runs one ssh per request, as the docker command does, and ends them with the client."""

    def __init__(self, connections: Connections, address: str, timeout: float | None) -> None:
        super().__init__()
        self._connections = connections
        self._address = address
        self._timeout = timeout

    def get_connection_with_tls_context(self, *_args: Any, **_options: Any) -> Any:
        """Return a pool for one request."""
        return OwnPool(lambda: _SSHConnection(self._connections, self._address, self._timeout), self._timeout)
