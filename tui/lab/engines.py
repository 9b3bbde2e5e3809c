"""Throwaway engines: a dockerd of its own for each storage driver to measure, removed without a trace."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tui.core.errors import BenchError, DtuiError
from tui.core.text import printable
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.lab.disks import (
    destroy_pool,
    make_pool,
    mount_disk,
    program,
    remove_devices,
    remove_stale_nodes,
    unmount_below,
)
from tui.lab.engine_host import EngineBenchHost
from tui.linux.process_marks import named_owner_lives, owned_name

_START_TIMEOUT = 60
"""Seconds that a dockerd has to answer."""

_STOP_TIMEOUT = 20
"""Seconds that a process has to end after SIGTERM, and again after SIGKILL."""

_RUN = Path("/run/dtui-lab")
"""Directory of the sockets: their paths must be shorter than 108 bytes."""


@dataclass(frozen=True, slots=True)
class LabDriver:
    """A storage driver in a lab: Docker's name for it, and the disk to create below its data-root."""

    name: str
    storage: str
    disk: str = ""
    containerd: bool = False
    options: tuple[str, ...] = ()


_THIN = (
    "dm.loopdatasize=8G",
    "dm.loopmetadatasize=512M",
    "dm.basesize=4G",
    "dm.override_udev_sync_check=true",  # without udevd, as in a container, the library creates the nodes itself
)

LAB_DRIVERS = (
    LabDriver("overlay2", "overlay2"),
    LabDriver("overlay", "overlay"),
    LabDriver("vfs", "vfs"),
    LabDriver("fuse-overlayfs", "fuse-overlayfs"),
    LabDriver("btrfs", "btrfs", "btrfs"),
    LabDriver("zfs", "zfs", "zfs"),
    LabDriver("devicemapper", "devicemapper", options=_THIN),
    LabDriver("overlay2-xfs", "overlay2", "xfs"),
    LabDriver("containerd", "overlayfs", containerd=True),
)
"""Every kind of lab. :mod:`tui.lab.abilities` tells which can run here."""


class LabDaemon:
    """A dockerd with its own data-root, sockets and disk below one directory.

    The directory's name identifies its owner, so that :func:`sweep_labs` removes it if its dtui was killed.
    """

    def __init__(self, driver: LabDriver, home: Path, disk_size: int) -> None:
        self.driver = driver
        self.home = home / owned_name()
        self.root = self.home / "root"
        self.run_directory = _run_directory(self.home)
        self.log = self.home / "dockerd.log"
        self._disk_size = disk_size
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoint = LiveEndpoint(driver.name, f"unix://{self.run_directory}/docker.sock")

    def start(self) -> None:
        """Create the disk and start the daemon; raises BenchError with its last log line if it does not come up."""
        self.home.mkdir(mode=0o711, parents=True)
        self.run_directory.mkdir(mode=0o700, parents=True)
        (self.run_directory / "home").symlink_to(self.home)
        if self.driver.disk == "zfs":
            make_pool(_pool(self.run_directory), self.home / "disk.img", self.root, self._disk_size)
        elif self.driver.disk:
            mount_disk(self.driver.disk, self.home / "disk.img", self.root, self._disk_size)
        dockerd_path = program("dockerd")
        if dockerd_path is None:
            raise BenchError("dockerd is not installed", "apt-get install docker.io")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - an absolute path, no shell, a clean environment
                [dockerd_path, *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl+C must reach dtui only, which then stops it in an orderly way
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            )
        self._wait_until_up()

    def _arguments(self) -> list[str]:
        features = {"features": {"containerd-snapshotter": True}} if self.driver.containerd else {}
        config = self.home / "daemon.json"
        config.write_text(json.dumps(features))
        arguments = [
            f"--config-file={config}",
            f"--data-root={self.root}",
            f"--exec-root={self.run_directory}/x",
            f"--pidfile={self.run_directory}/docker.pid",
            f"--host=unix://{self.run_directory}/docker.sock",
            "--bridge=none",
            "--iptables=false",
            "--ip-masq=false",
            *(f"--storage-opt={option}" for option in self.driver.options),
        ]
        return arguments if self.driver.containerd else [*arguments, f"--storage-driver={self.driver.storage}"]

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._answers():
            process = self._process
            if time.monotonic() > deadline or process is None or process.poll() is not None:
                raise BenchError(
                    f"dockerd with {self.driver.name} does not start: {self._last_error()}", "dtui drivers"
                )
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(2)
                connection.connect(f"{self.run_directory}/docker.sock")
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b"200 OK" in connection.recv(4096)
        except OSError:
            return False

    def _last_error(self) -> str:
        """Return the last log line in which dockerd gives a reason."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        error_lines = [line for line in lines if "failed" in line or "rror" in line] or lines or ["its log is empty"]
        return printable(error_lines[-1].partition("failed to start daemon: ")[2] or error_lines[-1])[-300:]

    def close(self) -> None:
        """Stop the daemon and remove everything it and its disk left; idempotent. Raises BenchError for what stays."""
        self.endpoint.close()
        if self._process is not None:
            _stop_process(self._process.pid)
            self._process.wait()
            self._process = None
        _remove(self.home, self.run_directory)


def _stop_process(pid: int, first_signal: signal.Signals = signal.SIGTERM) -> None:
    """Stop a process, kill it if need be, and wait until everything it had open is closed; raises BenchError.

    A process that has no memory left may still hold files, and thereby mounts. Its pidfd becomes readable when the last
    of its threads is gone (pidfd_open(2)).
    """
    with suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            for number in (first_signal, signal.SIGKILL):
                signal.pidfd_send_signal(pidfd, number)
                if poll.poll(_STOP_TIMEOUT * 1000):
                    return
        finally:
            os.close(pidfd)
        raise BenchError(f"process {pid} does not end", "the next benchmark, or dtui bench clean, tries again")


def _run_directory(home: Path) -> Path:
    return _RUN / home.name.partition(".")[0]


def _pool(run_directory: Path) -> str:
    return f"dtui-lab-{run_directory.name}"


def _remove(home: Path, run_directory: Path) -> None:
    """Remove a lab's mounts, pool, devices and files."""
    unmount_below(run_directory)
    destroy_pool(_pool(run_directory))
    remove_devices(home)
    if (home / "root" / "devicemapper").exists():
        remove_stale_nodes()
    unmount_below(home)
    for directory in (run_directory, home):  # last the directory whose name identifies the lab
        shutil.rmtree(directory, ignore_errors=True)
        if directory.exists():
            raise BenchError(f"{directory} cannot be removed", "the next benchmark, or dtui bench clean, tries again")


