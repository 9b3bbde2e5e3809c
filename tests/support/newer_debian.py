"""A Debian with a newer Engine, in a directory that outlives the tests; its dockerd runs in a chroot."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

SUITE = "sid"
PACKAGES = "docker.io,busybox-static"


def cache() -> Path:
    """Return the directory outside the project for what takes long to build; create it if needed."""
    path = Path(os.environ.get("DTUI_TEST_CACHE", "/var/cache/dtui-tests"))
    path.mkdir(parents=True, exist_ok=True)
    return path


def newer_debian() -> Path:
    """Return the root of the other system; build it, which takes about a minute, if it does not exist."""
    root = cache() / SUITE
    with (cache() / f"{SUITE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "usr/sbin/dockerd").exists():
            shutil.rmtree(root, ignore_errors=True)
            partial = root.with_suffix(".part")
            shutil.rmtree(partial, ignore_errors=True)
            program = shutil.which("debootstrap") or "debootstrap: apt-get install debootstrap"
            command = [program, "--variant=minbase", f"--include={PACKAGES}", SUITE, str(partial)]
            subprocess.run([*command, "http://deb.debian.org/debian"], check=True, capture_output=True, timeout=900)
            partial.rename(root)
    return root
