"""Delete, rename, new directory, chmod, chown, copy, revert and undo: on a union and on full trees, in every state."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.checksums import tree_checksum
from tests.support.cli import dtui, dtui_json
from tests.support.dockerd import Dockerd
from tests.support.images import FILES, IMAGE

pytestmark = pytest.mark.engine

LISTING = (
    "cd /; find app etc conf.d data old new* -print0 2>/dev/null | xargs -0 stat -c '%n %F %a %u:%g %s %Y' | sort; "
    "find app etc conf.d old new* -type f -print0 2>/dev/null | xargs -0 sha256sum | sort"
)


@pytest.fixture(scope="module", params=["overlay2", "vfs"])
def daemon(request: pytest.FixtureRequest) -> Iterator[Dockerd]:
    found = Dockerd(request.param)
    try:
        found.start()
        found.import_image("shop/base:1", FILES)
        found.layered_image(IMAGE, "shop/base:1", "echo two > /app/layer2.txt", "ln -s motd /etc/link; chmod 4755 /app")
        yield found
    finally:
        found.close()


PLACES = ("app", "etc", "conf.d", "data", "old", "new")


def exported(engine: Dockerd, container: str) -> str:
    """Return what LISTING tells, of a container at rest, as its engine exports it."""
    target = engine.home / "exported.tar"
    engine.docker("export", "-o", str(target), container)
    lines = []
    with tarfile.open(target) as tar:
        for one in tar:
            if one.name.split("/")[0].startswith(PLACES):
                file = tar.extractfile(one) if one.isreg() else None
                told = hashlib.sha256(file.read()).hexdigest() if file else one.linkname
                kind = "directory" if one.isdir() else f"{told} {one.type!r}"
                lines.append(f"{one.name} {kind} {one.mode:o} {one.uid}:{one.gid} {one.size} {one.mtime}")
    return "\n".join(sorted(lines))


def without_noise(listing: str) -> str:
    own = ("etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab")  # made anew for each container
    lines = [line for line in listing.splitlines() if not any(name in line for name in own)]
    return "\n".join(line.rsplit(" ", 2)[0] if " directory " in line else line for line in lines)


class Shop:
    """A container in one state, with what a person sees of it by its engine's own means."""

    def __init__(self, engine: Dockerd, *, alive: bool) -> None:
        self.engine = engine
        self.alive = alive
        script = "echo mine > /etc/app.conf; rm /etc/motd; echo new > /app/new.txt; mkdir -p /new/deep; "
        script += "echo x > /new/deep/x; chmod 600 /conf.d/a.conf; rm -r /old; mkdir /old; echo o > /old/other; "
        script += "touch /ready; exec sleep 1000"
        engine.docker("run", "-d", "--network=none", "--name=web", IMAGE, "sh", "-ec", script)
        engine.docker("exec", "web", "sh", "-c", "while ! test -e /ready; do sleep 0.1; done")
        if not alive:
            engine.docker("stop", "-t0", "web")
        path = engine.docker("inspect", "--format", "{{json .GraphDriver.Data}}", "web")
        self.lowers = [] if "null" in path else engine.image_layers("web")
        self.before = tree_checksum(self.lowers)

    def dtui(self, *words: str, code: int = 0, stdin: bytes = b"") -> bytes:
        return dtui("-H", self.engine.host, *words, code=code, stdin=stdin)

    def listing(self) -> str:
        """Return what the container itself sees, of one at rest what its engine does.

        Directories stand without size and time, which change with what is made in them.
        """
        return without_noise(self.sh(LISTING) if self.alive else exported(self.engine, "web"))

    def sh(self, script: str) -> str:
        if self.alive:
            return self.engine.docker("exec", "web", "sh", "-c", script)
        self.engine.docker("commit", "web", "shop/look:1")
        return self.engine.docker("run", "--rm", "--network=none", "shop/look:1", "sh", "-c", script)

    def diff(self) -> list[str]:
        return sorted(self.engine.docker("diff", "web").splitlines())


@pytest.fixture(params=[False, True], ids=["stopped", "running"])
def shop(daemon: Dockerd, request: pytest.FixtureRequest) -> Iterator[Shop]:
    found = Shop(daemon, alive=request.param)
    yield found
    assert tree_checksum(found.lowers) == found.before
    for container in daemon.docker("ps", "-aq").split():
        daemon.docker("rm", "-f", container)
    assert not [p for p in daemon.root.rglob("*dtui*") if "rootfs" not in p.parts]


