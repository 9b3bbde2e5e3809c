"""podman's Docker-compatible service with its own storage, controlled by podman's command line."""

from __future__ import annotations

import subprocess
import time

from tests.support.dockerd import Dockerd


class Podman(Dockerd):
    """``podman system service``, which has no daemon state: stopping it does not affect containers."""

    def _podman(self) -> list[str]:
        return [
            "/usr/bin/podman",
            f"--root={self.root}",
            f"--runroot={self.run}/r",
            f"--storage-driver={self.driver}",
            "--cgroup-manager=cgroupfs",
            "--events-backend=file",
        ]

    def docker(self, *args: str, stdin: bytes | None = None, check: bool = True) -> str:
        """Run podman with docker's arguments, because docker's own command cannot attach to podman."""
        if args[0] in ("run", "create"):
            # podman asks for limits of a million files and processes, more than allowed without CAP_SYS_RESOURCE
            args = (args[0], "--ulimit=nofile=1000:1000", "--ulimit=nproc=1000:1000", *args[1:])
        if args[:2] == ("rm", "-f"):
            args = ("rm", "-f", "--time=0", *args[2:])  # docker kills at once
        for _ in range(40):
            result = subprocess.run(
                [*self._podman(), *args], input=stdin, capture_output=True, check=False, timeout=120
            )
            # the shared memory of a container that was just killed may still be in use
            if args[0] != "rm" or b"device or resource busy" not in result.stderr:
                break
            time.sleep(0.25)
        if check and result.returncode:
            raise RuntimeError(f"podman {' '.join(args)}: {result.stderr.decode(errors='replace')}")
        return (result.stdout + (result.stderr if args[0] == "logs" else b"")).decode(errors="surrogateescape")

    @property
    def version(self) -> str:
        return self.docker("version", "--format", "{{.Client.Version}}").strip()

    def start(self) -> None:
        command = [*self._podman(), "system", "service", "--time=0", self.host]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._wait_until_up()
