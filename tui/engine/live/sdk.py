"""The only module that uses the Docker SDK: connections, and its exceptions turned into ours."""

from __future__ import annotations

import http.client
import os
import re
import struct
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import docker.constants
import docker.errors
import docker.tls
import docker.utils
import requests.adapters
import requests.exceptions
import urllib3.exceptions
from docker.api.client import APIClient
from docker.transport.unixconn import UnixHTTPAdapter

from tui.core.errors import DtuiError, EngineError, EngineLost, NotFound, NotReachable, UsageError
from tui.core.text import printable
from tui.engine.live import answers
from tui.engine.live.contexts import current_context, read_context
from tui.engine.live.ssh import SSHAdapter, SSHAddress, SSHEnded
from tui.engine.live.transport import (
    PIECE,
    AnswerDeadline,
    AnswerRefused,
    Connections,
    OwnPool,
    TcpAdapter,
    UnixConnection,
    beginning_of,
    body_of,
    pieces,
)
from tui.engine.live.trust import Peer, peer_of, service_of

__all__ = ["APIClient", "Client", "ErrorChunk", "connect", "context_address", "engine_errors"]

_TIMEOUT = 60
"""Seconds for a complete answer; stopping a container takes up to ten, removing a large one longer."""

_MIN_RATE = 64 << 10
"""Least bytes per second of a tar or a list after the first minute."""

_MAX_ANSWER = 4 << 20
"""Largest answer about one thing in bytes; the longest seen, an inspect with a health log, has 60 kB."""

_MAX_LIST = 32 << 20
"""Largest list in bytes: some ten thousand containers, or half a million changed files."""

_MAX_ERROR = 64 << 10
"""Bytes that are read of an error's text."""

_API = re.compile(r"1\.[0-9]{1,3}")

_MAX_SHOWN = 300
"""Characters of an error's text that are shown."""


@contextmanager
def engine_errors(subject: str) -> Iterator[None]:
    """Turn the SDK's exceptions into ours; ``subject`` names the Engine or container concerned."""
    try:
        yield
    except DtuiError:
        raise
    except docker.errors.NotFound as error:
        raise NotFound(f"{subject}: {_explanation(error)}", "dtui ls lists the containers") from error
    except docker.errors.APIError as error:
        raise EngineError(f"{subject}: {_explanation(error)}", "the Engine refused; nothing was done") from error
    except _FAILURES as error:
        raise _error_for(subject, error) from error


_FAILURES = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)


def _explanation(error: docker.errors.APIError) -> str:
    return printable(innermost(" ".join(str(error.explanation or error).split()))[:_MAX_SHOWN])


_WRAPPED = re.compile(
    r"(failed to create (shim )?task( for container)?|OCI runtime \w+ failed|(runc|crun)( \w+ failed)?"
    r"|unable to start container process|error during container init"
    r"|\w+_linux\.go:\d+: .{,60}? caused): ",
    re.IGNORECASE,
)


def innermost(text: str) -> str:
    """Return the cause from inside the messages that the Engine and its runtimes wrapped around it."""
    while match := _WRAPPED.match(text):
        text = text[match.end() :]
    return text.removesuffix(": unknown")


def _causes(error: BaseException) -> Iterator[BaseException]:
    visited_ids: set[int] = set()
    todo: list[Any] = [error]
    while todo:
        cause = todo.pop()
        if not isinstance(cause, BaseException) or id(cause) in visited_ids:
            continue
        visited_ids.add(id(cause))
        yield cause
        todo += [cause.__cause__, cause.__context__, *cause.args, getattr(cause, "reason", None)]