def test_undo_restores_each_deleted_entry(shop: Shop) -> None:
    before = shop.listing()
    shop.dtui("rm", "web:/app/start.sh")
    shop.dtui("rm", "web:/new/deep/x")
    assert b"not empty" in shop.dtui("rm", "web:/conf.d", code=1)
    shop.dtui("rm", "-r", "web:/conf.d")
    gone = shop.listing()
    assert "conf.d" not in gone
    assert "start.sh" not in gone
    for _ in range(3):
        shop.dtui("undo", "web")
    assert shop.listing() == before
    assert b"nothing to take back" in shop.dtui("undo", "web", code=1)


def test_undo_reverses_file_rename(shop: Shop) -> None:
    before = shop.listing()
    shop.dtui("mv", "web:/app/start.sh", "/app/go.sh")
    assert shop.sh("stat -c '%a %s' /app/go.sh; test ! -e /app/start.sh") == "755 36\n"
    assert b"exists already" in shop.dtui("mv", "web:/app/go.sh", "/etc/app.conf", code=1)
    shop.dtui("undo")
    assert shop.listing() == before


def test_undo_reverses_rename_of_directory(shop: Shop) -> None:
    before = shop.listing()
    shop.dtui("mv", "web:/conf.d", "/new")
    assert shop.sh("cat /new/conf.d/b.conf; stat -c %a /new/conf.d/a.conf; test ! -e /conf.d") == "b\n600\n"
    assert b"into itself" in shop.dtui("mv", "web:/new", "/new/deep", code=1)
    shop.dtui("undo")
    assert shop.listing() == before


def test_undo_removes_new_directory(shop: Shop) -> None:
    before = shop.listing()
    assert b"-p makes it too" in shop.dtui("mkdir", "web:/new/a/b", code=1)
    shop.dtui("mkdir", "-p", "web:/new/a/b")
    assert shop.sh("stat -c '%F %a' /new/a/b") == "directory 755\n"
    assert b"exists already" in shop.dtui("mkdir", "web:/new/a/b", code=1)
    shop.dtui("undo")
    assert shop.listing() == before


def test_undo_restores_modes_and_owners(shop: Shop) -> None:
    before = shop.listing()
    shop.dtui("chmod", "u=rwx,go=", "web:/app/start.sh")
    shop.dtui("chmod", "-R", "go+w", "web:/conf.d")
    shop.dtui("chown", "-R", "12:34", "web:/new")
    got = shop.sh("stat -c '%a %u:%g' /app/start.sh /conf.d/a.conf /new/deep/x")
    assert got.splitlines() == ["700 0:0", "622 0:0", "644 12:34"]
    for _ in range(3):
        shop.dtui("undo", "web")
    assert shop.listing() == before


def test_copy_in_and_out_preserves_bytes(shop: Shop, tmp_path: Path) -> None:
    before = shop.listing()
    source = tmp_path / "site"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "page").write_bytes(b"\0\xff page")
    (source / "run").write_text("#!/bin/sh\n")
    (source / "run").chmod(0o4755)
    os.symlink("/etc/shadow", source / "link")
    with (source / "holes").open("wb") as file:
        file.truncate(8 << 20)
    shop.dtui("cp", str(source), "web:/new")
    assert "page" in shop.sh("cat /new/site/sub/page; stat -c '%a %U' /new/site/run; ls -l /new/site/link")
    shop.dtui("cp", "web:/new/site", str(tmp_path / "back"))
    back = tmp_path / "back"
    assert (back / "sub" / "page").read_bytes() == b"\0\xff page"
    assert os.readlink(back / "link") == "/etc/shadow"
    assert (back / "run").stat().st_mode & 0o7777 == 0o755
    assert (back / "holes").stat().st_size == 8 << 20
    assert (back / "holes").stat().st_blocks * 512 < 1 << 20
    assert b"exists already" in shop.dtui("cp", "web:/etc/app.conf", str(back / "run"), code=1)
    shop.dtui("undo")
    assert shop.listing() == before


