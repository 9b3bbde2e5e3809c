"""Data-roots of strangers: what they link to, name or swap leads to nothing of this host."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import hostile_roots
from tests.support.hostile_roots import (
    CONTAINER,
    LAYER,
    LINKED,
    NAMED,
    SECRET,
    Prepared,
    docker_root,
    podman_root,
)
from tui.cli import main
from tui.core.errors import DtuiError, LayerError
from tui.core.ids import ContainerId
from tui.core.records import Details
from tui.engine.at_rest.docker import OfflineEndpoint
from tui.files.verbs.acts import make_directory, remove
from tui.files.verbs.opening import reading
from tui.files.verbs.revert import revert
from tui.files.verbs.save import save
from tui.files.write.options import SaveOptions
from tui.layers.view import LayerView
from tui.linux import syscalls

pytestmark = pytest.mark.root  # a stopped union is written by root

ID = ContainerId(CONTAINER)
SECONDS = float(os.environ.get("DTUI_RACE_SECONDS", "5")) / 2

VERBS = (
    ("cat", "web:/etc/secret"),
    ("cat", "web:/etc/app.conf"),
    ("tree", "web", "--view", "merged"),
    ("changes", "web"),
    ("rm", "web:/etc/app.conf"),
    ("rm", "-r", "web:/etc"),
    ("mkdir", "web:/etc/new"),
    ("chmod", "777", "web:/etc/app.conf"),
    ("mv", "web:/etc/app.conf", "web:/etc/x"),
    ("revert", "web:/etc/app.conf"),
)


def everything(host: Path) -> dict[str, tuple[int, int, bytes]]:
    """Describe all of the host's directory."""
    found = {}
    for path in sorted(host.rglob("*")):
        status = path.lstat()
        data = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (status.st_mode, status.st_mtime_ns, data)
    return found


def run(capfdbinary: pytest.CaptureFixture[bytes], prepared: Prepared, *arguments: str) -> tuple[int, bytes, bytes]:
    code = main(["--root", str(prepared.root), *arguments])
    out, err = capfdbinary.readouterr()
    return code, out, err


