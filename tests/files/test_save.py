"""Saves into containers of a real dockerd: stopped, running, in conflict, cut off."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.checksums import tree_checksum
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tui.core.errors import ChangedMeanwhile, DtuiError, EditRefused, NotFound
from tui.core.records import Details
from tui.engine.at_rest.docker import OfflineEndpoint
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.files.history.crash_recovery import recover
from tui.files.verbs.opening import open_file, plan
from tui.files.verbs.save import save
from tui.files.write.options import SaveOptions

pytestmark = pytest.mark.engine

FIXED = b"#!/bin/sh\necho fixed\nexit 0\n"


@pytest.fixture
def endpoint(engine: Dockerd) -> Iterator[LiveEndpoint]:
    live = LiveEndpoint("local", engine.host)
    yield live
    live.close()


def find(endpoint: LiveEndpoint | OfflineEndpoint, name: str) -> Details:
    return endpoint.inspect(next(c.id for c in endpoint.snapshot() if c.name == name))


@pytest.fixture
def broken(engine: Dockerd) -> str:
    """A container that exits 127 by a typo in a script of its image."""
    engine.docker("create", "--network=none", "--name=web", IMAGE, "/app/start.sh")
    engine.docker("start", "-a", "web", check=False)
    return "web"


def running(engine: Dockerd, name: str, *options: str) -> str:
    engine.docker("run", "-d", "--network=none", f"--name={name}", *options, IMAGE, "sleep", "1000")
    return name


def test_save_repairs_exited_container(engine: Dockerd, endpoint: LiveEndpoint, broken: str) -> None:
    lowers = engine.image_layers(broken)
    before = tree_checksum(lowers)
    details = find(endpoint, broken)
    assert details.container.exit_code == 127
    opened = open_file(details, b"/app/start.sh")
    receipt = save(details.container.id, opened.path, FIXED, opened.stamp, inspect=endpoint.inspect)
    assert not receipt.in_place
    assert receipt.backup is not None
    assert receipt.backup.read_bytes() == opened.document.data
    assert "fixed" in engine.docker("start", "-a", broken)
    assert engine.docker("diff", broken).splitlines() == ["C /app", "C /app/start.sh"]
    assert tree_checksum(lowers) == before
    assert find(endpoint, broken).container.exit_code == 0


def test_save_works_without_daemon(engine: Dockerd, broken: str) -> None:
    engine.stop()
    try:
        offline = OfflineEndpoint("root", engine.root)
        details = find(offline, broken)
        opened = open_file(details, b"/app/start.sh")
        save(details.container.id, opened.path, FIXED, opened.stamp, inspect=offline.inspect)
    finally:
        engine.start()
    assert "fixed" in engine.docker("start", "-a", broken)


def test_running_container_sees_save_at_once(engine: Dockerd, endpoint: LiveEndpoint) -> None:
    name = running(engine, "live")
    details = find(endpoint, name)
    opened = open_file(details, b"/etc/app.conf")
    save(details.container.id, opened.path, b"port=9\n", opened.stamp, inspect=endpoint.inspect)
    assert engine.docker("exec", name, "cat", "/etc/app.conf") == "port=9\n"
    engine.docker("exec", name, "sh", "-c", "echo more >> /etc/app.conf; rm /etc/motd; chmod 600 /app/start.sh")


@pytest.mark.parametrize("alive", [False, True])
def test_save_preserves_metadata(engine: Dockerd, endpoint: LiveEndpoint, alive: bool) -> None:
    name = running(engine, "meta")
    target = f"{engine.docker('inspect', '--format', '{{.GraphDriver.Data.MergedDir}}', name).strip()}/app/start.sh"
    acl = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, perm, who)
        for tag, perm, who in (
            (1, 7, 2**32 - 1),
            (2, 6, 1234),
            (4, 5, 2**32 - 1),
            (16, 7, 2**32 - 1),
            (32, 5, 2**32 - 1),
        )
    )
    os.chown(target, 1234, 4321)
    os.setxattr(target, "user.note", b"kept")
    os.setxattr(target, "trusted.note", b"kept too")
    os.setxattr(target, "system.posix_acl_access", acl)
    os.setxattr(target, "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
    os.chmod(target, 0o6775)
    if not alive:
        engine.docker("kill", name)
    details = find(endpoint, name)
    opened = open_file(details, b"/app/start.sh")
    save(details.container.id, opened.path, FIXED, opened.stamp, inspect=endpoint.inspect)
    if not alive:
        engine.docker("start", name)
    target = f"{engine.docker('inspect', '--format', '{{.GraphDriver.Data.MergedDir}}', name).strip()}/app/start.sh"
    status = os.stat(target)
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1234, 4321, 0o6775)
    assert os.getxattr(target, "user.note") == b"kept"
    assert os.getxattr(target, "trusted.note") == b"kept too"
    assert os.getxattr(target, "system.posix_acl_access") == acl
    assert os.getxattr(target, "security.capability")[4:8] == struct.pack("<I", 1 << 10)
    assert Path(target).read_bytes() == FIXED


def test_bind_mounted_file_is_saved_in_place(engine: Dockerd, endpoint: LiveEndpoint, tmp_path: Path) -> None:
    source = tmp_path / "app.conf"
    source.write_bytes(b"port=1\n")
    inode = source.stat().st_ino
    name = running(engine, "bind", "-v", f"{source}:/etc/app.conf")
    details = find(endpoint, name)
    assert plan(details, b"/etc/app.conf").in_place
    opened = open_file(details, b"/etc/app.conf")
    receipt = save(details.container.id, opened.path, b"port=22\n", opened.stamp, inspect=endpoint.inspect)
    assert receipt.in_place
    assert (source.read_bytes(), source.stat().st_ino) == (b"port=22\n", inode)
    assert "/etc/app.conf" in engine.docker("exec", name, "cat", "/proc/self/mountinfo")
    assert engine.docker("exec", name, "cat", "/etc/app.conf") == "port=22\n"


def test_save_below_engine_mount_is_refused(engine: Dockerd, endpoint: LiveEndpoint, broken: str) -> None:
    details = find(endpoint, broken)
    with pytest.raises(EditRefused, match="hidden by the engine"):
        plan(details, b"/etc/hosts")
    with pytest.raises(EditRefused, match=r"edit /.*hosts on the host"):
        save(details.container.id, b"/etc/hosts", b"x", None, inspect=endpoint.inspect)


def test_conflicting_save_is_refused(engine: Dockerd, endpoint: LiveEndpoint, broken: str) -> None:
    details = find(endpoint, broken)
    opened = open_file(details, b"/app/keep.txt")
    first = save(details.container.id, opened.path, b"theirs\n", opened.stamp, inspect=endpoint.inspect)
    with pytest.raises(ChangedMeanwhile):
        save(details.container.id, opened.path, b"mine\n", opened.stamp, inspect=endpoint.inspect)
    assert open_file(details, first.path).document.data == b"theirs\n"
    save(details.container.id, opened.path, b"mine\n", None, inspect=endpoint.inspect)
    assert open_file(details, first.path).document.data == b"mine\n"


def test_save_detects_container_start(engine: Dockerd, endpoint: LiveEndpoint, broken: str) -> None:
    """The record still says exited, but the layer is mounted: the probe finds out, and the container stays healthy."""
    name = running(engine, "late")
    alive = find(endpoint, name)
    engine.docker("stop", "-t0", name)
    stale = find(endpoint, name)
    engine.docker("start", name)
    with pytest.raises(ChangedMeanwhile, match="in use"):
        save(alive.container.id, b"/etc/motd", b"x\n", None, inspect=lambda _: stale)
    engine.docker("exec", name, "sh", "-ec", "echo w >> /app/keep.txt; rm /etc/motd; chmod 600 /app/start.sh")


def test_container_started_during_save_works(engine: Dockerd, endpoint: LiveEndpoint) -> None:
    name = running(engine, "mid")
    engine.docker("stop", "-t0", name)
    details = find(endpoint, name)
    opened = open_file(details, b"/etc/motd")

    def start(step: str) -> None:
        if step == "written":
            engine.docker("start", name)

    receipt = save(
        details.container.id, b"/etc/motd", b"new\n", opened.stamp, inspect=endpoint.inspect, checkpoint=start
    )
    assert "running now" in " ".join(receipt.notes)
    engine.docker("exec", name, "sh", "-ec", "echo w >> /app/keep.txt; rm /etc/app.conf; chmod 600 /app/start.sh")


@pytest.mark.parametrize("path", [b"/app", b"/nothing", b"/pipe", b"/dev/null", b"/dangling"])
def test_save_to_non_file_is_refused(engine: Dockerd, endpoint: LiveEndpoint, path: bytes) -> None:
    engine.docker(
        "run", "--network=none", "--name=odd", IMAGE, "busybox", "sh", "-c", "busybox mkfifo /pipe; ln -s /no /dangling"
    )
    details = find(endpoint, "odd")
    before = sorted(engine.docker("diff", "odd").splitlines())
    with pytest.raises((EditRefused, NotFound)):
        save(details.container.id, path, b"x", None, inspect=endpoint.inspect)
    assert sorted(engine.docker("diff", "odd").splitlines()) == before


def test_save_follows_and_preserves_symlink(engine: Dockerd, endpoint: LiveEndpoint) -> None:
    engine.docker("run", "--network=none", "--name=link", IMAGE, "ln", "-s", "../../../../etc/app.conf", "/app/conf")
    details = find(endpoint, "link")
    assert "/etc/app.conf is written" in " ".join(plan(details, b"/app/conf").warnings)
    opened = open_file(details, b"/app/conf")
    receipt = save(details.container.id, b"/app/conf", b"port=3\n", opened.stamp, inspect=endpoint.inspect)
    assert receipt.path == b"/etc/app.conf"
    assert "A /app/conf" in engine.docker("diff", "link").splitlines()


def test_save_creates_file_only_on_request(engine: Dockerd, endpoint: LiveEndpoint, broken: str) -> None:
    details = find(endpoint, broken)
    with pytest.raises(NotFound, match="--create"):
        save(details.container.id, b"/app/new", b"x", None, inspect=endpoint.inspect)
    receipt = save(
        details.container.id, b"/app/new", b"x", None, SaveOptions(create=True, mode=0o640), inspect=endpoint.inspect
    )
    assert receipt.created
    assert "A /app/new" in engine.docker("diff", broken).splitlines()


KILLED = """
import os, signal, sys
from tui.files.verbs.save import save
from tui.engine.live.live_endpoint import LiveEndpoint
endpoint = LiveEndpoint("local", sys.argv[1])
def here(step):
    if step == sys.argv[4]:
        os.kill(os.getpid(), signal.SIGKILL)
