"""The one module that talks to the Docker SDK: connections, and its errors turned into ours."""

from __future__ import annotations

import atexit
import http.client
import os
import re
import signal
import struct
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import docker.errors
import docker.tls
import requests.exceptions
from docker.api.client import APIClient
from docker.context import ContextAPI
from docker.transport.sshconn import SSHConnection, SSHConnectionPool, SSHHTTPAdapter, SSHSocket
from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnection, UnixHTTPConnectionPool

from tui.core.errors import EngineError, EngineLost, NotFound, NotReachable, UsageError
from tui.engine.trust import Peer, peer_of

__all__ = ["APIClient", "Client", "ErrorChunk", "close_stream", "connect", "context_address", "engine_errors"]

_TIMEOUT = 60
"""Seconds for one answer; stopping a container alone may take ten, removing a large one longer."""


@contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn the SDK's exceptions into ours; ``what`` names the Engine or container concerned."""
    try:
        yield
    except docker.errors.NotFound as error:
        raise NotFound(f"{what}: {_explanation(error)}", "the list shows what there is") from error
    except docker.errors.APIError as error:
        raise EngineError(f"{what}: {_explanation(error)}", "the Engine refused; nothing was done") from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise _lost(what, error) from error


def _explanation(error: docker.errors.APIError) -> str:
    return innermost(str(error.explanation or error).strip().replace("\n", " "))


_WRAPPED = re.compile(
    r"(failed to create (shim )?task( for container)?|OCI runtime \w+ failed|(runc|crun)( \w+ failed)?"
    r"|unable to start container process|error during container init"
    r"|\w+_linux\.go:\d+: .{,60}? caused): ",
    re.IGNORECASE,
)


def innermost(text: str) -> str:
    """Return the cause out of what the Engine and its runtimes have put around it."""
    while match := _WRAPPED.match(text):
        text = text[match.end() :]
    return text.removesuffix(": unknown")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    todo: list[Any] = [error]
    while todo:
        one = todo.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        todo += [one.__cause__, one.__context__, *one.args, getattr(one, "reason", None)]


def _lost(what: str, error: BaseException) -> EngineLost | NotReachable:
    causes = list(_causes(error))
    by_ssh = next((cause for cause in causes if isinstance(cause, _SSHEnded)), None)
    if by_ssh:
        return EngineLost(f"{what}: {by_ssh}", "try ssh by hand: here it asks nothing, no password and no host key")
    if any(isinstance(cause, PermissionError) for cause in causes):
        return NotReachable(f"{what}: permission denied", "run dtui as root, or join the docker group")
    if any(isinstance(cause, FileNotFoundError) for cause in causes):
        return EngineLost(f"{what}: there is no such socket", "start Docker: systemctl start docker")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return EngineLost(f"{what}: nobody answers", "start Docker: systemctl start docker")
    if any(isinstance(cause, requests.exceptions.Timeout | TimeoutError) for cause in causes):
        return EngineLost(f"{what}: no answer in time", "is the Engine or its disk overloaded?")
    if any(isinstance(cause, requests.exceptions.InvalidJSONError | http.client.BadStatusLine) for cause in causes):
        return EngineLost(f"{what}: what answers there is no Docker Engine", "check the address and the port")
    last = str(causes[-1]).strip().replace("\n", " ")[:200]
    return EngineLost(f"{what}: {last or type(error).__name__}", "is the Engine running?")


def connect(address: str, *, tls: docker.tls.TLSConfig | None = None, timeout: int | None = _TIMEOUT) -> Client:
    """Return a client with the API version negotiated; raises EngineLost, NotReachable, UsageError.

    A client's HTTP session belongs to one thread; every stream and every thread takes a client of its own.
    """
    try:
        with engine_errors(address):
            return Client(
                base_url=address,
                version="auto",
                tls=tls or environment_tls(address),
                timeout=timeout,
                use_ssh_client=address.startswith("ssh://"),
            )
    except ValueError as error:
        raise UsageError(f"{address} is no Docker address", "such as unix:///run/docker.sock or ssh://host") from error