def _error_for(subject: str, error: BaseException) -> DtuiError:
    causes = list(_causes(error))
    refused = next((cause for cause in causes if isinstance(cause, AnswerRefused)), None)
    if refused:
        return EngineError(f"{subject}: {refused}", refused.hint)
    by_ssh = next((cause for cause in causes if isinstance(cause, SSHEnded)), None)
    if by_ssh:
        return EngineLost(
            f"{subject}: {by_ssh}", "try ssh by hand: dtui runs it without asking for a password or a host key"
        )
    if any(isinstance(cause, PermissionError) for cause in causes):
        return NotReachable(f"{subject}: permission denied", "run dtui as root, or join the docker group")
    if any(isinstance(cause, FileNotFoundError) for cause in causes):
        return EngineLost(f"{subject}: there is no such socket", "start Docker: systemctl start docker")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return EngineLost(f"{subject}: nobody answers", "start Docker: systemctl start docker")
    if any(isinstance(cause, requests.exceptions.Timeout | TimeoutError) for cause in causes):
        return EngineLost(f"{subject}: no answer in time", "the Engine or its disk may be overloaded")
    if any(isinstance(cause, requests.exceptions.InvalidJSONError | http.client.BadStatusLine) for cause in causes):
        return EngineLost(f"{subject}: the server there is not a Docker Engine", "check the address and the port")
    last = printable(" ".join(str(causes[-1]).split())[:200])
    return EngineLost(f"{subject}: {last or type(error).__name__}", "check that the Engine is running")


def connect(
    address: str,
    *,
    tls: docker.tls.TLSConfig | None = None,
    timeout: int | None = _TIMEOUT,
    connections: Connections | None = None,
) -> Client:
    """Return a client with the API version negotiated; raises EngineLost, NotReachable, UsageError.

    A client belongs to one thread; every stream and every thread needs its own. Closing ``connections`` ends whatever
    the client is waiting for, from the first moment on.
    """
    try:
        with engine_errors(address):
            client = Client(
                connections or Connections(),
                base_url=address,
                tls=tls or environment_tls(address),
                timeout=timeout or _TIMEOUT,
            )
            client.timeout = timeout
            return client
    except ValueError as error:
        raise UsageError(
            f"{address} is not a Docker address", "for example unix:///run/docker.sock or ssh://host"
        ) from error


class ErrorChunk(bytes):
    """Bytes that a container wrote to stderr."""


