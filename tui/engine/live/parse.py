"""Parse the Engine's JSON into records. Pure; understands Docker 20.10 to 29 and podman 4 and 5."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from tui.core.errors import DtuiError, EngineError, LayerError
from tui.core.ids import ContainerId
from tui.core.lifecycle import NO_GROUP, Lifecycle, group_of
from tui.core.records import (
    UNPROVEN,
    Change,
    Container,
    Driver,
    DriverKind,
    EngineFacts,
    Event,
    Mount,
    Port,
    Proof,
    State,
)
from tui.core.text import printable

Json = Mapping[str, Any]
_Args = ParamSpec("_Args")
_Parsed = TypeVar("_Parsed")

_CHANGES = (Change.MODIFIED, Change.ADDED, Change.DELETED)
"""``Kind`` 0, 1 and 2 of the changes API."""

_EXIT = re.compile(r"(?:Exited|Dead|Removal In Progress)?\s*\((\d{1,3})\)")
_EXIT_CODE = re.compile(r"-?[0-9]{1,10}")
_FRACTION = re.compile(r"(\.\d{1,6})\d*")

_MAX_TEXT = 4096
"""Longest text in characters that is kept for display."""

_MAX_BRIEF = 400
"""Longest label in characters that is shown in full."""

MAX_NAME = 1024
"""Longest name in a record, in characters; Engines allow far shorter ones."""

_MAX_PORTS = 1_000
"""Most ports of a container; a range of published ports may have as many."""

_MAX_SETTINGS = 10_000
"""Most labels, variables and networks of a container."""

_MAX_PID = 1 << 22
"""The kernel's largest process id (PID_MAX_LIMIT)."""

MAX_CONTAINERS = 20_000
"""Most containers that are listed of an Engine."""

MAX_CHANGES = 500_000
"""Most changed paths that are listed of a container."""

EPOCH = datetime.fromtimestamp(0, UTC)

_ENGINE_FILES = (
    ("HostsPath", "/etc/hosts"),
    ("HostnamePath", "/etc/hostname"),
    ("ResolvConfPath", "/etc/resolv.conf"),
)


_SHAPE_ERRORS = (
    TypeError,
    KeyError,
    AttributeError,
    ValueError,
    IndexError,
    OverflowError,
    OSError,
    RecursionError,
)
"""What code raises when the data has another shape than it was written for."""


def checks_answer(subject: str) -> Callable[[Callable[_Args, _Parsed]], Callable[_Args, _Parsed]]:
    """Decorate a parser to raise EngineError, which names the subject, for an answer of the wrong shape."""

    def decorate(parser: Callable[_Args, _Parsed]) -> Callable[_Args, _Parsed]:
        @wraps(parser)
        def checked(*args: _Args.args, **kwargs: _Args.kwargs) -> _Parsed:
            try:
                return parser(*args, **kwargs)
            except _SHAPE_ERRORS as error:
                raise EngineError(
                    f"the Engine's answer about {subject} is not valid", "check that it is a Docker or podman Engine"
                ) from error

        return checked

    return decorate


def checks_record(reader: Callable[_Args, _Parsed]) -> Callable[_Args, _Parsed]:
    """Decorate a reader to raise LayerError for a record of the wrong shape."""

    @wraps(reader)
    def checked(*args: _Args.args, **kwargs: _Args.kwargs) -> _Parsed:
        try:
            return reader(*args, **kwargs)
        except _SHAPE_ERRORS as error:
            reason = printable(str(error)[:80])
            raise LayerError(f"the container's record is invalid: {reason}", "it is damaged") from error

    return checked


# Values of a JSON document: the right kind, or an error; None counts as left out -----------------------------


def object_of(value: object) -> Json:
    """Return a JSON object, {} for None; raises TypeError."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} instead of an object")
    return value


def list_of(value: object) -> list[Any]:
    """Return a JSON list, [] for None; raises TypeError."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} instead of a list")
    return value