class ErrorChunk(bytes):
    """Bytes of a container's stderr."""


class Client(APIClient):  # type: ignore[misc] # the SDK has no types
    """The SDK's client, which trusts the Engine's own CA whatever the environment says of others.

    Its ssh runs apart from our terminal.
    """

    peer: Peer | None = None
    """Who gave the last answer; None where it came over no unix socket."""

    def mount(self, prefix: str, adapter: Any) -> None:
        """Put our ssh and our unix sockets in the place of the SDK's."""
        if isinstance(adapter, UnixHTTPAdapter):
            address = f"http+unix://{adapter.socket_path}"
            adapter = self._custom_adapter = _UnixAdapter(self, address, adapter.timeout)
        if isinstance(adapter, SSHHTTPAdapter):
            adapter = self._custom_adapter = _SSHAdapter(adapter.ssh_host, adapter.timeout, shell_out=True)
        super().mount(prefix, adapter)

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Put the CA of the context first: requests alone prefers REQUESTS_CA_BUNDLE to a session's (2.32)."""
        verify = self.verify if verify is None else verify
        return super().merge_environment_settings(url, proxies, stream, verify, cert)

    def _multiplexed_response_stream_helper(self, response: Any) -> Iterator[bytes]:
        """Keep apart what the SDK mixes (7.2): each frame says in its header which stream it is of."""
        self._disable_socket_timeout(self._get_raw_response_socket(response))
        while header := response.raw.read(8):
            number, length = struct.unpack(">BxxxL", header)
            if length and not (data := response.raw.read(length)):
                return
            if length:
                yield ErrorChunk(data) if number == 2 else data


class _UnixConnection(UnixHTTPConnection):  # type: ignore[misc] # the SDK has no types
    """Notes with each answer which process it came from."""

    client: Client

    def connect(self) -> None:
        super().connect()
        self._peer = peer_of(self.sock)

    def getresponse(self, *args: Any, **options: Any) -> Any:
        answer = super().getresponse(*args, **options)
        self.client.peer = self._peer
        return answer


class _UnixPool(UnixHTTPConnectionPool):  # type: ignore[misc]
    client: Client

    def _new_conn(self) -> _UnixConnection:
        connection = _UnixConnection(self.base_url, self.socket_path, self.timeout)
        connection.client = self.client
        return connection


class _UnixAdapter(UnixHTTPAdapter):  # type: ignore[misc]
    def __init__(self, client: Client, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._client = client

    def get_connection(self, url: Any, proxies: Any = None) -> Any:
        pool = self.pools.get(url)
        if pool is None:
            pool = self.pools[url] = _UnixPool(url, self.socket_path, self.timeout, maxsize=self.max_pool_size)
            pool.client = self._client
        return pool


class _SSHEnded(OSError):
    """The ssh program ended before the Engine had answered; its own words say why."""


_SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
"""It must ask nothing, for nobody would see the question, and must not wait for a dead host as long as TCP does."""

_RUNNING: weakref.WeakSet[_SSHSocket] = weakref.WeakSet()


class _SSHSocket(SSHSocket):  # type: ignore[misc] # the SDK has no types
    """An ssh in a session of its own, which cannot read our keys nor write over our screen."""

    proc: subprocess.Popen[bytes] | None
    _late = False

    def connect(self, **_: Any) -> None:
        """Start ssh."""
        words = [*_SSH, *(("-l", self.user) if self.user else ()), *(("-p", self.port) if self.port else ())]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as ssh
        try:
            self.proc = subprocess.Popen(  # noqa: S603 - the user's own ssh, to the host that was named
                [*words, "--", self.host, "docker system dial-stdio"],
                env={k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "SSL_CERT_FILE")},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise _SSHEnded("there is no ssh program") from error
        _RUNNING.add(self)

    def why(self) -> str:
        """Return the last line ssh said."""
        if self._late:
            return "ssh had no answer in time"
        with suppress(subprocess.TimeoutExpired):
            if self.proc:
                self.proc.wait(1)
        self._said.seek(0)
        lines = self._said.read(65_536).decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "ssh had no answer"

    def give_up(self) -> None:
        """End an ssh that takes too long."""
        self._late = True
        self.close()

    def close(self) -> None:
        """End ssh and what it started; idempotent."""
        _RUNNING.discard(self)
        super(SSHSocket, self).close()
        process, self.proc = self.proc, None
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
                break
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError, ValueError):  # another thread may be in the middle of it
                if pipe:
                    pipe.close()


