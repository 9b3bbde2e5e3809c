"""What a container may not open, dtui does not open for it: capabilities, groups, ACLs, sticky directories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.acls import USER, named, set_acl
from tests.support.cli import dtui
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE

pytestmark = pytest.mark.engine

USER_FILES = 1000
GROUP_FILES = 4444


def lay_out(host: Path, base: int) -> None:
    """Make files of the host's that the container sees; ``base`` is the container's root as the host has it."""
    for name, mode, user, group in (
        ("users", 0o600, USER_FILES, USER_FILES),
        ("groups", 0o640, USER_FILES, GROUP_FILES),
        ("denied", 0o644, USER_FILES, USER_FILES),
        ("named", 0o600, USER_FILES, USER_FILES),
        ("masked", 0o600, USER_FILES, base),
        ("tmp/theirs", 0o666, USER_FILES, USER_FILES),
        ("dropped/file", 0o666, USER_FILES, USER_FILES),
    ):
        path = host / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"the host's\n")
        os.chown(path, user, group)
        path.chmod(mode)
    os.chown(host / "tmp", USER_FILES, USER_FILES)
    (host / "tmp").chmod(0o1777)
    set_acl(host / "denied", *named(USER, base, 0, group=4, other=4))
    set_acl(host / "named", *named(USER, base, 6))
    set_acl(host / "masked", *named(USER, 1, 6))


def run(engine: Dockerd, host: Path, *options: str) -> None:
    engine.docker(
        "run", "-d", "--network=none", f"--volume={host}:/srv", "--name=shop", *options, IMAGE, "sleep", "1000"
    )
    engine.docker("exec", "shop", "sh", "-c", "for one in users denied masked; do ln -s /srv/$one /etc/$one; done")
    engine.docker("exec", "shop", "sh", "-c", "echo own > /etc/own; chmod 600 /etc/own")


def refused(engine: Dockerd, *words: str) -> None:
    assert b"the container may not do this" in dtui("-H", engine.host, *words, stdin=b"new\n", code=1)


@pytest.mark.promise("container-rights-only")
def test_dropped_capability_is_not_lent(engine: Dockerd, tmp_path: Path) -> None:
    host = tmp_path / "srv"
    lay_out(host, 0)
    run(engine, host, "--cap-drop=DAC_OVERRIDE", "--group-add=4444")
    for name in ("users", "denied", "masked"):
        refused(engine, "cat", f"shop:/etc/{name}")
    refused(engine, "cp", "shop:/srv/users", str(tmp_path / "out"))
    refused(engine, "write", "--in-place", "shop:/etc/users")
    for name in ("groups", "named"):
        assert dtui("-H", engine.host, "cat", f"shop:/srv/{name}") == b"the host's\n"
    dtui("-H", engine.host, "write", "shop:/srv/named", stdin=b"new\n")
    assert (host / "named").read_bytes() == b"new\n"
    os.chown(Path(engine.docker("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "shop").strip()) / "etc/own", 7, 7)
    dtui("-H", engine.host, "write", "shop:/etc/own", stdin=b"the container's\n")  # what it owns is the caller's
    assert engine.docker("exec", "-u7", "shop", "cat", "/etc/own") == "the container's\n"


@pytest.mark.promise("container-rights-only")
def test_rights_of_any_process_count(engine: Dockerd, tmp_path: Path) -> None:
    host = tmp_path / "srv"
    lay_out(host, 0)
    run(engine, host, "--cap-drop=ALL")
    refused(engine, "cat", "shop:/srv/users")
    engine.docker("exec", "-d", f"-u{USER_FILES}", "shop", "sleep", "1000")
    assert dtui("-H", engine.host, "cat", "shop:/srv/users") == b"the host's\n"
