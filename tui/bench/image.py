"""Build the image that IOzone runs in from the host's own iozone and its libraries, without a registry."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tui.core.errors import BenchError

REPOSITORY = "dtui/iozone"
LABEL = "org.dtui.image"

IDLE = ("/bin/sleep", "infinity")
"""The command that keeps a container alive while processes run in it."""

_LIBRARY = re.compile(r"(?:=>\s*|^\s*)(/\S+)\s*\(0x", re.MULTILINE)
_VERSION = re.compile(r"Revision: ([\d.]+)")


@dataclass(frozen=True, slots=True)
class BenchImage:
    """An image to import: its name with a tag derived from the contents, IOzone's version, and a tar of one layer."""

    name: str
    version: str
    tar: bytes


def make_image() -> BenchImage:
    """Pack the host's iozone, its loader and libraries into a tar; the same files give the same tag.

    Raises BenchError, with how to install it, if iozone is missing.
    """
    program = shutil.which("iozone")
    if program is None:
        raise BenchError(
            "iozone is not installed", "apt-get install iozone3 (Debian non-free), or your system's package"
        )
    tar = _tar(closure_of(program, "bin/iozone") | closure_of(IDLE[0]))
    version = _VERSION.search(_run([program, "-v"]))
    name = f"{REPOSITORY}:{hashlib.sha256(tar).hexdigest()[:12]}"
    return BenchImage(name, version.group(1) if version else "unknown", tar)


def closure_of(program: str, name: str = "") -> dict[str, Path]:
    """Return a program of this host and all libraries it loads, by their names in an image."""
    files = {name or program.lstrip("/"): Path(program)}
    for library in _LIBRARY.findall(_run(["/usr/bin/ldd", program])):
        files[library.lstrip("/")] = Path(library)
    return files


def _run(command: list[str]) -> str:
    result = subprocess.run(  # noqa: S603 - absolute paths, no shell, clean environment
        command, capture_output=True, text=True, check=False, timeout=20, env={"LC_ALL": "C"}
    )
    return result.stdout + result.stderr


def _tar(files: dict[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        work = tarfile.TarInfo("work")
        work.type, work.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(work)
        for name in sorted(files):
            data = files[name].read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