class Client(APIClient):  # type: ignore[misc] # the SDK has no types
    """The SDK's client on a transport that trusts no answer: bounded, never redirected, closable from any thread.

    It connects straight to the address, ignoring proxies, passwords (.netrc) and CAs from the environment, and keeps no
    cookies. Its ssh runs apart from our terminal.
    """

    def __init__(self, connections: Connections, **options: Any) -> None:
        self._connections = connections
        self._last_peer = _LastPeer()
        self._address = options["base_url"]
        ssh_address = SSHAddress.parse(self._address) if self._address.startswith("ssh://") else None
        if ssh_address:  # the SDK cannot do this without paramiko: let it prepare for TCP, and replace the transport
            options["base_url"] = "tcp://localhost:2375"
        super().__init__(version=docker.constants.MINIMUM_DOCKER_API_VERSION, **options)
        if ssh_address:
            self.base_url = "http+docker://ssh"
            self._custom_adapter = SSHAdapter(connections, ssh_address, self.timeout)
            self._unmount("http://", "https://")
            self.mount(self.base_url, self._custom_adapter)
        self.trust_env = False
        self.headers["Accept-Encoding"] = "identity"
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._version = self._negotiated()

    def _negotiated(self) -> str:
        """Return the Engine's API version, which prefixes every request path."""
        try:
            answer = self.version(api_version=False)
        except EngineError as error:
            raise self._not_an_engine() from error
        version = answer.get("ApiVersion") if isinstance(answer, dict) else None
        if not isinstance(version, str) or not _API.fullmatch(version):
            raise self._not_an_engine()
        if docker.utils.version_lt(version, docker.constants.MINIMUM_DOCKER_API_VERSION):
            raise AnswerRefused(f"the Engine's API {version} is too old", "an Engine of 17.05 or newer is understood")
        return version

    def _not_an_engine(self) -> EngineLost:
        return EngineLost(f"{self._address}: the server there is not a Docker Engine", "check the address and the port")

    @property
    def peer(self) -> Peer | None:
        """Who gave the last answer; None if it did not come over a unix socket."""
        return self._last_peer.peer

    def mount(self, prefix: str, adapter: Any) -> None:
        if isinstance(adapter, UnixHTTPAdapter):
            adapter = self._custom_adapter = _UnixAdapter(self._last_peer, self._connections, adapter)
        elif type(adapter) is requests.adapters.HTTPAdapter:
            adapter = TcpAdapter(self._connections)
        super().mount(prefix, adapter)

    def close(self) -> None:
        """End everything that waits on this client, from any thread."""
        self._connections.close()
        super().close()

    def send(self, request: Any, **options: Any) -> Any:
        """Send a request and check its answer before anybody uses it. Unless streamed, the body is read here, up to a
        limit."""
        request.headers["Accept-Encoding"] = "identity"
        streamed, seconds = options.get("stream", False), options.get("timeout")
        self._connections.deadline = AnswerDeadline(seconds, _MIN_RATE if streamed else 0)
        self._connections.writing = request.method == "PUT"
        try:
            answer = super().send(request, **{**options, "stream": True, "allow_redirects": False})
        finally:
            self._connections.writing = False
        try:
            _refuse_unusable(answer)
            if answer.status_code >= 400:
                _set_body(answer, beginning_of(answer, _MAX_ERROR))
            elif not streamed:
                _set_body(answer, body_of(answer, _MAX_ANSWER))
        except BaseException:
            answer.close()
            raise
        return answer

    def get_redirect_target(self, resp: Any) -> None:
        """Return None: :meth:`send` refuses redirects."""
        del resp

    def rows(self, path: str, max_rows: int, *, null_is_empty: bool = False, **params: Any) -> Iterator[Any]:
        """Yield the rows of a list one by one, Malformed for one that is not JSON; raises EngineError.

        Neither the body nor the rows are ever in memory as a whole.
        """
        answer = self._get(self._url(path), params=params, stream=True)
        self._raise_for_status(answer)
        try:
            yield from answers.rows(_limited(pieces(answer), _MAX_LIST), max_rows, null_is_empty=null_is_empty)
        finally:
            answer.close()

    def event_lines(self, **params: Any) -> Iterator[bytes]:
        """Yield events, one per line; raises EngineError for one without end."""
        answer = self._get(self._url("/events"), params=params, stream=True)
        self._raise_for_status(answer)
        return answers.lines(pieces(answer))

    def log_chunks(self, container_id: str, *, tty: bool, **params: Any) -> Iterator[bytes]:
        """Yield a log as it arrives, stderr as ErrorChunk. On a terminal (tty) both streams are one."""
        answer = self._get(self._url("/containers/{0}/logs", container_id), params=params, stream=True)
        self._raise_for_status(answer)
        return pieces(answer) if tty else _frames(lambda size: answer.raw.read1(size, decode_content=False))

    def archive(self, container_id: str, path: bytes) -> Generator[bytes, None, None]:
        url = self._url("/containers/{0}/archive", container_id)
        answer = self._get(url, params={"path": path}, stream=True)
        self._raise_for_status(answer)
        try:
            yield from pieces(answer)
        finally:
            answer.close()

    def _raise_for_status(self, response: Any) -> None:
        """Raise the SDK's exception for an error answer, whatever the shape of its body."""
        if response.status_code < 400:
            return
        text = response.content.decode("utf-8", "replace")
        with suppress(EngineError):
            body = answers.decode_json(response.content)
            text = body.get("message") or text if isinstance(body, dict) else text
        kind = docker.errors.NotFound if response.status_code == requests.codes.not_found else docker.errors.APIError
        explanation = str(text).strip() or f"the Engine answers {response.status_code}"
        raise kind(explanation, response=response, explanation=explanation)

    def _result(self, response: Any, json: bool = False, binary: bool = False) -> Any:
        """Return the body that :meth:`send` has read."""
        self._raise_for_status(response)
        if json:
            return answers.decode_json(response.content)
        return response.content if binary else response.content.decode("utf-8", "replace")

    def _stream_helper(self, response: Any, decode: bool = False) -> Iterator[Any]:
        if decode:
            return map(answers.decode_json, answers.lines(pieces(response)))
        return pieces(response)

    def _stream_raw_result(self, response: Any, chunk_size: int = 1, decode: bool = True) -> Iterator[bytes]:
        del chunk_size, decode
        self._raise_for_status(response)
        return pieces(response)

    def _read_from_socket(self, response: Any, stream: bool, tty: bool = True, demux: bool = False) -> Iterator[bytes]:
        """Read a process' output from a connection that is no longer HTTP."""
        del stream, demux
        wire = response.raw._fp.fp
        return iter(lambda: wire.read1(PIECE), b"") if tty else _frames(wire.read1)


