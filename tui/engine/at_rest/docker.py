"""Docker's data-root read without the daemon: containers from their records, layers from the driver's directories."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from tui.core.errors import DtuiError, LayerError, NotFound
from tui.core.ids import ContainerId
from tui.core.lifecycle import group_of
from tui.core.records import (
    Container,
    Details,
    Driver,
    DriverKind,
    EngineFacts,
    HostDirectory,
    LayerStack,
    Mount,
    State,
)
from tui.core.text import printable
from tui.drivers.data_root import DataRoot, data_root_error, has_foreign_owner
from tui.drivers.registry import GRAPH_DRIVERS, access_of, driver_for
from tui.drivers.users import REMAPPED
from tui.engine.at_rest.without_engine import ON_DISK, AtRest, FileLog, JsonLog
from tui.engine.live import parse
from tui.engine.user_ids import with_ids
from tui.linux.processes import is_hosts_root, is_in_cgroup, program_of, read_process

_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
_MAX_PID = 1 << 22
"""Upper limit of process ids (kernel: include/linux/threads.h, PID_MAX_LIMIT)."""

_AMBIGUOUS_NAMES = frozenset(("btrfs", "zfs"))

_UNKNOWN = Driver(DriverKind.GRAPH, "unknown")


def is_data_root(root: DataRoot) -> bool:
    """Return whether a directory is Docker's data-root. podman and containerd use some of the same names elsewhere."""
    try:
        records = root.names("containers")
    except OSError:
        return False
    dockers_own = ("image", "buildkit", "engine-id", "containerd/daemon")
    return any(map(root.exists, dockers_own)) or any(map(_CONTAINER_ID.fullmatch, records))


