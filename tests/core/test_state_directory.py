"""Where dtui keeps what it replaced: one place, only this user's; and how long a change waits for another dtui's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes
from tests.support.cli import dtui
from tests.support.waiting import until
from tui.cli import main
from tui.core import state
from tui.core.errors import DtuiError, EditRefused
from tui.core.ids import ContainerId
from tui.core.state import container_lock, state_dir
from tui.files.history.backups import undo_records

OVERLAY2 = pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")
PRIVATE = pytest.mark.promise("state-directory-private")
WAITS = pytest.mark.promise("wait-for-the-lock")


ROOT_OF_NAMESPACE = """
import ctypes, os, pathlib, platformdirs.unix
from tui.core import state
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
libc = ctypes.CDLL(None)
libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: else its own files in /proc are root's
assert libc.unshare(0x10000000) == 0  # CLONE_NEWUSER
for name, line in (("setgroups", "deny"), ("uid_map", "0 65534 1"), ("gid_map", "0 65534 1")):
    pathlib.Path("/proc/self", name).write_text(line)
assert os.geteuid() == 0
print(state.state_dir("journal"), state._lock_dir())
"""
"""What ``podman unshare`` does to a user, then where dtui keeps its state."""


@pytest.mark.root
def test_root_of_user_namespace_has_users_state(tmp_path: Path) -> None:
    for directory in (tmp_path, *tmp_path.parents[:-2]):  # all below /tmp
        directory.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    command = [sys.executable, "-c", ROOT_OF_NAMESPACE]
    result = subprocess.run(command, env={"HOME": str(home)}, capture_output=True, text=True, check=True)
    assert result.stdout.split() == [f"{home}/.local/state/dtui/{name}" for name in ("journal", "locks")]


@PRIVATE
@pytest.mark.parametrize("place", ["state", "./state", "../x/state", "~/state"])
def test_relative_state_dir_is_usage_error(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DTUI_STATE", place)
    monkeypatch.chdir(tmp_path)
    for arguments in (("write", "web:/f"), ("rm", "web:/f"), ("undo",), ("backups",), ()):
        assert main(["--root", str(tmp_path), *arguments]) == 2, arguments
        (output,) = capsys.readouterr().err.splitlines()
        assert "is not an absolute path" in output
    assert list(tmp_path.iterdir()) == []


@PRIVATE
def test_relative_xdg_state_home_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DTUI_STATE")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state.state_base() == tmp_path / ".local/state/dtui"
    monkeypatch.setenv("HOME", "home")
    assert state.state_base().is_absolute()


def swapped_for_a_link(top: Path) -> None:
    (top / "backups").rename(top.parent / "elsewhere")
    (top / "backups").symlink_to(top.parent / "elsewhere")


UNSAFE: dict[str, tuple[Callable[[Path], object], str]] = {
    "group may write": (lambda top: top.chmod(0o770), "can be changed by others (mode 0770)"),
    "anybody may write": (lambda top: top.chmod(0o1777), "can be changed by others (mode 1777)"),
    "backups anybody's": (lambda top: (top / "backups").chmod(0o777), "can be changed by others (mode 0777)"),
    "another's": (lambda top: os.chown(top, 1000, 1000), "belongs to user 1000"),
    "backups another's": (lambda top: os.chown(top / "backups", 1000, 0), "belongs to user 1000"),
    "a link": (swapped_for_a_link, "is a symbolic link"),
    "replaceable": (lambda top: top.parent.chmod(0o777), "can be changed by anybody (mode 0777)"),
}


@PRIVATE
@pytest.mark.root  # to give directories to others
@pytest.mark.parametrize("name", UNSAFE)
def test_unsafe_state_directory_is_refused(name: str, private_state: Path) -> None:
    spoil, told = UNSAFE[name]
    state_dir("backups")
    spoil(private_state)
    state._refuse_unsafe_above.cache_clear()
    with pytest.raises(EditRefused) as refused:
        list(undo_records())
    assert told in str(refused.value)


@PRIVATE
@pytest.mark.root  # to give a link to somebody else
def test_owner_link_to_state_dir_is_followed(private_state: Path, tmp_path: Path) -> None:
    (tmp_path / "large").mkdir(mode=0o700)
    private_state.symlink_to(tmp_path / "large")
    assert state_dir("backups").resolve() == tmp_path / "large" / "backups"
    os.chown(private_state, 1000, 1000, follow_symlinks=False)
    with pytest.raises(EditRefused, match="is a symbolic link"):
        state_dir("backups")


@PRIVATE
@OVERLAY2
@pytest.mark.engine
def test_open_state_directory_warns_once(boxes: Boxes, private_state: Path) -> None:
    box = boxes()
    private_state.mkdir()
    private_state.chmod(0o755)
    arguments = (sys.executable, "-m", "tui", "-H", box.engine.host)
    for verb in (("rm", "web:/etc/motd"), ("undo", "web")):
        result = subprocess.run([*arguments, *verb], capture_output=True, text=True, check=True)
        assert result.stderr.count("others can read ") == 1
        assert f"chmod 700 {private_state}" in result.stderr
    private_state.chmod(0o700)
    assert "others can read" not in dtui("-H", box.engine.host, "rm", "web:/etc/motd").decode()


# waiting -----------------------------------------------------------------------------------------------------


def start(box: Box, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tui", "-H", box.engine.host, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ})


@pytest.fixture
def locks(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of locks that processes of their own use, too."""
    monkeypatch.setattr(state, "LOCKS", Path("/run/dtui"))
    return Path("/run/dtui")


