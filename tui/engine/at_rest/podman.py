"""podman's storage read without podman: containers from containers.json, their commands from the OCI configuration.

podman has no daemon: a container runs if its ``conmon`` runs. Exit codes are in a database of libpod's that dtui does
not read. Layouts measured on podman 4.3.1 and 5.8.6.
"""

from __future__ import annotations

from typing import Any

from tui.core.errors import DtuiError, LayerError, NotFound
from tui.core.ids import BadId, ContainerId
from tui.core.lifecycle import UNKNOWN_LIFECYCLE, Lifecycle, group_of
from tui.core.records import Container, Details, Driver, DriverKind, EngineFacts, LayerStack, Mount, State
from tui.core.text import printable
from tui.drivers.containers_storage import container_records, has_records
from tui.drivers.data_root import DataRoot, parse_json
from tui.drivers.registry import access_of, driver_for
from tui.engine.at_rest.monitors import Monitor, monitors
from tui.engine.at_rest.without_engine import ON_DISK, AtRest, FileLog, K8sLog
from tui.engine.live import parse
from tui.engine.user_ids import with_ids

_DRIVERS = ("overlay", "vfs")


def is_podman_root(root: DataRoot) -> bool:
    """Return whether a directory is podman's graphroot rather than Docker's data-root."""
    return any(has_records(root, name) for name in _DRIVERS)


class PodmanRoot(AtRest):
    """podman's graphroot on this host. Fulfils :class:`tui.engine.endpoint.Endpoint`."""

    def facts(self) -> EngineFacts:
        """Describe the storage, with the driver that keeps most containers."""
        names = [container.driver.name for container in self.snapshot()]
        name = max(set(names), key=names.count) if names else self.drivers()[0]
        driver = Driver(DriverKind.STORAGE, name)
        return EngineFacts(self.name, "podman storage", "", "", driver, "", str(self.root.path), ON_DISK)

    def drivers(self) -> list[str]:
        """Return the storage drivers that have records here."""
        return [name for name in _DRIVERS if has_records(self.root, name)]

    def snapshot(self) -> tuple[Container, ...]:
        """List the containers of every driver. Of records with the same id the first counts, as for inspect."""
        running = monitors(self.root)
        containers: dict[ContainerId, Container] = {}
        for driver in self.drivers():
            for container in self._listed_of(driver, running):
                containers.setdefault(container.id, container)
        return tuple(containers.values())

    def _listed_of(self, driver: str, running: dict[str, Monitor]) -> list[Container]:
        return [self._listed(record, driver, running) for record in container_records(self.root, driver)]

    def _listed(self, record: dict[str, Any], driver: str, running: dict[str, Monitor]) -> Container:
        try:
            return self._container(record, driver, running)
        except DtuiError as error:
            container_id = _placeholder_id(record)
            kind = Driver(DriverKind.STORAGE, driver)
            return Container(
                self.name, container_id, container_id[:12], State.UNKNOWN, str(error), kind, "?", parse.EPOCH
            )

    @parse.checks_record
    def _container(self, record: dict[str, Any], driver: str, running: dict[str, Monitor]) -> Container:
        container_id = ContainerId(record.get("id"))
        names = record.get("names") or [container_id[:12]]
        state = State.RUNNING if container_id in running else State.EXITED
        return Container(
            endpoint=self.name,
            id=container_id,
            name=parse.lenient_text(names[0], parse.MAX_NAME) or container_id[:12],
            state=state,
            status=state.value.capitalize(),
            driver=Driver(DriverKind.STORAGE, driver),
            image=parse.lenient_text(_metadata(record).get("image-name"), parse.MAX_NAME),
            created=parse.parse_time(record.get("created")) or parse.EPOCH,
            image_id=parse.lenient_text(record.get("image"), 128),
            command=parse.lenient_text(" ".join(_argv(self._configuration(driver, container_id)))),
            trust=ON_DISK.trust,
        )

    def _configuration(self, driver: str, container_id: ContainerId) -> dict[str, Any]:
        """Return the OCI configuration of a container's last start, empty if it never started."""
        name = f"{_userdata(driver, container_id)}/config.json"
        try:
            return self.root.json(name) if self.root.exists(name) else {}
        except DtuiError:
            return {}  # it is rewritten at each start; the row is worth listing without it

    @parse.checks_record
    def mounts(self, container: Container) -> tuple[Mount, ...]:
        """Return a container's mounts; raises LayerError before its first start, since libpod's database has them."""
        configuration = self._configuration(container.driver.name, container.id)
        if not configuration:
            raise LayerError(f"{printable(container.name)} has no OCI configuration", "it was never started")
        return _mounts(configuration)

    def inspect(self, container_id: str) -> Details:
        """Return everything that one container's records say; raises NotFound, LayerError."""
        for driver in self.drivers():
            for record in container_records(self.root, driver):
                if record.get("id") == container_id:
                    running = monitors(self.root)
                    return self._details(self._container(record, driver, running), running.get(container_id))
        raise NotFound(f"there is no container {container_id[:12]}", "dtui ls lists the containers")

    @parse.checks_record
    def _details(self, container: Container, monitor: Monitor | None) -> Details:
        configuration = self._configuration(container.driver.name, container.id)
        process = configuration.get("process")
        pid = monitor.pid if monitor else 0
        stack, problem = self._stack(container)
        stack = with_ids(stack, self.root.path, container.id, pid=pid)
        return Details(
            container=container,
            pid=pid,
            argv=_argv(configuration),
            working_dir=parse.lenient_text(process.get("cwd")) if isinstance(process, dict) else "",
            error="",
            oom_killed=False,
            restart_count=0,
            started_at=monitor.started if monitor else None,
            finished_at=None,
            mounts=_mounts(configuration),
            stack=stack,
            access=access_of(container.driver, stack, local=True, error=problem),
            mount_id=stack.writable.id if stack else "",
            proof=ON_DISK,
            lifecycle=_lifecycle(configuration),
        )

    def _stack(self, container: Container) -> tuple[LayerStack | None, DtuiError | None]:
        storage_driver = driver_for(container.driver)
        if storage_driver is None:
            return None, LayerError(
                f"dtui cannot read podman's {container.driver.name} driver", "it reads overlay and vfs"
            )
        try:
            return storage_driver.from_data_root(self.root, container.id), None
        except DtuiError as error:
            return None, error

    def logs(self, container_id: str, *, follow: bool, tail: int | None) -> FileLog:
        """Return the last lines of the container's k8s-file log; it cannot be followed."""
        del follow
        name = ContainerId(container_id)
        for driver in self.drivers():
            if self.root.exists(f"{_userdata(driver, name)}/ctr.log"):
                return K8sLog(self.root, f"{_userdata(driver, name)}/ctr.log", tail)
        return K8sLog(self.root, f"{_userdata(_DRIVERS[0], name)}/ctr.log", tail)