class OfflineEndpoint(AtRest):
    """A data-root on this host. Fulfils :class:`tui.engine.endpoint.Endpoint`; never writes to it."""

    def __init__(self, name: str, root: Path | DataRoot, *, sample: bool = False) -> None:
        """Open a data-root. In the demo's ``sample`` states are as recorded, since it has no processes."""
        super().__init__(name, root)
        self._sample = sample
        if not is_data_root(self.root):
            raise self._not_a_data_root(self.root)
        self._unlisted_cache: dict[str, tuple[tuple[int, int], Container]] = {}

    @staticmethod
    def _not_a_data_root(root: DataRoot) -> DtuiError:
        display_path = printable(str(root.path))
        try:
            names = root.names(".")
            root.names("containers")
        except FileNotFoundError:
            pass
        except OSError as error:
            return data_root_error(display_path, error)
        remapped = [name for name in names if REMAPPED.fullmatch(name)]
        if remapped:
            return NotFound(
                f"{display_path} belongs to a daemon with userns-remap",
                f"its containers are in {display_path}/{remapped[0]}",
            )
        return NotFound(
            f"{display_path} is not a data-root: it has no containers and no images", "docker info shows its path"
        )

    def facts(self) -> EngineFacts:
        """Describe the data-root, with the driver that most of its containers use."""
        drivers = [container.driver for container in self.snapshot()]
        known_drivers = sorted({driver for driver in drivers if driver != _UNKNOWN}, key=lambda driver: driver.name)
        common = max(known_drivers, key=drivers.count) if known_drivers else _UNKNOWN
        product = "sample data-root" if self._sample else "data-root without daemon"
        return EngineFacts(self.name, product, "", "", common, "", str(self.root.path), ON_DISK)

    def snapshot(self) -> tuple[Container, ...]:
        """List the containers. One with a damaged record is listed as unknown and hides no other."""
        try:
            names = sorted(self.root.names("containers"))
        except OSError as error:
            raise data_root_error(self.root.display_path("containers"), error) from error
        return tuple(self._listed(ContainerId(name)) for name in names if _CONTAINER_ID.fullmatch(name))

    def unlisted(self, listed: set[str]) -> tuple[Container, ...]:
        """List the containers on disk that are not in ``listed``. Records are read again only when they change."""
        try:
            names = set(self.root.names("containers")) - listed
        except OSError:
            return ()  # the data-root vanished; the Engine, which is asked first, reports that
        containers = []
        for name in sorted(filter(_CONTAINER_ID.fullmatch, names)):
            with suppress(OSError):
                record = self.root.status(f"containers/{name}/config.v2.json")
                version = (record.st_ino, record.st_mtime_ns)
                if self._unlisted_cache.get(name, (None,))[0] != version:
                    self._unlisted_cache[name] = (version, self._listed(ContainerId(name)))
                containers.append(self._unlisted_cache[name][1])
        return tuple(containers)

    def has_any_of(self, ids: Collection[ContainerId]) -> bool:
        """Return whether one of these containers has a record here."""
        return any(self.root.exists(f"containers/{container_id}") for container_id in ids)

    def _listed(self, container_id: ContainerId) -> Container:
        try:
            return self._container(self._record(container_id))
        except DtuiError as error:
            return Container(
                self.name, container_id, container_id[:12], State.UNKNOWN, str(error), _UNKNOWN, "?", parse.EPOCH
            )

    def _record(self, container_id: ContainerId) -> dict[str, Any]:
        body = self.root.json(f"containers/{container_id}/config.v2.json")
        if body.get("ID") != container_id:
            raise LayerError("the record is of another container", "the data-root is damaged")
        return body

    @parse.checks_record
    def _container(self, body: dict[str, Any]) -> Container:
        container_id = ContainerId(body["ID"])
        state, code = _state_of(
            body, is_running=lambda pid: self._sample or _is_running(self.root.directory, pid, container_id)
        )
        config = _object(body, "Config")
        status = f"Exited ({code})" if code is not None else state.value.capitalize()
        return Container(
            endpoint=self.name,
            id=container_id,
            name=parse.lenient_text(body.get("Name"), parse.MAX_NAME).lstrip("/") or container_id[:12],
            state=state,
            status=status,
            driver=self._driver_of(parse.lenient_text(body.get("Driver"), 64) or "unknown", container_id),
            image=parse.lenient_text(config.get("Image"), parse.MAX_NAME),
            created=parse.parse_time(body.get("Created")) or parse.EPOCH,
            exit_code=code,
            image_id=parse.lenient_text(body.get("Image"), 128),
            command=parse.lenient_text(" ".join(parse.argv_of(body))),
            ports=parse.ports_of(body),
            trust=ON_DISK.trust,
            health=_health_of(body) if state is State.RUNNING else "",
            group=group_of(dict(parse.container_labels(body))),
        )

    def _driver_of(self, name: str, container_id: str) -> Driver:
        """Return the driver in a record. ``btrfs`` and ``zfs`` are graph drivers if layerdb knows the container."""
        is_graph = name in GRAPH_DRIVERS
        if name in _AMBIGUOUS_NAMES:
            is_graph = self.root.exists(f"image/{name}/layerdb/mounts/{container_id}")
        return Driver(DriverKind.GRAPH if is_graph else DriverKind.SNAPSHOTTER, name)

    @parse.checks_record
    def mounts(self, container: Container) -> tuple[Mount, ...]:
        """Return a container's mounts; raises LayerError if its record cannot be read."""
        return _mounts_of(self._record(container.id))

    def inspect(self, container_id: str) -> Details:
        """Return everything that one container's records say; raises NotFound, LayerError."""
        if not self.root.exists(f"containers/{ContainerId(container_id)}"):
            raise NotFound(f"there is no container {printable(container_id[:12])}", "dtui ls lists the containers")
        return self._details(self._record(ContainerId(container_id)))

    @parse.checks_record
    def _details(self, body: dict[str, Any]) -> Details:
        container = self._container(body)
        state = _object(body, "State")
        pid = _pid_of(body) if container.state.alive and not has_foreign_owner(self.root.directory) else 0
        stack, problem = self._stack(container)
        host = self._host_configuration(container.id)
        mode = parse.lenient_text(host.get("UsernsMode"))
        stack = with_ids(stack, self.root.path, container.id, pid=pid, mode=mode)
        settings = {**body, "HostConfig": host}
        return Details(
            container=container,
            pid=pid,
            argv=parse.argv_of(body),
            working_dir=parse.lenient_text(_object(body, "Config").get("WorkingDir")),
            error=parse.lenient_text(state.get("Error")),
            oom_killed=bool(state.get("OOMKilled")),
            restart_count=int(body.get("RestartCount") or 0),
            started_at=parse.parse_time(state.get("StartedAt")),
            finished_at=parse.parse_time(state.get("FinishedAt")),
            mounts=_mounts_of(body),
            stack=stack,
            access=access_of(container.driver, stack, local=True, error=problem),
            log_path=parse.lenient_text(body.get("LogPath")),
            mount_id=stack.writable.id if stack else "",
            settings=parse.settings_of(settings),
            proof=ON_DISK,
            lifecycle=parse.lifecycle_of(settings),
            labels=parse.container_labels(body),
        )

    def _host_configuration(self, container_id: str) -> dict[str, Any]:
        """Return what ``docker run`` was told about the host; empty if that record is missing or damaged."""
        name = f"containers/{container_id}/hostconfig.json"
        with suppress(DtuiError):  # the container's own record is intact; only these settings stay unknown
            body = self.root.json(name) if self.root.exists(name) else {}
            parse.lifecycle_of({"HostConfig": body})
            return body
        return {}

    def _stack(self, container: Container) -> tuple[LayerStack | None, DtuiError | None]:
        storage_driver = driver_for(container.driver)
        if storage_driver is None:
            return None, None
        try:
            return storage_driver.from_data_root(self.root, container.id), None
        except DtuiError as error:
            return None, error

    def logs(self, container_id: str, *, follow: bool, tail: int | None) -> FileLog:
        """Return the last lines of the container's json-file log; it cannot be followed."""
        del follow
        name = ContainerId(container_id)
        return JsonLog(self.root, f"containers/{name}/{name}-json.log", tail)