@WAITS
@OVERLAY2
@pytest.mark.engine
@pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])
def test_twelve_waiting_writes_all_succeed(boxes: Boxes, alive: bool) -> None:
    box = boxes("echo 0 > /srv/f", alive=alive)
    children = [start(box, "write", "--wait", "120", "web:/srv/f") for _ in range(12)]
    for number, child in enumerate(children, 1):
        assert child.stdin is not None
        child.stdin.write(b"%d" % number)
        child.stdin.close()
    output = [child.stderr.read() if child.stderr else b"" for child in children]
    assert [child.wait(300) for child in children] == [0] * 12, output
    done = list(undo_records(box.id))
    assert len(done) == 12
    read = {act.data.read_bytes() for act in done} | {box.read(b"/srv/f")}
    assert read == {b"0\n", *(b"%d" % number for number in range(1, 13))}


VERBS = (
    ("write", "web:/etc/motd"),
    ("rm", "web:/etc/motd"),
    ("mv", "web:/etc/motd", "other"),
    ("mkdir", "web:/made"),
    ("chmod", "600", "web:/etc/motd"),
    ("chown", "3", "web:/etc/motd"),
    ("cp", __file__, "web:/copied"),
    ("revert", "web:/srv/f"),
    ("undo", "web"),
)


@WAITS
@OVERLAY2
@pytest.mark.engine
def test_interrupt_ends_wait_of_each_verb(boxes: Boxes, locks: Path) -> None:
    del locks
    box = boxes("echo x > /srv/f")
    dtui("-H", box.engine.host, "chmod", "600", "web:/srv/f")
    before = box.diff()
    with container_lock(box.id):
        refused = [start(box, *verb) for verb in VERBS]
        for verb, child in zip(VERBS, refused, strict=True):
            assert b"another dtui is changing this container" in child.communicate(b"x", timeout=300)[1], verb
            assert child.returncode == 1
        for verb in VERBS:
            child = start(box, *verb, "--wait", "300")
            assert child.stdin is not None
            child.stdin.close()
            until(lambda: waits(child.pid) or child.poll() is not None)  # noqa: B023 - it is over when until returns
            assert child.poll() is None, verb
            child.send_signal(signal.SIGINT)
            assert child.wait(60) == 1, verb
            assert child.stderr is not None
            output = child.stderr.read()
            assert b"stopped waiting for another dtui" in output, verb
            assert len(output.splitlines()) == 1, output
    assert box.diff() == before
    assert len(list(undo_records(box.id))) == 1


def waits(pid: int) -> bool:
    """Say whether the child that works for a process has a lock's file open and handles interrupts by itself."""
    try:
        (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        names = [os.readlink(f"/proc/{child}/fd/{fd}") for fd in os.listdir(f"/proc/{child}/fd")]
    except (OSError, ValueError):
        return False
    return any(name.startswith("/run/dtui/") for name in names)


@WAITS
def test_lock_wait_ends_at_limit_or_stop() -> None:
    name = ContainerId("c" * 64)
    with state.lock_wait(0.2, bool), container_lock(name), pytest.raises(EditRefused, match="another dtui"):
        container_lock(name).__enter__()
    stops = iter([False, True])
    with state.lock_wait(300, lambda: next(stops)) as lock, container_lock(name):
        with pytest.raises(DtuiError, match="stopped waiting"):
            container_lock(name).__enter__()
        assert not lock.waiting


@WAITS
@pytest.mark.parametrize("seconds", ["-1", "inf", "nan", "1e9", "soon", ""])
def test_bad_wait_value_is_usage_error(seconds: str) -> None:
    assert b"is not a number of seconds" in dtui("rm", "web:/f", f"--wait={seconds}", code=2)