@dataclass
class LabTarget:
    """A storage driver of this host as a target. Fulfils :class:`tui.bench.protocols.Target`."""

    driver: LabDriver
    home: Path
    disk_size: int = 12 << 30
    control: bool = False
    has_images: bool = True
    _daemon: LabDaemon | None = None

    @property
    def name(self) -> str:
        return self.driver.name

    def open(self) -> EngineBenchHost:
        """Start its dockerd, once."""
        if self._daemon is None:
            daemon = LabDaemon(self.driver, self.home, self.disk_size)
            self._daemon = daemon
            daemon.start()
        return EngineBenchHost(self._daemon.endpoint)

    def close(self) -> None:
        """Stop its dockerd and remove its data-root."""
        if self._daemon is not None:
            self._daemon.close()
            self._daemon = None


@dataclass
class VolumeTarget:
    """A directory of the host mounted into another target's containers, to measure what a volume costs."""

    engine_target: LabTarget
    directory: Path
    name: str = "volume"
    control: bool = False
    has_images: bool = False

    def open(self) -> EngineBenchHost:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        work_directory = self.directory / "work"
        work_directory.mkdir(exist_ok=True)
        return EngineBenchHost(self.engine_target.open().endpoint, volume=work_directory)

    def close(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


def leftovers(home: Path) -> tuple[Path, ...]:
    """Return the labs whose dtui was killed."""
    labs = sorted(home.glob(f"{'[0-9a-f]' * 8}.*")) if home.is_dir() else ()
    return tuple(lab for lab in labs if not named_owner_lives(lab.name))


def sweep_labs(home: Path) -> tuple[str, ...]:
    """Remove what killed runs left (daemons, containers, mounts, disks) and return one line about each."""
    lines = []
    for lab in leftovers(home):
        run_directory = _run_directory(lab)
        try:
            while processes := _processes_of(run_directory):
                _stop_process(processes[0])
            for orphan in _orphans_of(lab):  # the first process of a container may ignore SIGTERM
                _stop_process(orphan, signal.SIGKILL)
            _remove(lab, run_directory)
            lines.append(f"removed the throwaway engine of a killed benchmark ({run_directory.name})")
        except (DtuiError, OSError) as error:
            lines.append(f"{lab} cannot be removed yet: {error}")
    return tuple(lines)


def _processes_of(run_directory: Path) -> list[int]:
    """Return the processes with a lab's sockets in their command line, dockerd first."""
    processes = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                command_line = (entry / "cmdline").read_bytes()
                if os.fsencode(f"{run_directory}/") in command_line:
                    processes.append((b"dockerd" not in command_line.split(b"\0")[0], int(entry.name)))
    return [pid for _, pid in sorted(processes)]


def _orphans_of(lab: Path) -> list[int]:
    """Return the processes of a lab's containers, which outlive a killed engine."""
    containers = [os.fsencode(entry.name) for entry in (lab / "root" / "containers").glob("*")]
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                group = (entry / "cgroup").read_bytes()
                if any(container in group for container in containers):
                    pids.append(int(entry.name))
    return pids
