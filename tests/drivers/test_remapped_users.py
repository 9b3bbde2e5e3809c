"""User ids of the container's own, by ``--userns-remap`` or ``--uidmap``: right paths, right owners."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.acls import USER, named, set_acl
from tests.support.cli import dtui, dtui_json
from tests.support.dockerd import Dockerd
from tests.support.images import FILES, IMAGE
from tests.support.podman import Podman
from tests.support.terminal import Terminal

pytestmark = pytest.mark.engine

MAPPED = ("--uidmap=0:100000:65536", "--gidmap=0:100000:65536")


@pytest.fixture(scope="module")
def remapped() -> Iterator[Dockerd]:
    daemon = Dockerd(remapped=True)
    try:
        daemon.start()
        daemon.import_image(IMAGE, FILES)
        yield daemon
    finally:
        daemon.close()
    assert not list(daemon.run.parent.glob(f"{daemon.run.name}*"))


def test_remapped_container_is_edited(remapped: Dockerd) -> None:
    show = "cat /etc/app.conf; stat -c '%u:%g' /etc/app.conf /etc/new; sleep 1000"
    remapped.docker("create", "--network=none", "--name=web", IMAGE, "sh", "-ec", show)
    where = str(remapped.root / "100000.100000")
    assert dtui_json("-H", remapped.host, "ls")[0]["layer"]["path"].startswith(where)
    dtui("-H", remapped.host, "write", "web:/etc/app.conf", stdin=b"port=1\n")
    dtui("-H", remapped.host, "write", "--create", "web:/etc/new", stdin=b"new\n")
    remapped.docker("start", "web")
    remapped.docker("exec", "web", "sh", "-c", "while ! test -e /etc/new; do sleep 0.1; done")
    dtui("-H", remapped.host, "write", "--create", "web:/etc/live", stdin=b"live\n")
    assert remapped.docker("exec", "web", "stat", "-c", "%u:%g", "/etc/live", "/etc/app.conf") == "0:0\n0:0\n"
    assert remapped.docker("logs", "web").splitlines() == ["port=1", "0:0", "0:0"]


def test_remapped_data_root_is_read(remapped: Dockerd) -> None:
    where = remapped.root / "100000.100000"
    assert [container["name"] for container in dtui_json("--root", str(where), "ls")] == ["web"]
    assert b"app.conf" in dtui("--root", str(where), "changes", "web")
    assert f"its containers are in {where}".encode() in dtui("--root", str(remapped.root), "ls", code=1)


@pytest.fixture
def shop(remapped: Dockerd) -> Iterator[Dockerd]:
    """The daemon; what a test made in it is gone afterwards."""
    before = set(remapped.docker("ps", "-aq").split())
    yield remapped
    for container in set(remapped.docker("ps", "-aq").split()) - before:
        remapped.docker("rm", "-f", container)


def owners_inside(daemon: Dockerd, *paths: str) -> list[str]:
    """Ask the container, which is started for that, whose its files are."""
    daemon.docker("start", "shop")
    return daemon.docker("exec", "shop", "stat", "-c", "%u:%g", *paths).split()


def owner_told(*arguments: str, path: str) -> tuple[str, str]:
    """Return the owner of a path as the tree and its JSON tell it."""
    row = next(row for row in dtui_json(*arguments, "tree", "shop", "--view", "merged") if row["path"] == path)
    lines = dtui(*arguments, "tree", "shop", "--view", "merged").decode().splitlines()
    line = next(line for line in lines if line.endswith(f"  {path.rpartition('/')[2]}"))
    return f"{row['uid']}:{row['gid']}", line[2:].split()[1]


@pytest.mark.parametrize("alive", [False, True])
def test_chown_uses_container_ids(shop: Dockerd, alive: bool) -> None:
    shop.docker("create", "--network=none", "--name=shop", IMAGE, "sleep", "1000")
    reached = ("-H", shop.host)
    dtui(*reached, "write", "--create", "shop:/etc/passwd", stdin=b"www:x:1000:1000::/:/bin/sh\n")
    dtui(*reached, "write", "--create", "shop:/etc/group", stdin=b"www:x:2000:\n")
    if alive:
        shop.docker("start", "shop")
    else:
        reached = ("--root", str(shop.root / "100000.100000"))
    dtui(*reached, "chown", "www:www", "shop:/etc/app.conf")
    dtui(*reached, "chown", "7", "shop:/etc/motd")
    dtui(*reached, "chown", "0:0", "shop:/etc/motd")
    dtui(*reached, "chown", "-R", "65535:65535", "shop:/conf.d")
    assert owner_told(*reached, path="/etc/app.conf") == ("1000:2000", "1000:2000")
    assert owner_told(*reached, path="/etc/motd") == ("0:0", "0:0")
    assert owner_told(*reached, path="/conf.d/a.conf") == ("65535:65535", "65535:65535")
    output = dtui(*reached, "chown", "65536", "shop:/etc/motd", code=2)
    assert output == b"dtui: the container has no user 65536; its users are 0 to 65535; nothing was changed\n"
    assert b"no group 70000" in dtui(*reached, "chown", "0:70000", "shop:/etc/motd", code=2)
    paths = ("/etc/app.conf", "/etc/motd", "/conf.d/a.conf")
    assert owners_inside(shop, *paths) == ["1000:2000", "0:0", "65535:65535"]
    for _ in range(4):
        dtui(*reached, "undo", "shop")
    assert owners_inside(shop, *paths) == ["0:0", "0:0", "0:0"]


def test_owner_over_tcp_uses_container_ids(shop: Dockerd, listening: Callable[[Dockerd], str]) -> None:
    shop.docker("create", "--network=none", "--name=shop", IMAGE, "sleep", "1000")
    dtui("-H", shop.host, "chown", "12:34", "shop:/etc/motd")
    far = listening(shop)
    assert owner_told("-H", far, path="/etc/motd") == ("12:34", "12:34")
    assert owner_told("-H", far, path="/etc/app.conf") == ("0:0", "0:0")


def test_unmapped_owner_is_shown_as_nobody(shop: Dockerd) -> None:
    shop.docker("create", "--network=none", "--name=shop", IMAGE, "sleep", "1000")
    dtui("-H", shop.host, "write", "--create", "shop:/etc/new", stdin=b"new\n")
    layer = Path(dtui("-H", shop.host, "path", "shop").decode().strip())
    os.chown(layer / "etc/new", 0, 99_999)
    assert owner_told("-H", shop.host, path="/etc/new") == ("65534:65534", "65534:65534")
    assert owners_inside(shop, "/etc/new") == ["65534:65534"]


def test_host_userns_uses_host_ids(shop: Dockerd) -> None:
    shop.docker("create", "--network=none", "--userns=host", "--name=shop", IMAGE, "sleep", "1000")
    for reached in (("-H", shop.host), ("--root", str(shop.root / "100000.100000"))):
        dtui(*reached, "chown", "12:100034", "shop:/etc/motd")
        assert owner_told(*reached, path="/etc/motd") == ("12:100034", "12:100034")
    assert owners_inside(shop, "/etc/motd", "/etc/app.conf") == ["12:100034", "100000:100000"]


def test_app_chown_uses_container_ids(shop: Dockerd) -> None:
    shop.docker("create", "--network=none", "--name=shop", IMAGE, "sleep", "1000")
    dtui("-H", shop.host, "chown", "12:34", "shop:/etc/motd")
    term = Terminal("-H", shop.host)
    try:
        term.wait("shop")
        term.press("/", "shop", "enter", "enter")
        term.wait("etc")
        term.press("/", "motd", "enter")
        term.wait("12:34")
        term.press("C")
        term.wait("│  12:34 ")
        term.press("ctrl+u", "5:6", "enter")
        term.wait("has its new owner")
        term.wait("rw-r--r-- 5:6")
    finally:
        term.abandon()
    assert owners_inside(shop, "/etc/motd") == ["5:6"]


@pytest.fixture(params=["overlay"])
def podman(request: pytest.FixtureRequest) -> Iterator[Podman]:
    found = Podman(request.param)
    try:
        found.start()
        found.import_image(IMAGE, FILES)
        yield found
    finally:
        found.close()


@pytest.mark.parametrize("podman", ["overlay", "vfs"], indirect=True)
def test_podman_uidmap_uses_container_ids(podman: Podman) -> None:
    mapped = ("--uidmap=0:100000:65536", "--gidmap=0:200000:65536")
    podman.docker("create", "--network=none", *mapped, "--name=shop", IMAGE, "sleep", "1000")
    by_mounts = podman.driver == "overlay"  # at rest nothing is written there, and its image's files are as they are
    for reached in (("-H", podman.host), ("--root", str(podman.root))):
        assert owner_told(*reached, path="/etc/app.conf") == ("0:0", "0:0")
        dtui(*reached, "chown", "5:6", "shop:/etc/app.conf", code=1 if by_mounts else 0)
        podman.docker("start", "shop")
        dtui(*reached, "chown", "7:8", "shop:/etc/motd")
        dtui(*reached, "chown", "7:8", "shop:/etc/app.conf")
        assert owner_told(*reached, path="/etc/motd") == ("7:8", "7:8")
        assert owners_inside(podman, "/etc/motd", "/etc/app.conf") == ["7:8", "7:8"]
        podman.docker("stop", "--time=0", "shop")
        assert owner_told(*reached, path="/etc/motd") == ("7:8", "7:8")
        dtui(*reached, "undo", "shop", code=1 if by_mounts else 0)
        podman.docker("start", "shop")
        for _ in range(2):
            dtui(*reached, "undo", "shop", code=0)
        podman.docker("stop", "--time=0", "shop")


def test_stopped_idmapped_edit_is_refused(podman: Podman) -> None:
    podman.docker("create", "--network=none", *MAPPED, "--name=web", IMAGE, "sleep", "1000")
    upper = dtui("-H", podman.host, "path", "web").decode().strip()
    for reached in (("-H", podman.host), ("--root", str(podman.root))):
        output = dtui(*reached, "write", "web:/etc/app.conf", stdin=b"port=1\n", code=1)
        assert b"start the container to edit it" in output
    assert not list(Path(upper).iterdir())
    podman.docker("start", "web")
    dtui("-H", podman.host, "write", "web:/etc/app.conf", stdin=b"port=2\n")
    assert podman.docker("exec", "web", "stat", "-c", "%u:%g", "/etc", "/etc/app.conf") == "0:0\n0:0\n"
    assert podman.docker("exec", "web", "cat", "/etc/app.conf") == "port=2\n"


def test_plain_stopped_container_is_edited(podman: Podman) -> None:
    podman.docker("create", "--network=none", "--name=plain", IMAGE, "cat", "/etc/app.conf")
    dtui("--root", str(podman.root), "write", "plain:/etc/app.conf", stdin=b"port=3\n")
    assert podman.docker("start", "-a", "plain") == "port=3\n"


LINKS = "mkdir /way; cd /way; ln -s /srv/secret a; ln -s /srv/private/x b; ln -s /srv/pub c; exec sleep 1000"


@pytest.mark.promise("container-rights-only")
def test_link_to_hosts_files_lends_no_rights(shop: Dockerd) -> None:
    host = shop.home / "srv"
    for name, mode in (("secret", 0o600), ("private/x", 0o644), ("pub", 0o644), ("shared", 0o666)):
        (host / name).parent.mkdir(parents=True, exist_ok=True)
        (host / name).write_bytes(b"the host's\n")
        (host / name).chmod(mode)
    (host / "private").chmod(0o700)
    shop.docker("run", "-d", "--network=none", f"--volume={host}:/srv", "--name=shop", IMAGE, "sh", "-ec", LINKS)
    shop.docker("exec", "shop", "sh", "-c", "while ! test -e /way/c; do sleep 0.1; done")
    before = sorted((path, path.lstat()) for path in host.rglob("*"))
    refused: list[tuple[str, ...]] = [
        ("cat", "shop:/way/a"),
        ("cat", "shop:/way/b"),
        ("write", "shop:/way/c"),
        ("write", "--create", "shop:/srv/new"),
        ("rm", "-r", "shop:/srv/private"),
        ("mv", "shop:/srv/pub", "/way/moved"),
        ("chmod", "777", "shop:/srv/shared"),
        ("cp", "shop:/srv/secret", str(shop.home / "out")),
    ]
    for words in refused:
        output = dtui("-H", shop.host, *words, stdin=b"new\n", code=1)
        assert b"the container may not" in output, words
    after = sorted((path, path.lstat()) for path in host.rglob("*"))
    assert [(path, status.st_mode, status.st_ctime_ns) for path, status in after] == [
        (path, status.st_mode, status.st_ctime_ns) for path, status in before
    ]
    assert dtui("-H", shop.host, "cat", "shop:/way/c") == b"the host's\n"
    dtui("-H", shop.host, "write", "--in-place", "shop:/srv/shared", stdin=b"new\n")
    assert (host / "shared").read_bytes() == b"new\n"


@pytest.mark.promise("container-rights-only")
def test_acl_and_sticky_directory_lend_no_rights(shop: Dockerd) -> None:
    host = shop.home / "guarded"
    (host / "tmp").mkdir(parents=True)
    for name in ("denied", "named", "masked", "tmp/theirs"):
        (host / name).write_bytes(b"the host's\n")
        (host / name).chmod(0o666)
    (host / "tmp").chmod(0o1777)
    os.chown(host / "masked", 0, 100_000)
    set_acl(host / "denied", *named(USER, 100_000, 0, group=4, other=4))
    set_acl(host / "named", *named(USER, 100_000, 6))
    set_acl(host / "masked", *named(USER, 1, 6))
    shop.docker("run", "-d", "--network=none", f"--volume={host}:/srv", "--name=shop", IMAGE, "sleep", "1000")
    refused: list[tuple[str, ...]] = [
        ("cat", "shop:/srv/denied"),
        ("cat", "shop:/srv/masked"),
        ("rm", "shop:/srv/tmp/theirs"),
        ("mv", "shop:/srv/tmp/theirs", "/srv/tmp/mine"),
        ("write", "shop:/srv/tmp/theirs"),
    ]
    for words in refused:
        output = dtui("-H", shop.host, *words, stdin=b"new\n", code=1)
        assert b"the container may not" in output, words
    assert dtui("-H", shop.host, "cat", "shop:/srv/named") == b"the host's\n"
    dtui("-H", shop.host, "write", "--create", "shop:/srv/tmp/mine", stdin=b"new\n")
    dtui("-H", shop.host, "mkdir", "shop:/srv/tmp/made")
    dtui("-H", shop.host, "cp", str(host / "named"), "shop:/srv/tmp/copy")
    for name in ("mine", "made", "copy"):
        status = (host / "tmp" / name).stat()
        assert (status.st_uid, status.st_gid) == (100_000, 100_000), name
    assert (host / "tmp/theirs").read_bytes() == b"the host's\n"
    dtui("-H", shop.host, "undo", "shop")
    assert not (host / "tmp/copy").exists()
