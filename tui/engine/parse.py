"""From the Engine's JSON to records; pure. Answers of Docker 20.10 to 29 and podman 4 and 5 are understood."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from tui.core.errors import EngineError, LayerError
from tui.core.model import UNPROVEN, Container, Driver, DriverKind, EngineFacts, Event, Mount, Port, Proof, State
from tui.core.record_ids import BadId, ContainerId
from tui.core.text import printable

Json = Mapping[str, Any]
_Args = ParamSpec("_Args")
_Found = TypeVar("_Found")

_EXIT = re.compile(r"(?:Exited|Dead|Removal In Progress)?\s*\((\d{1,3})\)")
_FRACTION = re.compile(r"(\.\d{1,6})\d*")

EPOCH = datetime.fromtimestamp(0, UTC)

_ENGINE_FILES = (
    ("HostsPath", "/etc/hosts"),
    ("HostnamePath", "/etc/hostname"),
    ("ResolvConfPath", "/etc/resolv.conf"),
)


_OTHER_SHAPE = (
    TypeError,
    KeyError,
    AttributeError,
    ValueError,
    IndexError,
    OverflowError,
    OSError,
    RecursionError,
)
"""What an expression raises that meets another shape of data than it was written for."""


def understood(parser: Callable[_Args, _Found]) -> Callable[_Args, _Found]:
    """Turn an answer of another shape than the API's into one line instead of a traceback."""

    @wraps(parser)
    def checked(*args: _Args.args, **kwargs: _Args.kwargs) -> _Found:
        try:
            return parser(*args, **kwargs)
        except _OTHER_SHAPE as error:
            what = parser.__name__.strip("_").removesuffix("_of").replace("_", " ")
            raise EngineError(
                f"an answer about {what} is not understood", "is this a Docker or podman Engine?"
            ) from error

    return checked


def recorded(reader: Callable[_Args, _Found]) -> Callable[_Args, _Found]:
    """Turn a record on disk of another shape than Engines write into one line instead of a traceback."""

    @wraps(reader)
    def checked(*args: _Args.args, **kwargs: _Args.kwargs) -> _Found:
        try:
            return reader(*args, **kwargs)
        except _OTHER_SHAPE as error:
            what = printable(str(error)[:80])
            raise LayerError(f"the container's record is not understood: {what}", "it is damaged") from error

    return checked


