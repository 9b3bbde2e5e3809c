"""The one module that talks to the Docker SDK: connections, and its errors turned into ours."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker.errors
import docker.tls
import requests.exceptions
from docker.api.client import APIClient
from docker.context import ContextAPI

from tui.core.errors import EngineError, EngineLost, NotFound, NotReachable, UsageError

__all__ = ["APIClient", "ErrorChunk", "close_stream", "connect", "context_address", "engine_errors"]

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
    return str(error.explanation or error).strip().replace("\n", " ")


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
    if any(isinstance(cause, PermissionError) for cause in causes):
        return NotReachable(f"{what}: permission denied", "run dtui as root, or join the docker group")
    if any(isinstance(cause, FileNotFoundError) for cause in causes):
        return EngineLost(f"{what}: there is no such socket", "start Docker: systemctl start docker")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return EngineLost(f"{what}: nobody answers", "start Docker: systemctl start docker")
    if any(isinstance(cause, requests.exceptions.Timeout | TimeoutError) for cause in causes):
        return EngineLost(f"{what}: no answer in time", "is the Engine or its disk overloaded?")
    last = str(causes[-1]).strip().replace("\n", " ")[:200]
    return EngineLost(f"{what}: {last or type(error).__name__}", "is the Engine running?")


def connect(address: str, *, tls: docker.tls.TLSConfig | None = None, timeout: int | None = _TIMEOUT) -> APIClient:
    """Return a client with the API version negotiated; raises EngineLost, NotReachable, UsageError.

    A client's HTTP session belongs to one thread; every stream and every thread takes a client of its own.
    """
    try:
        with engine_errors(address):
            return _Client(
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


class _Client(APIClient):  # type: ignore[misc] # the SDK has no types
    """The SDK's client, which trusts the Engine's own CA whatever the environment says of others."""

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


def close_stream(stream: Any) -> None:
    """End a stream of the SDK that another thread waits on; a dead one is ended already."""
    try:
        stream.close()
    except (docker.errors.DockerException, OSError, AttributeError):
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