@atexit.register
def _end_ssh() -> None:
    for one in list(_RUNNING):
        one.close()


class _SSHConnection(SSHConnection):  # type: ignore[misc]
    running: weakref.WeakSet[_SSHSocket]

    def connect(self) -> None:
        self._ssh = _SSHSocket(self.ssh_host)  # sock is None again before an error comes to us
        self._ssh.connect()
        self.running.add(self._ssh)
        self.sock = self._ssh

    def request(self, *args: Any, **options: Any) -> None:
        with self._reasons():
            super().request(*args, **options)

    def getresponse(self, *args: Any, **options: Any) -> Any:
        """Wait for the answer no longer than for that of a socket: a pipe has no time limit of its own."""
        late = threading.Timer(self.timeout or 0, self._ssh.give_up)
        late.daemon = True
        if self.timeout:
            late.start()
        try:
            with self._reasons():
                return super().getresponse(*args, **options)
        finally:
            late.cancel()

    @contextmanager
    def _reasons(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise _SSHEnded(self._ssh.why()) from error


class _SSHPool(SSHConnectionPool):  # type: ignore[misc]
    running: weakref.WeakSet[_SSHSocket]

    def _new_conn(self) -> _SSHConnection:
        connection = _SSHConnection(None, self.timeout, self.ssh_host)
        connection.running = self.running
        return connection


class _SSHAdapter(SSHHTTPAdapter):  # type: ignore[misc]
    """Ends with the client what its requests started: the SDK takes a new ssh for each."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._running: weakref.WeakSet[_SSHSocket] = weakref.WeakSet()

    def get_connection(self, url: Any, proxies: Any = None) -> Any:
        """Return a pool for one request."""
        pool = _SSHPool(timeout=self.timeout, maxsize=self.max_pool_size, host=self.ssh_host)
        pool.running = self._running
        return pool

    def close(self) -> None:
        """End every ssh of this client."""
        for one in list(self._running):
            one.close()
        super().close()


def close_stream(stream: Any) -> None:
    """End a stream of the SDK that another thread waits on; a dead one is ended already."""
    try:
        stream.close()
    except (docker.errors.DockerException, OSError, AttributeError, UnboundLocalError):
        return  # over ssh, or no socket any more: closing the client, which follows, ends it


def environment_tls(address: str) -> docker.tls.TLSConfig | bool:
    """Return the TLS settings of DOCKER_TLS_VERIFY and DOCKER_CERT_PATH for a tcp address."""
    verify = os.environ.get("DOCKER_TLS_VERIFY")
    if not verify or not address.startswith("tcp://"):
        return False
    folder = os.environ.get("DOCKER_CERT_PATH") or os.path.expanduser("~/.docker")
    with engine_errors(address):
        return docker.tls.TLSConfig(
            client_cert=(f"{folder}/cert.pem", f"{folder}/key.pem"), ca_cert=f"{folder}/ca.pem", verify=True
        )


def context_address(name: str | None) -> tuple[str, str, docker.tls.TLSConfig | None] | None:
    """Return name, address and TLS settings of a docker context, of the current one for None.

    The context named ``default`` is no address of its own: None. Raises UsageError for an unknown one.
    """
    try:
        context = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
    except (docker.errors.DockerException, OSError, ValueError) as error:
        raise UsageError(f"docker context {name or 'current'}: {error}", "docker context ls shows them") from error
    if context is None:
        raise UsageError(f"there is no docker context {name}", "docker context ls shows them")
    if context.Name == "default" and not name:
        return None
    return context.Name, str(context.Host), context.TLSConfig