save(sys.argv[2], os.fsencode(sys.argv[3]), b"N" * 70000, None, inspect=endpoint.inspect, checkpoint=here)
"""


@pytest.mark.case(25)
@pytest.mark.parametrize("step", ["created", "written", "synced", "linked", "renamed"])
@pytest.mark.parametrize("alive", [False, True])
def test_killed_save_leaves_old_or_new_file(engine: Dockerd, endpoint: LiveEndpoint, step: str, alive: bool) -> None:
    name = running(engine, "killed")
    if not alive:
        engine.docker("stop", "-t0", name)
    details = find(endpoint, name)
    old = open_file(details, b"/data/big.bin").document.data
    subprocess.run(
        [sys.executable, "-c", KILLED, engine.host, details.container.id, "/data/big.bin", step], check=False
    )
    now = open_file(details, b"/data/big.bin").document.data
    assert now == (b"N" * 70000 if step == "renamed" else old)
    recover(endpoint.inspect)
    assert recover(endpoint.inspect) == ()
    engine.docker("stop", "-t0", name)
    assert ".dtui-" not in engine.docker("diff", name)
    save(details.container.id, b"/data/big.bin", b"after", None, inspect=endpoint.inspect)
    assert open_file(find(endpoint, name), b"/data/big.bin").document.data == b"after"


@pytest.mark.parametrize("step", ["reserved", "written", "synced"])
def test_killed_write_in_place_is_recovered(engine: Dockerd, endpoint: LiveEndpoint, tmp_path: Path, step: str) -> None:
    source = tmp_path / "big"
    source.write_bytes(b"O" * 90000)
    name = running(engine, "inplace", "-v", f"{source}:/data/big.bin")
    details = find(endpoint, name)
    subprocess.run(
        [sys.executable, "-c", KILLED, engine.host, details.container.id, "/data/big.bin", step], check=False
    )
    (line,) = recover(endpoint.inspect)
    assert "cut off" in line
    assert source.read_bytes() in (b"O" * 90000, b"N" * 70000)
    engine.docker("exec", name, "test", "-s", "/data/big.bin")


def test_full_disk_leaves_file_unchanged(engine: Dockerd, endpoint: LiveEndpoint) -> None:
    name = running(engine, "full", "--tmpfs", "/small:size=64k")
    engine.docker("exec", name, "sh", "-c", "echo old > /small/file")
    details = find(endpoint, name)
    with pytest.raises(EditRefused, match="no space left"):
        save(details.container.id, b"/small/file", b"x" * 200_000, None, inspect=endpoint.inspect)
    assert engine.docker("exec", name, "ls", "-A", "/small") == "file\n"
    assert engine.docker("exec", name, "cat", "/small/file") == "old\n"


def test_immutable_file_is_refused(engine: Dockerd, endpoint: LiveEndpoint) -> None:
    engine.docker("run", "--network=none", "--name=fixed", IMAGE, "sh", "-c", "echo x > /immutable")
    details = find(endpoint, "fixed")
    assert details.access.path is not None
    target = str(details.access.path / "immutable")
    subprocess.run(["/usr/bin/chattr", "+i", target], check=True)
    try:
        with pytest.raises(DtuiError, match="immutable"):
            save(details.container.id, b"/immutable", b"y", None, inspect=endpoint.inspect)
    finally:
        subprocess.run(["/usr/bin/chattr", "-i", target], check=True)
    assert open_file(details, b"/immutable").document.data == b"x\n"