def _placeholder_id(record: dict[str, Any]) -> ContainerId:
    try:
        return ContainerId(record.get("id"))
    except BadId:
        return ContainerId.placeholder_for(record.get("id"))


def _userdata(driver: str, container_id: ContainerId) -> str:
    return f"{driver}-containers/{container_id}/userdata"


def _metadata(record: dict[str, Any]) -> dict[str, Any]:
    try:
        metadata = parse_json(str(record.get("metadata") or "{}"), "metadata")
    except LayerError:
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _argv(configuration: dict[str, Any]) -> tuple[str, ...]:
    process = configuration.get("process")
    args = process.get("args") if isinstance(process, dict) else None
    return tuple(map(str, args)) if isinstance(args, list) else ()


def _lifecycle(configuration: dict[str, Any]) -> Lifecycle:
    """Return what the OCI configuration says about ``--rm`` and a pod. Policy and labels are in libpod's database."""
    annotations = configuration.get("annotations")
    if not isinstance(annotations, dict):
        return UNKNOWN_LIFECYCLE
    removes = {"TRUE": True, "FALSE": False}.get(str(annotations.get("io.podman.annotations.autoremove")))
    return Lifecycle(removes, group=group_of({k: v for k, v in annotations.items() if isinstance(v, str)}))


def _mounts(configuration: dict[str, Any]) -> tuple[Mount, ...]:
    """Return the mounts over the container's files, including podman's own, but not proc, sys and dev."""
    mounts = []
    for mount in configuration.get("mounts") or []:
        if not isinstance(mount, dict) or mount.get("type") not in ("bind", "tmpfs"):
            continue
        destination, source = parse.path_of(mount.get("destination")), parse.lenient_text(mount.get("source"))
        if destination.startswith(("/dev", "/proc", "/sys")):
            continue
        is_podmans = "/userdata/" in source
        kind = "engine" if is_podmans else str(mount["type"])
        writable = "ro" not in (mount.get("options") or [])
        mounts.append(Mount(destination, source if kind != "tmpfs" else "", kind, writable=writable))
    return tuple(mounts)
