"""Find the endpoints to open: those named, else DOCKER_HOST, else the docker context, else every usual socket that
answers, else the data-roots of this host.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tui.core.errors import DtuiError, NotReachable, UsageError
from tui.core.text import printable
from tui.drivers.data_root import DataRoot
from tui.engine.at_rest.docker import OfflineEndpoint
from tui.engine.at_rest.podman import PodmanRoot, is_podman_root
from tui.engine.at_rest.usual_roots import usual_roots
from tui.engine.at_rest.without_engine import UnreadableRoot
from tui.engine.endpoint import Endpoint

_PATIENCE, _SSH_PATIENCE = 5, 20
"""Seconds that a candidate has to answer. ssh has to log in first, and gives up on a dead host after ten."""


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An address that was tried, and why it cannot be used."""

    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """The endpoints to use, the addresses that failed, and what the user should know about the choice."""

    endpoints: tuple[Endpoint, ...]
    tried: tuple[FailedAttempt, ...] = ()
    note: str = ""

    def close(self) -> None:
        """Close all connections."""
        for endpoint in self.endpoints:
            endpoint.close()


def usual_sockets() -> list[Path]:
    """Return the sockets of Docker, rootless Docker and podman."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return [
        Path("/var/run/docker.sock"),
        Path(runtime, "docker.sock"),
        Path("/run/podman/podman.sock"),
        Path(runtime, "podman/podman.sock"),
    ]


def discover(*, hosts: Sequence[str] = (), contexts: Sequence[str] = (), roots: Sequence[Path] = ()) -> Discovery:
    """Find endpoints; those named explicitly are used even if nobody answers there yet.

    Raises UsageError for an unknown context or an invalid address, and DtuiError for a single data-root that cannot be
    opened. Among several, such a data-root becomes an endpoint that does not answer.
    """
    if hosts or contexts or roots:
        endpoints: list[Endpoint] = [_live(_short(host), host) for host in hosts]
        endpoints += [_context(name) for name in contexts]
        alone = len(hosts) + len(contexts) + len(roots) == 1
        endpoints += [_at_rest(root) if alone else _at_rest_or_unreadable(root) for root in roots]
        return Discovery(_with_unique_names(endpoints))
    host = os.environ.get("DOCKER_HOST")
    if host:
        return _all_that_answer([("DOCKER_HOST", host)])
    from tui.engine.live.sdk import context_address

    context = context_address(os.environ.get("DOCKER_CONTEXT") or None)
    if context:
        from tui.engine.live.live_endpoint import LiveEndpoint

        return Discovery((LiveEndpoint(context[0], context[1], tls=context[2]),))
    discovered = _all_that_answer([(_socket_name(path), f"unix://{path}") for path in usual_sockets()])
    return discovered if discovered.endpoints else _without_engines(discovered.tried)


def _all_that_answer(candidates: Sequence[tuple[str, str]]) -> Discovery:
    """Try addresses all at once, so that one that hangs delays no other."""
    with ThreadPoolExecutor(max(1, len(candidates))) as threads:
        results = list(threads.map(lambda candidate: _tried(*candidate), candidates))
    endpoints = [result for result in results if not isinstance(result, FailedAttempt)]
    failed = tuple(result for result in results if isinstance(result, FailedAttempt))
    return Discovery(_with_unique_names(endpoints), failed)


def _tried(name: str, address: str) -> Endpoint | FailedAttempt:
    """Return an endpoint that answers, or why it does not."""
    if address.startswith("unix://") and not os.path.exists(address.removeprefix("unix://")):
        return FailedAttempt(address, "there is no such socket")
    try:
        endpoint: Endpoint = _live(_short(address) if name == "DOCKER_HOST" else name, address)
        endpoint.connect(timeout=_SSH_PATIENCE if address.startswith("ssh://") else _PATIENCE).close()  # type: ignore[attr-defined]
    except DtuiError as error:
        return FailedAttempt(address, str(error))
    return endpoint


def _without_engines(tried: tuple[FailedAttempt, ...]) -> Discovery:
    """Read the data-roots of this host while no Engine answers."""
    endpoints, paths = [], []
    for path in usual_roots():
        with suppress(DtuiError):  # it went away
            endpoints.append(_at_rest(path))
            paths.append(printable(str(path)))
    note = f"no Engine answers; read from {' and '.join(paths)}" if paths else ""
    return Discovery(_with_unique_names(endpoints), tried, note)


def open_sample(root: Path) -> Discovery:
    """Build the demo's sample in an empty directory and open it."""
    from tui.engine.sample import build_sample

    build_sample(root)
    return Discovery((OfflineEndpoint("demo", root, sample=True),))


def require_endpoints(discovered: Discovery) -> Discovery:
    """Return the discovery; raises NotReachable, naming what was tried, if it is empty."""
    if discovered.endpoints:
        return discovered
    first = f": {discovered.tried[0].address}: {discovered.tried[0].reason}" if discovered.tried else ""
    more = f", and {len(discovered.tried) - 1} more" if len(discovered.tried) > 1 else ""
    raise NotReachable(
        f"no Docker Engine answers{first}{more}", "dtui doctor shows what is missing; dtui demo works without one"
    )


def _live(name: str, address: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - LiveEndpoint, imported late
    from tui.engine.live.live_endpoint import LiveEndpoint

    return LiveEndpoint(name, address if "://" in address else f"unix://{address}")


def _context(name: str) -> Endpoint:
    from tui.engine.live.live_endpoint import LiveEndpoint
    from tui.engine.live.sdk import context_address

    context = context_address(name)
    address = context[1] if context else "unix:///var/run/docker.sock"
    return LiveEndpoint(name, address, tls=context[2] if context else None)


def _at_rest(root: Path) -> Endpoint:
    """Open a directory as podman's graphroot or Docker's data-root."""
    opened = DataRoot(root)
    name = opened.path.name or "root"
    return PodmanRoot(name, opened) if is_podman_root(opened) else OfflineEndpoint(name, opened)


def _at_rest_or_unreadable(root: Path) -> Endpoint:
    try:
        return _at_rest(root)
    except DtuiError as error:
        return UnreadableRoot(root.name or "root", root, error)


def _short(address: str) -> str:
    """Return a short name for an address: its host, or ``local`` for a socket; raises UsageError if it is invalid.

    The name is the first part of a REF, so it contains neither slash nor colon.
    """
    scheme, _, authority = address.rpartition("://")
    if scheme in ("unix", "http+unix") or "://" not in address:
        return "local"
    host = authority.rsplit("@", 1)[-1].split("/")[0]
    if scheme not in ("tcp", "ssh") or not host:
        raise UsageError(
            f"{printable(address)} is not a Docker address", "for example unix:///run/docker.sock or ssh://host"
        )
    if host.startswith("["):
        return "ip6-" + re.sub("[^0-9a-zA-Z]+", "-", host.partition("]")[0]).strip("-")
    return host.split(":")[0] or address


def _socket_name(path: Path) -> str:
    kind = "podman" if "podman" in path.name else "docker"
    return "local" if str(path) == "/var/run/docker.sock" else f"{kind}-user" if "user" in str(path) else kind


def _with_unique_names(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Number endpoints that have the same name, since the name is the first part of a REF."""
    counts: dict[str, int] = {}
    for endpoint in endpoints:
        counts[endpoint.name] = counts.get(endpoint.name, 0) + 1
        if counts[endpoint.name] > 1:
            endpoint.name = f"{endpoint.name}-{counts[endpoint.name]}"  # type: ignore[misc]
    return tuple(endpoints)