def parse_time(text: object) -> datetime | None:
    """Return an RFC 3339 time with nanoseconds as an aware datetime; None for Docker's year 1 and for garbage."""
    if not isinstance(text, str) or text.startswith("0001-"):
        return None
    try:
        return datetime.fromisoformat(_FRACTION.sub(r"\1", text)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_state(text: object) -> State:
    """Return the state named by the Engine, UNKNOWN for a word of a newer one."""
    word = str(text).lower()
    podman = {"configured": "created", "stopped": "exited", "initialized": "created"}
    word = podman.get(word, word)
    return State(word) if word in {s.value for s in State} else State.UNKNOWN


def exit_code_of(status: str, state: State) -> int | None:
    """Return the code in a list's ``Exited (127) 3 minutes ago``; None for what has not exited."""
    match = _EXIT.match(status)
    return int(match.group(1)) if match and state in (State.EXITED, State.DEAD, State.REMOVING) else None


def is_podman(version: Json) -> bool:
    """Tell podman's compatible API, which names itself in the Components of ``/version``, from Docker's."""
    components = version.get("Components") or []
    first = components[0] if components and isinstance(components[0], dict) else {}
    return "podman" in str(first.get("Name", "")).lower()


@understood
def driver_of(info: Json, version: Json) -> Driver:
    """Tell from ``/info`` and ``/version`` which storage driver, and of which family, an Engine runs.

    The containerd store says ``driver-type io.containerd.snapshotter.v1`` in DriverStatus (Engines 24 to 29);
    the name alone is ambiguous for btrfs and zfs, and podman's ``overlay`` is not Docker's.
    """
    if is_podman(version):
        return Driver(DriverKind.STORAGE, str(info.get("Driver") or "unknown"))
    rows = info.get("DriverStatus") or []
    snapshotter = any(
        isinstance(row, list) and len(row) == 2 and row[0] == "driver-type" and str(row[1]).startswith("io.containerd")
        for row in rows
    )
    name = str(info.get("Driver") or "unknown")
    return Driver(DriverKind.SNAPSHOTTER if snapshotter else DriverKind.GRAPH, name)


@understood
def facts_of(endpoint: str, version: Json, info: Json, proof: Proof = UNPROVEN) -> EngineFacts:
    """Return who answers."""
    rows = {str(r[0]): str(r[1]) for r in info.get("DriverStatus") or [] if isinstance(r, list) and len(r) == 2}
    containerd = info.get("Containerd") or {}
    return EngineFacts(
        endpoint=endpoint,
        product="Podman" if is_podman(version) else "Engine",
        version=str(version.get("Version") or ""),
        api_version=str(version.get("ApiVersion") or ""),
        driver=driver_of(info, version),
        backing=rows.get("Backing Filesystem", "").replace("extfs", "ext4"),
        data_root=str(info.get("DockerRootDir") or ""),
        proof=proof,
        containerd=str(containerd.get("Address") or ""),
        namespace=str((containerd.get("Namespaces") or {}).get("Containers") or "moby"),
    )


@understood
def container_of(row: Json, endpoint: str, driver: Driver) -> Container:
    """Return a row of the list call."""
    names = row.get("Names") or []
    state = parse_state(row.get("State"))
    status = str(row.get("Status") or "")
    ports = row.get("Ports") or []
    return Container(
        endpoint=endpoint,
        id=ContainerId(row["Id"]),
        name=str(names[0]).lstrip("/") if names else str(row["Id"])[:12],
        state=state,
        status=status,
        driver=driver,
        image=str(row.get("Image") or ""),
        created=datetime.fromtimestamp(int(row.get("Created") or 0), UTC),
        exit_code=exit_code_of(status, state),
        image_id=str(row.get("ImageID") or ""),
        command=str(row.get("Command") or ""),
        ports=tuple(
            Port(
                int(p.get("PrivatePort") or 0),
                str(p.get("Type") or "tcp"),
                int(p.get("PublicPort") or 0),
                str(p.get("IP") or ""),
            )
            for p in ports
        ),
        size_rw=int(row["SizeRw"]) if "SizeRw" in row else None,
    )


def listed_container(row: Json, endpoint: str, driver: Driver) -> Container:
    """Return a row of the list call; one whose id is none is listed as unknown, under an id that leads nowhere."""
    try:
        return container_of(row, endpoint, driver)
    except BadId as error:
        container_id = ContainerId.standing_for(row.get("Id"))
        return replace(
            container_of({**row, "Id": container_id}, endpoint, driver), state=State.UNKNOWN, status=str(error)
        )


@understood
def inspected_container(body: Json, endpoint: str, driver: Driver) -> Container:
    """Return the list record of a container from its inspect answer."""
    state = body.get("State") or {}
    kind = parse_state(state.get("Status"))
    code = int(state.get("ExitCode") or 0) if kind in (State.EXITED, State.DEAD, State.REMOVING) else None
    config = body.get("Config") or {}
    return Container(
        endpoint=endpoint,
        id=ContainerId(body["Id"]),
        name=str(body.get("Name") or "").lstrip("/"),
        state=kind,
        status=f"{kind} ({code})" if code is not None else str(kind),
        driver=driver,
        image=str(config.get("Image") or ""),
        created=parse_time(body.get("Created")) or EPOCH,
        exit_code=code,
        image_id=str(body.get("Image") or ""),
        command=" ".join(argv_of(body)),
        ports=ports_of(body),
    )


@understood
def ports_of(body: Json) -> tuple[Port, ...]:
    """Return the ports of an inspect answer."""
    found = []
    for name, bindings in ((body.get("NetworkSettings") or {}).get("Ports") or {}).items():
        number, _, protocol = str(name).partition("/")
        for binding in bindings or [{}]:
            host = str(binding.get("HostPort") or "0")
            if number.isdigit() and host.isdigit():
                found.append(Port(int(number), protocol or "tcp", int(host), str(binding.get("HostIp") or "")))
    return tuple(found)


@understood
def argv_of(body: Json) -> tuple[str, ...]:
    """Return the command line of the main process."""
    return (str(body.get("Path") or ""), *(str(a) for a in body.get("Args") or []))


@understood
def mounts_of(body: Json) -> tuple[Mount, ...]:
    """Return what is mounted over the container's files, the Engine's own three files among it."""
    found = [
        Mount(
            destination=str(m.get("Destination") or ""),
            source=str(m.get("Source") or ""),
            kind=str(m.get("Type") or "bind"),
            name=str(m.get("Name") or ""),
            writable=bool(m.get("RW", True)),
        )
        for m in body.get("Mounts") or []
    ]
    tmpfs = (body.get("HostConfig") or {}).get("Tmpfs") or {}
    found += [Mount(destination=str(path), source="", kind="tmpfs") for path in tmpfs]
    taken = {m.destination for m in found}
    found += [
        Mount(destination=path, source=str(body[key]), kind="engine")
        for key, path in _ENGINE_FILES
        if body.get(key) and path not in taken
    ]
    return tuple(found)


@understood
def settings_of(body: Json) -> tuple[tuple[str, str], ...]:
    """Return what a container was made with and how its networks and health are, as names and values to show."""
    config, state = body.get("Config") or {}, body.get("State") or {}
    policy = (body.get("HostConfig") or {}).get("RestartPolicy") or {}
    found = []
    if policy.get("Name"):
        most = policy.get("MaximumRetryCount")
        found.append(("restart", str(policy["Name"]) + (f", at most {most} times" if most else "")))
    health = state.get("Health") or {}
    if health.get("Status"):
        found.append(("health", _health_words(health)))
    for name, network in ((body.get("NetworkSettings") or {}).get("Networks") or {}).items():
        # a record on disk keeps what the Engine's answer shows one step deeper
        settings = network.get("EndpointSettings") or network
        found.append((f"network {name}", str(settings.get("IPAddress") or "no address now")))
    if config.get("User"):
        found.append(("user", str(config["User"])))
    found += [("label", f"{name}={value}") for name, value in sorted((config.get("Labels") or {}).items())]
    found += [("env", str(pair)) for pair in config.get("Env") or []]
    return tuple(found)


def _health_words(health: Json) -> str:
    words, failed = str(health["Status"]), int(health.get("FailingStreak") or 0)
    last = str(((health.get("Log") or [{}])[-1] or {}).get("Output") or "").strip().split("\n")[0]
    return words + (f", failed {failed} times in a row: {last}" if failed else "")


@understood
def event_of(body: Json) -> Event:
    """Return an event; Docker's ``health_status: healthy`` keeps its words."""
    actor = body.get("Actor") or {}
    code = str((actor.get("Attributes") or {}).get("exitCode") or "")
    return Event(
        action=str(body.get("Action") or body.get("status") or ""),
        id=str(actor.get("ID") or body.get("id") or ""),
        exit_code=int(code) if code.lstrip("-").isdigit() else None,
    )
