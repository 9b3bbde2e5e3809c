"""HTTP to an Engine through the user's own ssh program, as ``docker -H ssh://HOST`` does it.

Each request has an ssh of its own, but all of them share one connection to the host (ssh_config(5), ControlMaster),
which the first makes and the end of the process ends. The SDK's transport would import paramiko and cryptography, a
second ssh with its own idea of keys and known hosts, even when it runs the ssh program.
"""

from __future__ import annotations

import atexit
import http.client
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import requests.adapters
from urllib3.connection import HTTPConnection

from tui.core.errors import UsageError
from tui.core.text import printable
from tui.engine.live.transport import AnswerRefused, Connections, OwnPool, answer_class


class SSHEnded(OSError):
    """ssh ended before the Engine answered; its own message says why."""


_SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
"""ssh must not ask anything, since nobody would see the question, nor wait for a dead host as long as TCP does."""

_RUNNING: weakref.WeakSet[_SSHSocket] = weakref.WeakSet()


_LONGEST = 2
"""Seconds that ssh may take to print its settings, or to end a connection that is shared."""


@dataclass(frozen=True, slots=True)
class SSHAddress:
    """The parts of ``ssh://[USER@]HOST[:PORT][/SOCKET]``; what is left out, the user's ssh_config says."""

    host: str
    user: str = ""
    port: str = ""
    socket: str = ""

    @classmethod
    def parse(cls, address: str) -> SSHAddress:
        """Take an address apart; raises UsageError, also for one with a password, which others would see."""
        match = _ADDRESS.fullmatch(address)
        if match is None:
            raise UsageError(f"{printable(address)} is not a Docker address", "for example ssh://user@host:22")
        user, password, bracketed, host, port, path = match.groups("")
        if password:
            raise UsageError("the address contains a password", "use a key: ssh://user@host")
        return cls(bracketed or host, user, port, path if path != "/" else "")

    @property
    def words(self) -> list[str]:
        """The options for user and port, and the host."""
        user, port = (("-l", self.user) if self.user else ()), (("-p", self.port) if self.port else ())
        return [*user, *port, "--", self.host]

    @property
    def command(self) -> str:
        """What runs on the host and connects its standard streams with the Engine."""
        by_socket = f" --host {shlex.quote('unix://' + self.socket)}" if self.socket else ""
        return f"docker{by_socket} system dial-stdio"


_ADDRESS = re.compile(
    r"ssh://(?:([^@:/\s]+)(?::([^@/]*))?@)?(?:\[([0-9A-Fa-f:.%]+)\]|([^@:/\s\[\]-][^@:/\s\[\]]*))(?::([0-9]{1,5}))?(/[^\s]*)?"
)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("LD_LIBRARY_PATH", "SSL_CERT_FILE")}


class _SharedConnections:
    """Lets all ssh to one host share a connection, unless the user's ssh_config says how connections are shared."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._options: dict[SSHAddress, list[str]] = {}
        self._directory = ""

    def options(self, address: SSHAddress) -> list[str]:
        """Return the options with which ssh joins the shared connection, or makes it."""
        with self._lock:
            if address not in self._options:
                self._options[address] = [] if _shares_by_itself(address) else self._new_options()
            return self._options[address]

    def _new_options(self) -> list[str]:
        # in /tmp, since the path of a socket has a limit of 108 bytes
        self._directory = self._directory or tempfile.mkdtemp(prefix="dtui-ssh-", dir="/tmp")
        options = {"ControlMaster": "auto", "ControlPath": f"{self._directory}/%C", "ControlPersist": "60"}
        return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]

    def close(self) -> None:
        """End the connections that are shared."""
        with self._lock:
            for address, options in self._options.items():
                if options:
                    with suppress(OSError, subprocess.TimeoutExpired):
                        _ssh_output([*options, "-O", "exit"], address)
            self._options.clear()
            if self._directory:
                shutil.rmtree(self._directory, ignore_errors=True)
                self._directory = ""


def _shares_by_itself(address: SSHAddress) -> bool:
    """Return whether the user's ssh_config sets how connections to a host are shared, as for a second factor."""
    try:
        printed = _ssh_output(["-G"], address)
    except (OSError, subprocess.TimeoutExpired):
        return True  # no ssh, or a very old one: what it says when it connects is shown
    settings = dict(line.partition(" ")[::2] for line in printed.splitlines())
    return settings.get("controlpath", "none") != "none"


def _ssh_output(options: list[str], address: SSHAddress) -> str:
    return subprocess.run(  # noqa: S603 - the user's own ssh, to the host that was named
        [*_SSH, *options, *address.words],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=_LONGEST,
    ).stdout.decode(errors="replace")


_shared = _SharedConnections()


class _SSHSocket(socket.socket):
    """An ssh in a session of its own, so that it can neither read our keys nor write over our screen."""

    def __init__(self, address: SSHAddress) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)  # never connected: urllib3 wants a socket's methods
        self._address = address
        self._process: subprocess.Popen[bytes] | None = None

    def connect(self, _address: object = None) -> None:
        """Start ssh; raises SSHEnded if it is not installed."""
        options = _shared.options(self._address)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as ssh
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own ssh, to the host that was named
                [*_SSH, *options, *self._address.words, self._address.command],
                env=_environment(),
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
        return lines[-1].strip() if lines else "ssh got no answer"

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
    _shared.close()


class _SSHConnection(HTTPConnection):
    def __init__(self, connections: Connections, address: SSHAddress, timeout: float | None) -> None:
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
        with self._ssh_errors():
            super().request(*args, **options)

    def getresponse(self, *args: Any, **options: Any) -> Any:
        with self._ssh_errors():
            return super().getresponse(*args, **options)

    @contextmanager
    def _ssh_errors(self) -> Iterator[None]:
        try:
            yield
        except AnswerRefused:
            raise
        except TimeoutError as error:
            raise SSHEnded("ssh got no answer in time") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise SSHEnded(self._ssh.last_message()) from error


class SSHAdapter(requests.adapters.HTTPAdapter):
    """Runs one ssh per request, and ends them with the client."""

    def __init__(self, connections: Connections, address: SSHAddress, timeout: float | None) -> None:
        super().__init__()
        self._connections = connections
        self._address = address
        self._timeout = timeout

    def get_connection_with_tls_context(self, *_args: Any, **_options: Any) -> Any:
        """Return a pool for one request."""
        return OwnPool(lambda: _SSHConnection(self._connections, self._address, self._timeout), self._timeout)