def text_of(value: object, limit: int = _MAX_TEXT) -> str:
    """Return a string, truncated to what is worth showing, "" for None; raises TypeError."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} instead of a text")
    return value[:limit]


def path_of(value: object) -> str:
    """Return a string that names a path, in full; raises TypeError, ValueError if no file system can have it."""
    text = text_of(value)
    if "\0" in text:
        raise ValueError("a path with a NUL byte")
    os.fsencode(text)
    return text


def lenient_text(value: object, limit: int = _MAX_TEXT) -> str:
    """Return a value of a record on disk as text, truncated, whatever its type."""
    return str(value or "")[:limit]


def number_of(value: object, lowest: int = 0, highest: int = 2**63 - 1) -> int:
    """Return a whole number in a range, ``lowest`` for None; raises TypeError, ValueError."""
    if value is None:
        return lowest
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{type(value).__name__} instead of a whole number")
    if not lowest <= value <= highest:
        raise ValueError("a number out of its range")
    return value


def _lenient(parser: Callable[[], _Parsed], default: _Parsed) -> _Parsed:
    """Parse a value that is only displayed; a malformed one becomes ``default`` and hides no container."""
    try:
        return parser()
    except _SHAPE_ERRORS:
        return default


def parse_time(text: object) -> datetime | None:
    """Return an RFC 3339 time with nanoseconds as an aware datetime; None for Docker's year 1 and invalid text."""
    if not isinstance(text, str) or len(text) > 64 or text.startswith("0001-"):
        return None
    try:
        return datetime.fromisoformat(_FRACTION.sub(r"\1", text)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_state(text: object) -> State:
    """Return the State for the Engine's word, UNKNOWN for a word of a newer Engine."""
    word = text[:32].lower() if isinstance(text, str) else ""
    podman = {"configured": "created", "stopped": "exited", "initialized": "created"}
    word = podman.get(word, word)
    return State(word) if word in {s.value for s in State} else State.UNKNOWN


def exit_code_of(status: str, state: State) -> int | None:
    """Return the code in a list's ``Exited (127) 3 minutes ago``, None if the container has not exited."""
    match = _EXIT.match(status)
    return int(match.group(1)) if match and state in (State.EXITED, State.DEAD, State.REMOVING) else None


def is_podman(version: Json) -> bool:
    """Return whether ``/version`` comes from podman, which names itself in Components."""
    components = list_of(version.get("Components"))
    first = components[0] if components and isinstance(components[0], dict) else {}
    return "podman" in str(first.get("Name", "")).lower()


@checks_answer("its storage driver")
def driver_of(info: Json, version: Json) -> Driver:
    """Return the storage driver and its family from ``/info`` and ``/version``.

    The containerd store reports ``driver-type io.containerd.snapshotter.v1`` in DriverStatus (Engines 24 to 29). The
    name alone is ambiguous for btrfs and zfs, and podman's ``overlay`` is not Docker's.
    """
    name = text_of(info.get("Driver"), 64) or "unknown"
    if is_podman(version):
        return Driver(DriverKind.STORAGE, name)
    snapshotter = _status_of(info).get("driver-type", "").startswith("io.containerd")
    return Driver(DriverKind.SNAPSHOTTER if snapshotter else DriverKind.GRAPH, name)


def _status_of(info: Json) -> dict[str, str]:
    """Return what a storage driver reports about itself; entries that are not pairs of strings are skipped."""
    rows = [row for row in list_of(info.get("DriverStatus")) if isinstance(row, list) and len(row) == 2]
    return {row[0]: row[1][:_MAX_TEXT] for row in rows if isinstance(row[0], str) and isinstance(row[1], str)}


@checks_answer("itself")
def facts_of(endpoint: str, version: Json, info: Json, proof: Proof = UNPROVEN) -> EngineFacts:
    """Return the EngineFacts."""
    if not isinstance(version, dict) or not isinstance(info, dict):
        raise TypeError("not an object")
    containerd = object_of(info.get("Containerd"))
    return EngineFacts(
        endpoint=endpoint,
        product="Podman" if is_podman(version) else "Engine",
        version=text_of(version.get("Version"), 64),
        api_version=text_of(version.get("ApiVersion"), 16),
        driver=driver_of(info, version),
        backing=_status_of(info).get("Backing Filesystem", "").replace("extfs", "ext4"),
        data_root=_lenient(lambda: path_of(info.get("DockerRootDir")), ""),
        proof=proof,
        containerd=_lenient(lambda: path_of(containerd.get("Address")), ""),
        namespace=text_of(object_of(containerd.get("Namespaces")).get("Containers")) or "moby",
    )


@checks_answer("a container")
def container_of(row: object, endpoint: str, driver: Driver) -> Container:
    """Parse a row of the list call. Its id and its layer's size must be valid; what is only displayed need not be."""
    if not isinstance(row, dict):
        raise TypeError("a row that is not an object")
    container_id = ContainerId(row.get("Id"))
    state = parse_state(row.get("State"))
    status = _lenient(lambda: text_of(row.get("Status"), 256), "")
    return Container(
        endpoint=endpoint,
        id=container_id,
        name=_lenient(lambda: text_of(list_of(row.get("Names"))[0], 256).lstrip("/"), "") or container_id[:12],
        state=state,
        status=status,
        driver=driver,
        image=_lenient(lambda: text_of(row.get("Image"), 1024), ""),
        created=_lenient(lambda: datetime.fromtimestamp(number_of(row.get("Created")), UTC), EPOCH),
        exit_code=exit_code_of(status, state),
        image_id=_lenient(lambda: text_of(row.get("ImageID"), 128), ""),
        command=_lenient(lambda: text_of(row.get("Command"), 1024), ""),
        ports=_lenient(lambda: tuple(_port_of(port) for port in list_of(row.get("Ports"))[:_MAX_PORTS]), ()),
        size_rw=_lenient(lambda: number_of(row["SizeRw"]) if row.get("SizeRw") is not None else None, None),
        health=_health_in(status) if state is State.RUNNING else "",
        group=_lenient(lambda: group_of(_texts_in(row.get("Labels"))), NO_GROUP),
    )


def _health_in(status: str) -> str:
    """Return the health in the status of a list: ``Up 3 minutes (unhealthy)``, ``(health: starting)``."""
    match = _HEALTH.search(status)
    return match[1] if match else ""


HEALTH = ("healthy", "unhealthy", "starting")
_HEALTH = re.compile(r"\((?:health: )?(healthy|unhealthy|starting)\)$")


def listed_container(row: object, endpoint: str, driver: Driver) -> Container:
    """Parse a row of the list call; a malformed one is listed as unknown, under a placeholder id."""
    try:
        return container_of(row, endpoint, driver)
    except DtuiError as error:
        placeholder = ContainerId.placeholder_for(row.get("Id") if isinstance(row, dict) else row)
        if not isinstance(row, dict):
            row = {"Names": ["?"]}
        container = container_of({**row, "Id": placeholder}, endpoint, driver)
        return replace(container, state=State.UNKNOWN, status=str(error))


def _port_of(port: object) -> Port:
    fields = object_of(port)
    return Port(
        number_of(fields.get("PrivatePort"), highest=65535),
        text_of(fields.get("Type"), 16) or "tcp",
        number_of(fields.get("PublicPort"), highest=65535),
        text_of(fields.get("IP"), 64),
    )


@checks_answer("a change")
def change_of(row: object) -> tuple[bytes, Change]:
    """Parse a row of the changes call: a path and its ``Kind``, 0 to 2."""
    fields = object_of(row)
    path = fields["Path"]
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise ValueError("not a path")
    if fields.get("Kind") is None:
        raise ValueError("a change without a kind")
    return os.fsencode(path), _CHANGES[number_of(fields["Kind"], highest=2)]


@checks_answer("a container's id")
def container_id_of(body: Json) -> str:
    """Return the id of what the Engine created."""
    identifier = text_of(object_of(body).get("Id"), 128)
    if not identifier.isascii() or not identifier.isalnum():
        raise ValueError("not an id")
    return identifier


@checks_answer("an image's labels")
def labels_of(row: object) -> Mapping[str, str]:
    """Return the labels of a row whose values are strings."""
    return _texts_in(object_of(row).get("Labels"))


def _texts_in(labels: object) -> dict[str, str]:
    """Return the values of a JSON object that are texts; raises TypeError if it is none."""
    return {name: value for name, value in object_of(labels).items() if isinstance(value, str)}


@checks_answer("a container's labels")
def id_and_label(row: object, label: str) -> tuple[str, str]:
    """Return the id of a row, and the value of one of its labels."""
    return ContainerId(object_of(row).get("Id")), labels_of(row)[label]


@checks_answer("its images")
def image_ids(rows: object) -> list[str]:
    """Return the ids in a list of images."""
    return [text_of(object_of(row)["Id"], 128) for row in list_of(rows)]


@checks_answer("a process")
def process_exit_code(body: Json) -> int | None:
    """Return the exit code of a process in a container, None while it runs."""
    code = object_of(body).get("ExitCode")
    return None if code is None or object_of(body).get("Running") else number_of(code, -(2**31), 2**32)


@checks_answer("a container's terminal")
def is_tty(body: Json) -> bool:
    """Return whether a container has a terminal, so that its log is not multiplexed."""
    return object_of(object_of(body).get("Config")).get("Tty") is True


@checks_answer("a container")
def inspected_container(body: Json, endpoint: str, driver: Driver) -> Container:
    """Return the Container for an inspect answer."""
    state = object_of(object_of(body).get("State"))
    kind = parse_state(state.get("Status"))
    ended = kind in (State.EXITED, State.DEAD, State.REMOVING)
    code = number_of(state.get("ExitCode") or 0, -(2**31), 2**32) if ended else None
    config = object_of(body.get("Config"))
    health = text_of(object_of(state.get("Health")).get("Status"), 64)
    return Container(
        endpoint=endpoint,
        id=ContainerId(body["Id"]),
        name=text_of(body.get("Name"), 256).lstrip("/"),
        state=kind,
        status=f"{kind} ({code})" if code is not None else str(kind),
        driver=driver,
        image=text_of(config.get("Image"), 1024),
        created=parse_time(body.get("Created")) or EPOCH,
        exit_code=code,
        image_id=text_of(body.get("Image"), 128),
        command=" ".join(argv_of(body))[:_MAX_TEXT],
        ports=ports_of(body),
        health=health if kind is State.RUNNING and health in HEALTH else "",
        group=group_of(dict(container_labels(body))),
    )


@checks_answer("a container's ports")
def ports_of(body: Json) -> tuple[Port, ...]:
    """Return the ports in an inspect answer."""
    ports: list[Port] = []
    for name, bindings in object_of(object_of(body.get("NetworkSettings")).get("Ports")).items():
        number, _, protocol = name.partition("/")
        for binding in list_of(bindings) or [{}]:
            fields = object_of(binding)
            host = text_of(fields.get("HostPort")) or "0"
            if _is_port(number) and _is_port(host) and len(ports) < _MAX_PORTS:
                ports.append(Port(int(number), protocol[:16] or "tcp", int(host), text_of(fields.get("HostIp"), 64)))
    return tuple(ports)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6 and int(text) < 65536


@checks_answer("a container's process")
def pid_of(body: Json) -> int:
    """Return the pid of the main process, 0 for none."""
    return number_of(object_of(body.get("State")).get("Pid"), highest=_MAX_PID)


@checks_answer("a container's command")
def argv_of(body: Json) -> tuple[str, ...]:
    """Return the command line of the main process."""
    return (text_of(body.get("Path")), *(text_of(word) for word in list_of(body.get("Args"))[:_MAX_SETTINGS]))


@checks_answer("a container's mounts")
def mounts_of(body: Json) -> tuple[Mount, ...]:
    """Return the mounts over the container's files, including the Engine's own three.

    A malformed one makes the whole answer invalid: dtui would otherwise write below a mount that it does not know
    about.
    """
    mounts = [_mount_of(object_of(mount)) for mount in list_of(body.get("Mounts"))]
    tmpfs = object_of(object_of(body.get("HostConfig")).get("Tmpfs"))
    mounts += [Mount(destination=path_of(path), source="", kind="tmpfs") for path in tmpfs]
    destinations = {m.destination for m in mounts}
    mounts += [
        Mount(destination=path, source=text_of(body[key]), kind="engine")
        for key, path in _ENGINE_FILES
        if body.get(key) and path not in destinations
    ]
    return tuple(mounts)


def _mount_of(mount: Json) -> Mount:
    writable = mount.get("RW", True)
    if not isinstance(writable, bool):
        raise TypeError("RW of a mount is not a boolean")
    return Mount(
        destination=path_of(mount.get("Destination")),
        source=text_of(mount.get("Source")),
        kind=text_of(mount.get("Type"), 64) or "bind",
        name=text_of(mount.get("Name")),
        writable=writable,
    )


@checks_answer("a container's settings")
def settings_of(body: Json) -> tuple[tuple[str, str], ...]:
    """Return a container's settings, networks and health as names and values for display."""
    config, state = object_of(body.get("Config")), object_of(body.get("State"))
    policy = object_of(object_of(body.get("HostConfig")).get("RestartPolicy"))
    pairs: list[tuple[str, str]] = []
    if name := text_of(policy.get("Name"), 64):
        retries = number_of(policy.get("MaximumRetryCount"))
        pairs.append(("restart", name + (f", at most {retries} times" if retries else "")))
    health = object_of(state.get("Health"))
    if health.get("Status"):
        pairs.append(("health", _health_words(health)))
    for name, raw_network in object_of(object_of(body.get("NetworkSettings")).get("Networks")).items():
        network = object_of(raw_network)
        # a record on disk nests this one level deeper than the Engine's answer
        settings = object_of(network.get("EndpointSettings")) or network
        pairs.append((f"network {name[:256]}", text_of(settings.get("IPAddress"), 64) or "no address now"))
    if user := text_of(config.get("User")):
        pairs.append(("user", user))
    labels = sorted(object_of(config.get("Labels")).items())
    pairs += [("label", _brief(f"{key}={value}")) for key, value in labels[:_MAX_SETTINGS]]
    pairs += [("env", text_of(pair)) for pair in list_of(config.get("Env"))[:_MAX_SETTINGS]]
    return tuple(pairs[:_MAX_SETTINGS])


@checks_answer("a container's lifecycle")
def lifecycle_of(body: Json) -> Lifecycle:
    """Return what removes, restarts or replaces a container; raises EngineError if it cannot be told for certain."""
    host = object_of(body.get("HostConfig"))
    removes = host.get("AutoRemove")
    if removes is not None and not isinstance(removes, bool):
        raise TypeError("a container that is neither removed when it stops nor not")
    policy = object_of(host.get("RestartPolicy"))
    name, most = text_of(policy.get("Name"), 64), number_of(policy.get("MaximumRetryCount"))
    known = name or ("no" if host else "")
    return Lifecycle(
        auto_remove=removes,
        restart_policy=f"{known}:{most}" if known == "on-failure" and most else known,
        group=group_of(dict(container_labels(body))),
    )


@checks_answer("a container's labels")
def container_labels(body: Json) -> tuple[tuple[str, str], ...]:
    """Return a container's labels in full, sorted by name; those that are not texts are left out."""
    labels = object_of(object_of(body.get("Config")).get("Labels"))
    return tuple(sorted((name, value) for name, value in labels.items() if isinstance(value, str)))[:_MAX_SETTINGS]


def _brief(text: str) -> str:
    """Return a text for one entry of a list, shortened if it has kilobytes."""
    return text if len(text) <= _MAX_BRIEF else f"{text[:_MAX_BRIEF]}… ({len(text):,} characters)"


def _health_words(health: Json) -> str:
    status, failed = text_of(health["Status"], 64), number_of(health.get("FailingStreak"))
    last = object_of((list_of(health.get("Log")) or [{}])[-1])
    line = text_of(last.get("Output")).strip().split("\n")[0]
    return status + (f", failed {failed} times in a row: {line}" if failed else "")


@checks_answer("an event")
def event_of(body: object) -> Event:
    """Parse an event; Docker's ``health_status: healthy`` is kept as it is."""
    if not isinstance(body, dict):
        raise TypeError("an event that is not an object")
    actor = object_of(body.get("Actor"))
    code = text_of(object_of(actor.get("Attributes")).get("exitCode"), 16)
    return Event(
        action=text_of(body.get("Action") or body.get("status"), 256),
        id=text_of(actor.get("ID") or body.get("id"), 128),
        exit_code=int(code) if _EXIT_CODE.fullmatch(code) else None,
    )
