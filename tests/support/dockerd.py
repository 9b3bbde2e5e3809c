"""A private, real dockerd for the tests: its own data-root on a disk file system, no network, no leftovers."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.support.waiting import until

BUSYBOX = Path("/bin/busybox")
APPLETS = (
    "sh",
    "ls",
    "cat",
    "find",
    "sleep",
    "rm",
    "mkdir",
    "ln",
    "mv",
    "cp",
    "chmod",
    "chown",
    "touch",
    "echo",
    "sha256sum",
    "sort",
    "xargs",
    "stat",
    "true",
    "dd",
    "mkfifo",
    "mknod",
    "test",
)


STORAGE_OPTIONS = {
    "devicemapper": (
        "--storage-opt=dm.loopdatasize=3G",
        "--storage-opt=dm.loopmetadatasize=200M",
        "--storage-opt=dm.basesize=1G",
    ),
}


def docker_cli() -> str | None:
    return shutil.which("docker")


class Dockerd:
    """``dockerd`` on one storage driver; start, stop, kill and start again keep the data-root."""

    def __init__(
        self,
        storage_driver: str = "overlay2",
        *,
        system: Path | None = None,
        snapshotter: bool = False,
        remapped: bool = False,
        disk: int = 0,
    ) -> None:
        """``system`` is the root of a Debian whose dockerd is run; ``snapshotter`` chooses the containerd store.

        ``remapped`` gives containers user ids of their own, from 100000; ``disk`` lays the data-root on an ext4 of so
        many MiB.
        """
        self.driver = storage_driver
        self.system = system
        self.snapshotter = snapshotter
        self.remapped = remapped
        self.home = Path(tempfile.mkdtemp(prefix="dtui-test-", dir="/var/tmp"))
        self.root = self.home / "root"
        # sockets below the exec-root have a limit of 108 bytes, so it lies in a short directory
        self.run = Path(tempfile.mkdtemp(prefix="dt-", dir="/tmp"))
        self.socket = self.run / "d.sock"
        self.log = self.home / "dockerd.log"
        if remapped:
            self.home.chmod(0o711)
        self._process: subprocess.Popen[bytes] | None = None
        self._pool = ""
        self.row = ("", "")
        if storage_driver == "btrfs":
            self._lay_on("/sbin/mkfs.btrfs", "-q", size=1024)
        if disk:
            self._lay_on("/sbin/mkfs.ext4", "-q", "-m0", size=disk)
        if storage_driver == "zfs":
            self._make_zfs()

    def _lay_on(self, *maker: str, size: int) -> None:
        """Lay the data-root on a file system of its own of so many MiB, in a file."""
        image = self.home / "disk.img"
        with image.open("wb") as file:
            file.truncate(size << 20)
        subprocess.run([*maker, str(image)], check=True)
        self.root.mkdir()
        subprocess.run(["/bin/mount", "-o", "loop", str(image), str(self.root)], check=True)

    def _make_zfs(self) -> None:
        """Lay the data-root on a dataset of a pool of its own, in a file."""
        image = self.home / "zpool.img"
        with image.open("wb") as file:
            file.truncate(2 << 30)
        self._pool = f"dtui{os.getpid()}"
        subprocess.run(["zpool", "create", "-f", "-m", "none", self._pool, str(image)], check=True)
        subprocess.run(["zfs", "create", "-o", f"mountpoint={self.root}", f"{self._pool}/docker"], check=True)

    @property
    def version(self) -> str:
        return self.docker("version", "--format", "{{.Server.Version}}").strip()

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        (self.run / "d.pid").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._inside(),
                    "/usr/sbin/dockerd",
                    *self._features(),
                    f"--data-root={self.root}",
                    f"--exec-root={self.run}/x",
                    f"--pidfile={self.run}/d.pid",
                    f"--host={self.host}",
                    f"--storage-driver={self.driver}",
                    *STORAGE_OPTIONS.get(self.driver, ()),
                    "--bridge=none",
                    "--iptables=false",
                    "--ip-masq=false",
                ],
                stdout=log,
                stderr=log,
            )
        self._wait_until_up()

    def _wait_until_up(self) -> None:
        process = self._process
        assert process is not None

        def said() -> str:
            return f"{process.args} does not come up:\n" + self.log.read_text(errors="replace")[-2000:]

        until(lambda: self._answers() or process.poll() is not None, said, seconds=60)
        assert process.poll() is None, said()

    def _features(self) -> list[str]:
        if self.remapped:
            return ["--userns-remap=nobody:nogroup"]
        if self.system is None:
            return []
        config = self.home / "daemon.json"
        config.write_text(json.dumps({"features": {"containerd-snapshotter": self.snapshotter}}))
        return [f"--config-file={config}"]

    def _inside(self) -> list[str]:
        """Return the words that run a command in the other system, with our directories at the same place there.

        The root is changed for good: below a mere chroot ``docker exec`` would land outside of the container.
        """
        if self.remapped:
            ids = self.home / "ids"
            ids.write_text("nobody:100000:65536\nnogroup:100000:65536\n")
            script = 'for i in subuid subgid; do mount --bind "$0" /etc/$i; done; exec "$@"'
            return ["/usr/bin/unshare", "-m", "--propagation=slave", "/bin/sh", "-ec", script, str(ids)]
        if self.system is None:
            return []
        root = self.system
        binds = "".join(
            f"mkdir -p {root}{path}; mount --rbind {path} {root}{path}; "
            for path in ("/proc", "/sys", "/dev", str(self.home), str(self.run))
        )
        script = f'mount --bind {root} {root}; {binds} cd {root}; pivot_root . .; umount -l .; exec "$@"'
        return ["/usr/bin/unshare", "-m", "--propagation=private", "/bin/sh", "-ec", script, "sh"]

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(str(self.socket))
                s.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b"200 OK" in s.recv(4096)
        except OSError:
            return False

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None

    def die(self) -> None:
        """End as in a crash of the host's services: dockerd and its containerd at once, nothing is put in order."""
        containerd = self.run / "x" / "containerd" / "containerd.pid"
        self.stop(signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(int(containerd.read_text()), signal.SIGKILL)
        containerd.unlink()  # where nobody reaps it, the next dockerd would take the dead one for alive

    def close(self) -> None:
        """Remove every container, stop, and leave nothing behind."""
        if self._process and self._process.poll() is None:
            for container in self.docker("ps", "-aq").split():
                self.docker("rm", "-f", container)
            self.stop()
        if self._pool:
            subprocess.run(["zpool", "destroy", "-f", self._pool], check=True)
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            point = line.split()[1]
            if point.startswith((str(self.home), str(self.run))):
                subprocess.run(["/bin/umount", "-l", point], check=False)
        shutil.rmtree(self.home, ignore_errors=True)
        for exec_root in (self.run, *self.run.parent.glob(f"{self.run.name}.*.*")):  # another where users are remapped
            shutil.rmtree(exec_root, ignore_errors=True)

    def mounts(self) -> str:
        """Return the mount table as the daemon has it."""
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}/mounts").read_text()

    def docker(self, *args: str, stdin: bytes | None = None, check: bool = True) -> str:
        """Run the docker CLI; return what it printed."""
        result = subprocess.run(
            [docker_cli() or "docker", *args],
            input=stdin,
            capture_output=True,
            check=False,
            env={"DOCKER_HOST": self.host, "PATH": os.environ["PATH"], "HOME": str(self.home)},
            timeout=120,
        )
        if check and result.returncode:
            raise RuntimeError(f"docker {' '.join(args)}: {result.stderr.decode(errors='replace')}")
        return (result.stdout + (result.stderr if args[0] == "logs" else b"")).decode(errors="surrogateescape")

    def import_image(
        self, name: str, files: dict[str, bytes | tuple[bytes, int]], changes: tuple[str, ...] = ()
    ) -> None:
        """Make an image of one layer: busybox and these files (contents, or contents and mode)."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            _add(tar, "bin/busybox", BUSYBOX.read_bytes(), 0o755)
            for applet in APPLETS:
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
            for path, what in files.items():
                data, mode = what if isinstance(what, tuple) else (what, 0o644)
                _add(tar, path, data, mode)
        options = [word for change in changes for word in ("--change", change)]
        self.docker("import", *options, "-", name, stdin=buffer.getvalue())

    def layered_image(self, name: str, base: str, *commands: str) -> None:
        """Make an image with one more layer for each command."""
        for number, command in enumerate(commands):
            step = f"layer-step{number}"
            self.docker("run", "--network=none", f"--name={step}", base if number == 0 else name, "sh", "-ec", command)
            self.docker("commit", step, name)
            self.docker("rm", step)

    def image_layers(self, container: str) -> list[Path]:
        """Return the read-only directories of a container."""
        out = self.docker("inspect", "--format", "{{.GraphDriver.Data.LowerDir}}", container)
        return [Path(part) for part in out.strip().split(":")]


def _add(tar: tarfile.TarFile, path: str, data: bytes, mode: int) -> None:
    info = tarfile.TarInfo(path)
    info.size, info.mode, info.mtime = len(data), mode, 1_700_000_000
    tar.addfile(info, io.BytesIO(data))
