"""docker's contexts, as the docker command stores them below ``~/.docker`` or ``$DOCKER_CONFIG``.

The SDK finds them only next to an existing ``config.json``, which the docker command does not need. Layout:
docker/cli, cli/context/store.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.core.errors import UsageError
from tui.core.text import printable

_LARGEST = 1 << 20
"""Largest file of docker's configuration in bytes."""

_HINT = "docker context ls lists them"


@dataclass(frozen=True, slots=True)
class DockerContext:
    """Where an Engine is and, with TLS, the files that prove who is who."""

    name: str
    host: str
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    skip_verify: bool = False


def current_context() -> str:
    """Return the name of the context that docker uses, empty for its default one.

    As for docker, a config.json that cannot be read counts as none.
    """
    with suppress(UsageError):
        name = _json(_configuration() / "config.json").get("currentContext") or ""
        return "" if name == "default" else str(name)
    return ""


def read_context(name: str) -> DockerContext:
    """Read a context; raises UsageError if there is none of this name."""
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()
    contexts = _configuration() / "contexts"
    meta = contexts / "meta" / digest / "meta.json"
    if not meta.is_file():
        raise UsageError(f"there is no docker context {printable(name)}", _HINT)
    endpoints = _json(meta).get("Endpoints")
    endpoint = endpoints.get("docker") if isinstance(endpoints, dict) else None
    if not isinstance(endpoint, dict):
        raise UsageError(f"the docker context {printable(name)} has no docker endpoint", _HINT)
    host = endpoint.get("Host")
    if not isinstance(host, str) or not host:
        raise UsageError(f"the docker context {printable(name)} has no address", _HINT)
    tls = contexts / "tls" / digest / "docker"
    ca, certificate, proof_key = (
        path if (path := tls / file).is_file() else None for file in ("ca.pem", "cert.pem", "key.pem")
    )
    return DockerContext(name, host, ca, certificate, proof_key, bool(endpoint.get("SkipTLSVerify")))


def _configuration() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or "~/.docker").expanduser()


def _json(path: Path) -> dict[str, Any]:
    """Return a file of docker's, empty if it does not exist; raises UsageError if it cannot be read."""
    try:
        with path.open("rb") as file:
            body = json.loads(file.read(_LARGEST))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is not JSON"
        raise UsageError(f"{printable(str(path))}: {reason.lower()}", "docker reads it, too: repair it") from error
    return body if isinstance(body, dict) else {}