def _refuse_unusable(answer: Any) -> None:
    """Raise AnswerRefused for a redirect or a compressed answer."""
    if 300 <= answer.status_code < 400 and answer.status_code != requests.codes.not_modified:
        location = printable(str(answer.headers.get("Location", "nowhere")))[:200]
        raise AnswerRefused(
            f"the Engine redirects to {location}, which dtui does not follow", "use that address with -H"
        )
    encoding = str(answer.headers.get("Content-Encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise AnswerRefused(f"the answer is compressed ({printable(encoding)[:40]}), which dtui did not ask for")


def _set_body(answer: Any, body: bytes) -> None:
    answer._content, answer._content_consumed = body, True


def _limited(chunks: Iterator[bytes], limit: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise AnswerRefused(f"the list is longer than {limit >> 20} MiB", "use docker itself")
        yield chunk


def _frames(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Split multiplexed output: each frame has a header with stream and length (moby stdcopy)."""

    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size and (more := read(size - len(data))):
            data += more
        return data

    while len(header := exactly(8)) == 8:
        number, remaining = struct.unpack(">BxxxL", header)
        if number > 3:
            raise AnswerRefused("the output is not in Docker's format")
        while remaining and (data := read(min(remaining, PIECE))):
            remaining -= len(data)
            yield ErrorChunk(data) if number > 1 else data


class _LastPeer:
    """Who gave the last answer, noted by a connection and read by its client.

    A connection must not refer to its client: urllib3 keeps idle connections until their pool is garbage, and the
    client keeps the pool, so neither would ever be closed.
    """

    peer: Peer | None = None


class _UnixConnection(UnixConnection):
    """Notes which process each answer came from."""

    def __init__(self, last_peer: _LastPeer, connections: Connections, path: str, timeout: float | None) -> None:
        super().__init__(connections, path, timeout)
        self._last_peer = last_peer

    def connect(self) -> None:
        super().connect()
        self._peer = peer_of(self.sock)
        self._inode = os.fstat(self.sock.fileno()).st_ino

    def getresponse(self, *args: Any, **options: Any) -> Any:
        answer = super().getresponse(*args, **options)
        self._peer = self._last_peer.peer = service_of(self._peer, self._inode, self._last_peer.peer)
        return answer


class _UnixAdapter(UnixHTTPAdapter):  # type: ignore[misc]
    """Connections to a unix socket that end with the client."""

    def __init__(self, last_peer: _LastPeer, connections: Connections, adapter: UnixHTTPAdapter) -> None:
        super().__init__(f"http+unix://{adapter.socket_path}", adapter.timeout)
        self._pool = OwnPool(
            partial(_UnixConnection, last_peer, connections, adapter.socket_path, adapter.timeout),
            timeout=adapter.timeout,
        )

    def get_connection(self, url: Any, proxies: Any = None) -> Any:
        del url, proxies
        return self._pool

    def close(self) -> None:
        self._pool.close()
        super().close()


def environment_tls(address: str) -> docker.tls.TLSConfig | bool:
    """Return the TLS settings from DOCKER_TLS_VERIFY and DOCKER_CERT_PATH for a tcp address."""
    verify = os.environ.get("DOCKER_TLS_VERIFY")
    if not verify or not address.startswith("tcp://"):
        return False
    directory = os.environ.get("DOCKER_CERT_PATH") or os.path.expanduser("~/.docker")
    with engine_errors(address):
        return docker.tls.TLSConfig(
            client_cert=(f"{directory}/cert.pem", f"{directory}/key.pem"), ca_cert=f"{directory}/ca.pem", verify=True
        )


def context_address(name: str | None) -> tuple[str, str, docker.tls.TLSConfig | None] | None:
    """Return name, address and TLS settings of a docker context, by default of the current one.

    The context ``default`` has no address of its own: None. Raises UsageError for an unknown context.
    """
    name = name or current_context()
    if name in ("", "default"):
        return None
    context = read_context(name)
    if context.certificate is None and context.ca is None:
        return context.name, context.host, None
    pair = (str(context.certificate), str(context.key)) if context.certificate and context.key else None
    try:
        tls = docker.tls.TLSConfig(
            client_cert=pair, ca_cert=str(context.ca) if context.ca else None, verify=not context.skip_verify
        )
    except docker.errors.DockerException as error:
        raise UsageError(f"docker context {printable(name)}: {error}", "docker context ls lists them") from error
    return context.name, context.host, tls