REVERTED = ["/etc/app.conf", "/etc/motd", "/app/new.txt", "/new", "/conf.d/a.conf", "/old"]
"""Edited, deleted, added, an added directory, metadata only, replaced by an opaque directory."""
ADDED = ("/app/new.txt", "/new")


@pytest.mark.parametrize("path", REVERTED)
def test_undo_reverses_each_kind_of_revert(shop: Shop, path: str) -> None:
    before, diff = shop.listing(), shop.diff()
    shop.dtui("revert", f"web:{path}")
    changed = {row["path"] for row in dtui_json("-H", shop.engine.host, "changes", "web")}
    assert not {one for one in changed if (one + "/").startswith(path + "/")} or shop.alive
    if not shop.alive:
        assert not [line for line in shop.diff() if (line[2:] + "/").startswith(path + "/")]
        told = b"does not exist" if path in ADDED else b"is as the image has it"
        assert told in shop.dtui("revert", f"web:{path}", code=1)
    shop.dtui("undo")
    assert shop.listing() == before
    assert {line[2:] for line in shop.diff()} >= {line[2:] for line in diff if path in line}


def test_revert_restores_whole_image_state(shop: Shop) -> None:
    before = shop.listing()
    if shop.alive:
        fresh = shop.engine.docker("run", "--rm", "--network=none", IMAGE, "sh", "-c", LISTING)
    else:
        shop.engine.docker("create", "--network=none", "--name=fresh", IMAGE, "true")
        fresh = exported(shop.engine, "fresh")
    shop.dtui("revert", "web:/app")
    for path in ("/conf.d", "/etc/app.conf", "/etc/motd", "/old", "/new"):
        shop.dtui("revert", f"web:{path}")
    assert shop.listing() == without_noise(fresh)
    for _ in range(6):
        shop.dtui("undo", "web")
    assert shop.listing() == before


def test_undo_write_keeps_newer_outside_edit(shop: Shop) -> None:
    shop.dtui("write", "web:/etc/app.conf", stdin=b"one\n")
    shop.dtui("write", "web:/etc/app.conf", stdin=b"two\n")
    shop.dtui("undo", "web")
    assert shop.dtui("cat", "web:/etc/app.conf") == b"one\n"
    if shop.alive:
        shop.sh("echo theirs > /etc/app.conf")
        assert b"was changed since" in shop.dtui("undo", "web", code=4)
        assert shop.dtui("cat", "web:/etc/app.conf") == b"theirs\n"
    shop.dtui("undo", "--force", "web")
    assert shop.dtui("cat", "web:/etc/app.conf") == b"mine\n"
    listed = dtui_json("-H", shop.engine.host, "backups", "web")
    assert [row["state"] for row in listed if row["act"] == "write"] == ["undone", "undone"]


def test_backups_are_private(shop: Shop, private_state: Path) -> None:
    shop.dtui("rm", "-r", "web:/conf.d")
    files = [path for path in private_state.rglob("*") if path.is_file()]
    assert files
    assert all(path.stat().st_mode & 0o077 == 0 for path in private_state.rglob("*"))
    assert not str(private_state).startswith(str(shop.engine.root))
    (row,) = dtui_json("-H", shop.engine.host, "backups")
    assert (row["act"], row["path"], row["name"]) == ("delete", "/conf.d", "web")


def test_delete_and_undo_preserve_attributes(shop: Shop) -> None:
    where = dtui_json("-H", shop.engine.host, "ls")[0]["layer"]["path"]
    shop.sh("true")
    target = os.path.join(where, "app", "new.txt")
    if shop.alive:
        target = f"/proc/{shop.engine.docker('inspect', '--format', '{{.State.Pid}}', 'web').strip()}/root/app/new.txt"
    os.setxattr(target, "user.note", b"\0binary\xff")
    subprocess.run(["/sbin/setcap", "cap_net_raw+ep", target], check=True)
    capability = os.getxattr(target, "security.capability")
    os.chmod(target, 0o6751)
    shop.dtui("rm", "web:/app/new.txt")
    shop.dtui("undo")
    assert os.getxattr(target, "user.note") == b"\0binary\xff"
    assert os.getxattr(target, "security.capability") == capability
    assert os.stat(target).st_mode & 0o7777 == 0o6751
