"""From arguments to endpoints and containers: settings, discovery, and REFs."""

from __future__ import annotations

import os
import sys
import tomllib
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from tui.cli.ask_endpoints import ask_all, warn_if_slow
from tui.cli.output import print_note
from tui.core.errors import DtuiError, EditRefused, LayerError, NotFound, UsageError
from tui.core.records import Container, Details, EntryKind
from tui.core.text import printable
from tui.engine.at_rest.docker import OfflineEndpoint
from tui.engine.endpoint import Endpoint
from tui.linux.rooted_paths import normalized, split
from tui.services.discover import Discovery, discover, require_endpoints
from tui.services.resolve import resolve_ref

_SETTINGS = {"hosts": list, "contexts": list, "roots": list, "theme": str}


def settings(path: Path | None) -> dict[str, Any]:
    """Read the TOML settings file: hosts, contexts, roots, theme. Raises UsageError.

    Without a path it is ``config.toml`` in the user's configuration directory, if it exists. A home that belongs to
    somebody else, as after ``sudo -u``, counts as having no settings.
    """
    by_default = path is None
    path = path or platformdirs.user_config_path("dtui") / "config.toml"
    try:
        parsed = tomllib.loads(path.read_text())
    except OSError as error:
        if by_default and isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
            return {}
        raise UsageError(
            f"{printable(str(path))}: {(error.strerror or '').lower()}", "--config takes a file"
        ) from error
    except ValueError as error:
        raise UsageError(f"{printable(str(path))}: {error}", "the README lists the settings") from error
    for name, value in parsed.items():
        if name not in _SETTINGS or not isinstance(value, _SETTINGS[name]):
            raise UsageError(f"{path}: {name} is not a valid setting", f"settings: {', '.join(_SETTINGS)}")
    return parsed


def find_endpoints(options: Namespace) -> Discovery:
    """Find the endpoints that the options name, or the usual ones."""
    if options.sample is not None:
        return Discovery((OfflineEndpoint("demo", options.sample, sample=True),))
    configured = settings(options.config)
    return discover(
        hosts=[*options.host, *configured.get("hosts", [])],
        contexts=[*options.context, *configured.get("contexts", [])],
        roots=[*options.root, *map(Path, configured.get("roots", []))],
    )


@dataclass(frozen=True, slots=True)
class ContainerListing:
    """The containers of all endpoints that answered, and the errors of the others."""

    containers: tuple[Container, ...]
    failures: tuple[tuple[str, DtuiError], ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerFinder:
    """Finds containers in a set of open endpoints."""

    endpoints: tuple[Endpoint, ...]

    def listing(self, endpoint_name: str = "") -> ContainerListing:
        """List the containers of all endpoints, or of one, in parallel."""
        endpoints = [endpoint for endpoint in self.endpoints if endpoint_name in ("", endpoint.name)]
        with warn_if_slow([endpoint.name for endpoint in endpoints]):
            answers = ask_all(endpoints, lambda endpoint: endpoint.snapshot(), patient=len(endpoints) == 1)
        results = [(endpoint.name, answer) for endpoint, answer in zip(endpoints, answers, strict=True)]
        return ContainerListing(
            tuple(container for _, answer in results if not isinstance(answer, DtuiError) for container in answer),
            tuple((name, error) for name, error in results if isinstance(error, DtuiError)),
        )

    def endpoint_of(self, container: Container) -> Endpoint:
        """Return the endpoint of a container."""
        return next(endpoint for endpoint in self.endpoints if endpoint.name == container.endpoint)

    def find(self, ref: str) -> tuple[Endpoint, Details]:
        """Return the endpoint and details of the container that a REF means; raises NotFound, UsageError."""
        name = ref.rpartition("/")[0]
        listing = self.listing(name if name in [endpoint.name for endpoint in self.endpoints] else "")
        if not listing.containers and listing.failures:
            raise listing.failures[0][1]
        try:
            container = resolve_ref(listing.containers, ref)
        except NotFound as error:
            if not listing.failures:
                raise
            unanswered = ", ".join(printable(name) for name, _ in listing.failures)
            raise NotFound(
                f"{error.message} on the endpoints that answered", f"{unanswered} did not answer: dtui ls shows why"
            ) from error
        endpoint = self.endpoint_of(container)
        return endpoint, endpoint.inspect(container.id)

    def find_file(self, ref: str, *, through: bool = True) -> tuple[Endpoint, Details, str]:
        """Return endpoint, details and path of REF:PATH.

        As for docker cp, a path that ends in a slash or in ``/.`` means the directory that a link leads to; without
        ``through`` such a link is refused.
        """
        name, colon, path = ref.partition(":")
        if not colon or not path:
            raise UsageError(f"{printable(ref)} does not name a file", "use REF:PATH, for example web:/etc/app.conf")
        endpoint, details = self.find(name)
        if path.endswith(("/", "/.")) and details.access.kind.readable:
            path = os.fsdecode(_directory_at(details, os.fsencode(path), through=through))
        return endpoint, details, path


def _directory_at(details: Details, path: bytes, *, through: bool) -> bytes:
    """Return the directory that a path with a slash at its end means; raises EditRefused if it is none.

    A path that does not exist is returned as it is. Without ``through`` a symlink to a directory is refused, since what
    removes or renames would be done to the directory.
    """
    from tui.files import readable_tree  # imported here to keep listing containers fast

    hint = "omit the trailing slash"
    with readable_tree(details) as tree, suppress(NotFound):
        canonical_path = tree.canonical_path(normalized(path))
        node = tree.entered(canonical_path).look(canonical_path)
        if node is None or node.kind is EntryKind.DIRECTORY:
            return path
        subject = f"{printable(canonical_path)} is a {node.kind}"
        if node.kind is not EntryKind.SYMLINK:
            raise EditRefused(f"{subject}, not a directory", hint)
        try:
            target = split(tree.canonical_path(canonical_path + b"/name"))[0]
            linked = tree.entered(target).look(target)
        except (LayerError, NotFound):  # a link to itself, or to nothing
            linked = None
        if linked is None or linked.kind is not EntryKind.DIRECTORY:
            raise EditRefused(f"{subject} that leads to no directory", hint)
        if not through:
            raise EditRefused(f"{subject}, not a directory", f"name {printable(target)}, or {hint} for the link")
        return target
    return path


@contextmanager
def open_finder(options: Namespace) -> Iterator[ContainerFinder]:
    """Open the endpoints for a verb and close them afterwards; raises NotReachable if there are none."""
    discovered = require_endpoints(find_endpoints(options))
    if discovered.note:
        print_note(f"dtui: {discovered.note}")
    try:
        yield ContainerFinder(discovered.endpoints)
    finally:
        discovered.close()


def require_terminal(without: str) -> None:
    """Raise UsageError if the app cannot run; ``without`` is what works without a terminal."""
    streams = (sys.stdin, sys.stdout, sys.stderr)  # Textual draws on stderr
    if not all(stream is not None and stream.isatty() for stream in streams):
        raise UsageError("the app needs a terminal", f"{without} without one")
    if os.environ.get("TERM") == "dumb":
        raise UsageError("the app needs a terminal that can show a full screen; TERM is dumb", f"{without} without one")