def _object(body: dict[str, Any], key: str) -> dict[str, Any]:
    value = body.get(key)
    return value if isinstance(value, dict) else {}


def _health_of(body: dict[str, Any]) -> str:
    health = _object(_object(body, "State"), "Health").get("Status")
    return health if health in parse.HEALTH else ""


def _pid_of(body: dict[str, Any]) -> int:
    """Return the recorded pid, 0 for none; raises ValueError if it is not a pid."""
    pid = _object(body, "State").get("Pid") or 0
    if not isinstance(pid, int) or not 0 <= pid < _MAX_PID:
        raise ValueError("Pid is not a process id")
    return pid


def _code_of(state: dict[str, Any]) -> int:
    """Return the recorded exit code; raises ValueError if it is not one."""
    code = int(state.get("ExitCode") or 0)
    if not -(2**31) <= code < 2**32:  # Windows' codes have 32 bits
        raise ValueError("ExitCode is not an exit code")
    return code


def _state_of(body: dict[str, Any], *, is_running: Callable[[int], bool]) -> tuple[State, int | None]:
    """Return state and exit code. ``Running`` may be stale after a crash, so the process is checked."""
    state = _object(body, "State")
    code = _code_of(state)
    if state.get("Running") and is_running(_pid_of(body)):
        if state.get("Restarting"):
            return State.RESTARTING, None
        return (State.PAUSED if state.get("Paused") else State.RUNNING), None
    if state.get("Dead"):
        return State.DEAD, code
    if state.get("RemovalInProgress"):
        return State.REMOVING, code
    if str(state.get("StartedAt") or "0001").startswith("0001"):
        return State.CREATED, None
    return State.EXITED, code


def _is_running(root: HostDirectory, pid: int, container_id: str) -> bool:
    """Return whether a recorded process is still the container's: in its cgroup, and started by the data-root's engine.

    The name of a cgroup alone proves nothing, because users can create cgroups of any name.
    """
    first_process = read_process(pid) if pid else None
    parent = read_process(first_process.parent) if first_process else None
    if parent is None:
        return False
    in_cgroup, by_shim = is_in_cgroup(pid, container_id), "containerd-shim" in program_of(parent.pid)
    if root.owner != 0:  # rootless Docker need not have control groups
        return parent.runs_as(root.owner) and (in_cgroup or by_shim)
    return is_hosts_root(parent) and in_cgroup and by_shim


def _mounts_of(body: dict[str, Any]) -> tuple[Mount, ...]:
    points = [
        {**point, "RW": point.get("RW", True)}
        for point in _object(body, "MountPoints").values()
        if isinstance(point, dict)
    ]
    return parse.mounts_of({**body, "Mounts": points, "HostConfig": {}})
