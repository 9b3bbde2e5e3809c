"""A data-root read without its daemon: containers from their records, layers from the driver's directories."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from tui.core.errors import DtuiError, LayerError, NotFound, NotReachable
from tui.core.model import Container, Details, Driver, DriverKind, EngineFacts, LayerStack, Mount, State
from tui.core.record_ids import ContainerId
from tui.core.text import printable
from tui.drivers.base import read_json
from tui.drivers.registry import GRAPH_DRIVERS, driver_for, reach_of
from tui.drivers.users import REMAPPED
from tui.engine import parse
from tui.engine.atrest import ON_DISK, AtRest, FileLog, JsonLog
from tui.engine.owners import with_ids

_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
_OF_BOTH_KINDS = frozenset(("btrfs", "zfs"))

_UNKNOWN = Driver(DriverKind.GRAPH, "unknown")


def is_data_root(root: Path) -> bool:
    """Tell a data-root of Docker's: podman and containerd keep directories of these names in /etc and /var/lib too."""
    try:
        records = os.listdir(root / "containers")
    except OSError:
        return False
    own = ("image", "buildkit", "engine-id", "containerd/daemon")
    return any(os.path.exists(root / name) for name in own) or any(map(_CONTAINER_ID.fullmatch, records))


class OfflineEndpoint(AtRest):
    """A data-root on this host. Fulfils :class:`tui.engine.endpoint.Endpoint`; nothing in it is written here."""

    def __init__(self, name: str, root: Path, *, sample: bool = False) -> None:
        """Open a data-root; in the ``sample`` of the demo states are as recorded, for it has no processes."""
        super().__init__(name, root)
        self._sample = sample
        if not is_data_root(root):
            raise self._why_no_root(root)
        self._known: dict[str, tuple[tuple[int, int], Container]] = {}

    @staticmethod
    def _why_no_root(root: Path) -> DtuiError:
        shown = printable(str(root))
        if not os.path.exists(root) and os.access(root.parent, os.X_OK):
            return NotFound(f"{shown} does not exist", "name the Engine's data-root, such as /var/lib/docker")
        if not os.access(root, os.R_OK | os.X_OK):
            return NotReachable(f"{shown}: permission denied", "run dtui as root, or use sudo")
        remapped = [p.name for p in root.iterdir() if REMAPPED.fullmatch(p.name)]
        if remapped:
            return NotFound(f"{shown} is remapped", f"name {shown}/{remapped[0]}, where the containers are")
        return NotFound(f"{shown} is no data-root: it has no containers and no images", "docker info names it")

    def facts(self) -> EngineFacts:
        """Say what kind of data-root it is, by the driver that most containers use."""
        drivers = [row.driver for row in self.snapshot()]
        known = sorted({driver for driver in drivers if driver != _UNKNOWN}, key=lambda driver: driver.name)
        common = max(known, key=drivers.count) if known else _UNKNOWN
        product = "sample data-root" if self._sample else "data-root without daemon"
        return EngineFacts(self.name, product, "", "", common, "", str(self.root.path), ON_DISK)

    def snapshot(self) -> tuple[Container, ...]:
        """List the containers; one with a damaged record is listed as unknown and hides no other."""
        try:
            names = sorted(os.listdir(self.root.path / "containers"))
        except OSError as error:
            raise NotReachable(
                f"{printable(self.address)}: {error.strerror}", "run dtui as root, or use sudo"
            ) from error
        return tuple(self._row(ContainerId(name)) for name in names if _CONTAINER_ID.fullmatch(name))

    def rows_beside(self, listed: set[str]) -> tuple[Container, ...]:
        """List the containers on disk that are not among those listed; records that do not change are read once."""
        try:
            names = set(os.listdir(self.root.path / "containers")) - listed
        except OSError:
            return ()  # the data-root went away: the Engine, which is asked first, tells that
        found = []
        for name in sorted(filter(_CONTAINER_ID.fullmatch, names)):
            with suppress(OSError):
                record = os.stat(self.root.path / "containers" / name / "config.v2.json")
                stamp = (record.st_ino, record.st_mtime_ns)
                if self._known.get(name, (None,))[0] != stamp:
                    self._known[name] = (stamp, self._row(ContainerId(name)))
                found.append(self._known[name][1])
        return tuple(found)

    def knows_any(self, ids: Collection[ContainerId]) -> bool:
        """Say whether one of these containers has a record here."""
        return any(os.path.isdir(self.root.path / "containers" / one) for one in ids)

    def _row(self, container_id: ContainerId) -> Container:
        try:
            return self._container(self._record(container_id))
        except DtuiError as error:
            return Container(
                self.name, container_id, container_id[:12], State.UNKNOWN, str(error), _UNKNOWN, "?", parse.EPOCH
            )

    def _record(self, container_id: ContainerId) -> dict[str, Any]:
        body = read_json(self.root.path / "containers" / container_id / "config.v2.json")
        if body.get("ID") != container_id:
            raise LayerError("the record is of another container", "the data-root is damaged")
        return body

    @parse.recorded
    def _container(self, body: dict[str, Any]) -> Container:
        state, code = _state_of(body, believe=self._sample)
        config = _object(body, "Config")
        shown = f"Exited ({code})" if code is not None else state.value.capitalize()
        return Container(
            endpoint=self.name,
            id=ContainerId(body["ID"]),
            name=str(body.get("Name") or "").lstrip("/") or str(body["ID"])[:12],
            state=state,
            status=shown,
            driver=self._driver_of(str(body.get("Driver") or "unknown"), str(body["ID"])),
            image=str(config.get("Image") or ""),
            created=parse.parse_time(body.get("Created")) or parse.EPOCH,
            exit_code=code,
            image_id=str(body.get("Image") or ""),
            command=" ".join(parse.argv_of(body)),
            ports=parse.ports_of(body),
            trust=ON_DISK.trust,
        )

    def _driver_of(self, name: str, container_id: str) -> Driver:
        """Return the driver of a record; ``btrfs`` and ``zfs`` are graph drivers where layerdb knows the container."""
        graph = name in GRAPH_DRIVERS
        if name in _OF_BOTH_KINDS:
            graph = os.path.exists(self.root.path / "image" / name / "layerdb" / "mounts" / container_id)
        return Driver(DriverKind.GRAPH if graph else DriverKind.SNAPSHOTTER, name)

    def inspect(self, container_id: str) -> Details:
        """Tell everything that the records of one container say."""
        if not os.path.isdir(self.root.path / "containers" / ContainerId(container_id)):
            raise NotFound(f"there is no container {printable(container_id[:12])}", "the list shows what there is")
        return self._details(self._record(ContainerId(container_id)))

    @parse.recorded
    def _details(self, body: dict[str, Any]) -> Details:
        container = self._container(body)
        state = _object(body, "State")
        pid = int(state.get("Pid") or 0) if container.state.alive else 0
        stack, problem = self._stack(container)
        stack = with_ids(stack, self.root.path, container.id, pid=pid, mode=self._users_mode(container.id))
        return Details(
            container=container,
            pid=pid,
            argv=parse.argv_of(body),
            working_dir=str(_object(body, "Config").get("WorkingDir") or ""),
            error=str(state.get("Error") or ""),
            oom_killed=bool(state.get("OOMKilled")),
            restart_count=int(body.get("RestartCount") or 0),
            started_at=parse.parse_time(state.get("StartedAt")),
            finished_at=parse.parse_time(state.get("FinishedAt")),
            mounts=_mounts_of(body),
            stack=stack,
            reach=reach_of(container.driver, stack, local=True, problem=problem),
            log_path=str(body.get("LogPath") or ""),
            mount_id=stack.writable.id if stack else "",
            settings=parse.settings_of(body),
            proof=ON_DISK,
        )

    def _users_mode(self, container_id: str) -> str:
        path = self.root.path / "containers" / container_id / "hostconfig.json"
        with suppress(DtuiError):  # the container's own record is whole: only this setting is not known
            return str(read_json(path).get("UsernsMode") or "") if os.path.exists(path) else ""
        return ""

    def _stack(self, container: Container) -> tuple[LayerStack | None, DtuiError | None]:
        known = driver_for(container.driver)
        if known is None:
            return None, None
        try:
            return known.from_data_root(self.root, container.id), None
        except DtuiError as error:
            return None, error

    def logs(self, container_id: str, *, follow: bool, tail: int | None) -> FileLog:
        """Yield the last lines of the container's json-file log; it cannot be followed."""
        del follow
        name = ContainerId(container_id)
        return JsonLog(self.root.path / "containers" / name / f"{name}-json.log", tail)


def _object(body: dict[str, Any], key: str) -> dict[str, Any]:
    value = body.get(key)
    return value if isinstance(value, dict) else {}


def _state_of(body: dict[str, Any], *, believe: bool) -> tuple[State, int | None]:
    """Return state and exit code; after a crash ``Running`` is stale, so the process is looked for."""
    state = _object(body, "State")
    code = int(state.get("ExitCode") or 0)
    if state.get("Running") and (believe or _process_is(int(state.get("Pid") or 0), str(body["ID"]))):
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


def _process_is(pid: int, container_id: str) -> bool:
    if pid <= 0:
        return False
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as groups:
            return container_id in groups.read(65536)
    except OSError:
        return False


def _mounts_of(body: dict[str, Any]) -> tuple[Mount, ...]:
    points = [
        {**point, "RW": point.get("RW", True)}
        for point in _object(body, "MountPoints").values()
        if isinstance(point, dict)
    ]
    return parse.mounts_of({**body, "Mounts": points, "HostConfig": {}})