@pytest.mark.promise("root-beneath")
@pytest.mark.parametrize("what", [*LINKED, *NAMED])
def test_symlink_in_data_root_opens_nothing(
    what: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    prepared = docker_root(tmp_path)
    (LINKED | NAMED)[what](prepared)
    before = everything(prepared.host)
    for words in VERBS:
        code, out, err = run(capfdbinary, prepared, *words)
        assert code != 0, (words, out, err)
        assert SECRET.strip() not in out + err
        assert len(err.splitlines()) == 1, err
        assert b"Traceback" not in err
    assert everything(prepared.host) == before


@pytest.mark.promise("root-beneath")
@pytest.mark.parametrize("place", [f"vfs/dir/{LAYER}", "vfs/dir", "vfs"])
def test_symlink_to_full_tree_opens_nothing(
    place: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    prepared = docker_root(tmp_path, "vfs")
    prepared.link(place, prepared.host)
    (prepared.host / LAYER / "etc").mkdir(exist_ok=True)
    before = everything(prepared.host)
    for words in VERBS:
        code, out, err = run(capfdbinary, prepared, *words)
        assert code != 0, (words, out, err)
        assert SECRET.strip() not in out + err
    assert everything(prepared.host) == before


@pytest.mark.promise("root-beneath")
@pytest.mark.parametrize("place", [f"overlay/{LAYER}", f"overlay/{LAYER}/diff", "overlay"])
def test_podman_storage_link_opens_nothing(
    place: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    prepared = podman_root(tmp_path)
    prepared.link(place, prepared.host)
    before = everything(prepared.host)
    for words in VERBS:
        code, out, err = run(capfdbinary, prepared, *words)
        assert code != 0, (words, out, err)
        assert SECRET.strip() not in out + err
    assert everything(prepared.host) == before


@pytest.mark.promise("root-beneath")
@pytest.mark.parametrize("make", [docker_root, podman_root])
def test_symlinked_record_is_not_read(make: object, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    prepared = docker_root(tmp_path) if make is docker_root else podman_root(tmp_path)
    record = (prepared.host / "record.json").resolve()
    if make is docker_root:
        place = f"containers/{CONTAINER}/config.v2.json"
    else:
        place = f"overlay-containers/{CONTAINER}/userdata/config.json"
    record.write_bytes((prepared.root / place).read_bytes().replace(b'"true"', b'"SECRET of this host"'))
    prepared.link(place, record)
    code, out, err = run(capfdbinary, prepared, "ls", "--json")
    assert code == 0
    assert b"SECRET" not in out + err
    assert CONTAINER.encode() in out


@pytest.mark.promise("root-beneath")
def test_symlinked_log_is_not_read(tmp_path: Path) -> None:
    prepared = docker_root(tmp_path)
    place = f"containers/{CONTAINER}/{CONTAINER}-json.log"
    endpoint = OfflineEndpoint("root", prepared.root)
    assert [line.text for line in endpoint.logs(CONTAINER, follow=False, tail=9)] == [b"hello"]
    (prepared.host / "log").write_bytes((prepared.root / place).read_bytes())
    prepared.link(place, prepared.host / "log")
    with pytest.raises(LayerError, match="symbolic link"):
        list(endpoint.logs(CONTAINER, follow=False, tail=9))


@pytest.mark.promise("root-beneath")
def test_symlinked_data_root_works(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    prepared = docker_root(tmp_path)
    other = tmp_path / "elsewhere"
    other.symlink_to(prepared.root)
    code = main(["--root", str(other), "rm", "web:/etc/app.conf"])
    assert (code, capfdbinary.readouterr().err.count(b"symbolic")) == (0, 0)
    assert run(capfdbinary, prepared, "changes", "web")[1].splitlines() == [
        b"M /etc",
        b"D /etc/app.conf",
        b"A /etc/own",
    ]


@pytest.mark.promise("root-beneath")
def test_disk_mounted_in_data_root_is_used(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    prepared = docker_root(tmp_path)
    (prepared.root / "overlay2").rename(tmp_path / "disk")
    (prepared.root / "overlay2").mkdir()
    subprocess.run(["/bin/mount", "--bind", tmp_path / "disk", prepared.root / "overlay2"], check=True)
    try:
        assert run(capfdbinary, prepared, "rm", "web:/etc/app.conf")[0] == 0
        assert run(capfdbinary, prepared, "undo", "web")[0] == 0
        assert run(capfdbinary, prepared, "cat", "web:/etc/app.conf")[1] == b"port=1\n"
    finally:
        subprocess.run(["/bin/umount", prepared.root / "overlay2"], check=True)


@pytest.mark.promise("root-beneath")
@pytest.mark.parametrize("what", ["a layer", "an image's files", "the mount-id", "a short link out"])
def test_link_opens_nothing_without_openat2(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    def no_openat2(*args: object) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(syscalls, "_openat2", no_openat2)
    monkeypatch.setattr(syscalls, "has_openat2", lambda: False)
    prepared = docker_root(tmp_path)
    assert run(capfdbinary, prepared, "cat", "web:/etc/app.conf")[1] == b"port=1\n"
    LINKED.get(what, NAMED.get(what))(prepared)  # type: ignore[misc]
    before = everything(prepared.host)
    for arguments in (("cat", "web:/etc/secret"), ("rm", "web:/etc/app.conf"), ("mkdir", "web:/etc/new")):
        code, out, err = run(capfdbinary, prepared, *arguments)
        assert code != 0, (arguments, out, err)
        assert SECRET.strip() not in out + err
    assert everything(prepared.host) == before


@pytest.mark.promise("mount-by-descriptor")
def test_layers_mount_by_fd_before_linux_6_13(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    paths: list[bytes] = []
    before = syscalls.fsconfig_string

    def no_descriptors(context: int, key: str, fd: int) -> None:
        del context, key, fd
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    def noting(context: int, key: str, value: bytes) -> None:
        paths.extend([value] if key in ("lowerdir+", "upperdir", "workdir") else ())
        before(context, key, value)

    monkeypatch.setattr(syscalls, "fsconfig_fd", no_descriptors)
    monkeypatch.setattr(syscalls, "fsconfig_string", noting)
    prepared = docker_root(tmp_path)
    assert run(capfdbinary, prepared, "rm", "web:/etc/app.conf")[0] == 0
    assert stat.S_ISCHR((prepared.upper / "etc" / "app.conf").lstat().st_mode)
    assert paths
    assert all(path.startswith(b"/proc/self/fd/") for path in paths)


def details_of(prepared: Prepared) -> Details:
    return OfflineEndpoint("root", prepared.root).inspect(CONTAINER)


@pytest.mark.promise("root-swap-race")
def test_swapped_data_root_is_refused(tmp_path: Path) -> None:
    prepared = docker_root(tmp_path)
    details = details_of(prepared)
    prepared.root.rename(tmp_path / "was")
    (tmp_path / "second").mkdir()
    other = docker_root(tmp_path / "second")
    other.root.rename(prepared.root)
    before = everything(prepared.root)
    with pytest.raises(LayerError, match="not the same directory"):
        remove(ID, b"/etc/app.conf", inspect=lambda _: details)
    assert details.stack is not None
    with pytest.raises(LayerError, match="not the same directory"):
        LayerView.open(details.stack)
    assert everything(prepared.root) == before


@pytest.mark.promise("mount-by-descriptor")
@pytest.mark.parametrize("name", ["dtui-work", "dtui-probe", "dtui-trash"])
def test_work_directories_follow_no_link(name: str, tmp_path: Path) -> None:
    prepared = docker_root(tmp_path)
    before = everything(prepared.host)
    (prepared.upper.parent / name).symlink_to(prepared.host / "etc")
    details = details_of(prepared)
    remove(ID, b"/etc/own", inspect=lambda _: details)
    make_directory(ID, b"/etc/new", inspect=lambda _: details)
    assert everything(prepared.host) == before
    assert (prepared.upper / "etc" / "new").is_dir()


@pytest.mark.promise("mount-by-descriptor")
@pytest.mark.parametrize("driver", ["overlay2", "vfs"])
def test_set_aside_follows_no_link(driver: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    prepared = docker_root(tmp_path, driver)
    home = prepared.root / "containers" / CONTAINER if driver == "vfs" else prepared.upper.parent
    (home / "dtui-aside").symlink_to(prepared.host / "etc")
    before = everything(prepared.host)
    code, _, err = run(capfdbinary, prepared, "rm", "--set-aside", "web:/etc/own")
    assert (code, len(err.splitlines())) == (1, 1), err
    assert (prepared.upper / "etc" / "own").read_bytes() == b"mine\n"
    assert everything(prepared.host) == before


@pytest.mark.promise("root-swap-race", "mount-by-descriptor")
@pytest.mark.parametrize(("driver", "part"), [("overlay2", "layer"), ("overlay2", "files"), ("vfs", "layer")])
def test_layer_swapped_for_link_is_harmless(driver: str, part: str, tmp_path: Path) -> None:
    prepared = docker_root(tmp_path, driver)
    place = prepared.upper if driver == "vfs" or part == "files" else prepared.upper.parent
    link = prepared.root / "evil"
    link.symlink_to(prepared.host if part == "layer" and driver != "vfs" else prepared.host / "diff")
    before = everything(prepared.host)
    arguments = [sys.executable, hostile_roots.__file__, str(place), str(link)]
    done = refused = 0
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as swapper:
        try:
            assert swapper.stdout is not None
            swapper.stdout.readline()
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                done, refused = one_round(prepared, done, refused)
        finally:
            swapper.send_signal(signal.SIGKILL)
    assert everything(prepared.host) == before
    print(f"{done} done, {refused} refused")
    assert done
    assert refused


def one_round(prepared: Prepared, done: int, refused: int) -> tuple[int, int]:
    """Try to read and to change what is being swapped; count what went through and what was refused."""
    for act in (
        lambda inspect: save(ID, b"/etc/app.conf", b"new\n", None, SaveOptions(create=True), inspect=inspect),
        lambda inspect: read_conf(inspect(ID)),
        lambda inspect: remove(ID, b"/etc/app.conf", inspect=inspect),
        lambda inspect: revert(ID, b"/etc/app.conf", inspect=inspect),
        lambda inspect: remove(ID, b"/etc/secret", inspect=inspect),
        lambda inspect: make_directory(ID, b"/etc/made", inspect=inspect),
        lambda inspect: remove(ID, b"/etc/made", recursive=True, inspect=inspect),
    ):
        try:
            act(lambda _: details_of(prepared))
            done += 1
        except DtuiError:
            refused += 1
    return done, refused


def read_conf(details: Details) -> None:
    with reading(details, b"/etc/app.conf") as fd:
        assert SECRET not in os.read(fd, 4096)
