"""A file system in the container that never answers holds neither the command line nor the lock."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes
from tests.support.cli import dtui
from tests.support.hanging_fs import hanging
from tests.support.kernel_waits import is_waiting
from tests.support.terminal import Terminal
from tests.support.waiting import until
from tui.files.abandon import Abandonable
from tui.ui.threads import DaemonThreads

pytestmark = pytest.mark.engine
UNION = pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")
HANGS = (
    ("never", ["mkdir", "web:/srv/stuck/new"], (signal.SIGINT, signal.SIGINT)),
    ("mounted", ["write", "web:/srv/stuck/file"], (signal.SIGINT, signal.SIGINT)),
    ("opened", ["cat", "web:/srv/stuck/file"], (signal.SIGINT, signal.SIGINT)),
    ("opened", ["rm", "web:/srv/stuck/file"], (signal.SIGTERM,)),
    ("unlink", ["rm", "web:/srv/stuck/file"], (signal.SIGINT, signal.SIGINT)),
    ("fsync", ["write", "web:/srv/stuck/file"], (signal.SIGHUP,)),
)


@contextmanager
def started(line: list[str], **pipes: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command that may hang, and kill it when the test is done with it."""
    process = subprocess.Popen(line, stderr=subprocess.PIPE, **pipes)
    try:
        yield process
    finally:
        process.kill()


@pytest.fixture
def stuck(boxes: Boxes) -> Box:
    return boxes("mkdir /srv/stuck; echo own > /srv/own", alive=True)


@UNION
@pytest.mark.promise("hang-second-interrupt")
@pytest.mark.promise("lock-released")
@pytest.mark.parametrize(("answers", "words", "signals"), HANGS)
def test_second_interrupt_frees_lock(
    stuck: Box, answers: str, words: list[str], signals: tuple[signal.Signals, ...]
) -> None:
    engine = ("-H", stuck.engine.host)
    with hanging(stuck.details.pid, "/srv/stuck", answers):
        line = [sys.executable, "-m", "tui", *engine, *words]
        with started(line, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            process.stdin.write(b"new\n")
            process.stdin.close()
            until(lambda: is_waiting(process))
            for number in signals:
                process.send_signal(number)
                time.sleep(0.2)  # two of one kind at once would be one
            assert process.wait(60) == 128 + signals[-1]
            assert process.stderr is not None
            assert b"a file system did not answer" in process.stderr.read()
        dtui(*engine, "write", "web:/srv/own", stdin=b"written\n")
        assert stuck.sh("cat /srv/own") == "written\n"


@UNION
@pytest.mark.promise("hang-second-interrupt")
def test_first_interrupt_explains_second(stuck: Box) -> None:
    with hanging(stuck.details.pid, "/srv/stuck", "opened"):
        line = [sys.executable, "-m", "tui", "-H", stuck.engine.host, "cat", "web:/srv/stuck/file"]
        with started(line) as process:
            until(lambda: is_waiting(process))
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            assert b"for a file system that does not answer; Ctrl+C again ends dtui now" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130


@UNION
@pytest.mark.promise("hang-second-interrupt")
def test_hanging_mount_is_not_queried(stuck: Box, tmp_path: Path) -> None:
    engine = ("-H", stuck.engine.host)
    with hanging(stuck.details.pid, "/srv/stuck"):
        assert b"/srv/stuck is a mount point" in dtui(*engine, "rm", "-r", "web:/srv", code=1)
        dtui(*engine, "cp", "web:/srv", str(tmp_path / "out"))
        assert (tmp_path / "out" / "own").read_text() == "own\n"
        dtui(*engine, "chmod", "600", "web:/srv/own")


@UNION
def test_save_ignores_hanging_descriptors(stuck: Box) -> None:
    """Who has the file open is asked of the kernel: a descriptor of another file may lie on the hanging one."""
    with hanging(stuck.details.pid, "/srv/stuck", "opened"):
        stuck.sh("(exec 3< /srv/stuck/file; sleep 100) & sleep 0.2")
        assert stuck.files.plan(b"/srv/own").sentence.startswith("atomic rename")


@UNION
@pytest.mark.promise("hang-app-responsive")
@pytest.mark.promise("lock-released")
def test_app_quits_despite_hanging_change(stuck: Box) -> None:
    engine = ("-H", stuck.engine.host)
    with hanging(stuck.details.pid, "/srv/stuck", "opened"):
        stuck.engine.docker("rm", "probe")  # the one row is opened then
        terminal = Terminal(*engine)
        try:
            terminal.wait("● running")
            terminal.press("enter")
            terminal.wait("stuck")
            terminal.press("home", "+")
            above = "/" if "New in / " in terminal.wait("New in") else "/srv"
            terminal.press("srv/stuck/new" if above == "/" else "stuck/new", "enter")
            terminal.wait("is not answering")
            terminal.press("esc")
            terminal.wait("left: the file system did not answer")
            dtui(*engine, "write", "web:/srv/own", stdin=b"beside the app\n")
            terminal.press("q")
            assert terminal.close() == 0
        finally:
            terminal.abandon()
        assert stuck.sh("cat /srv/own") == "beside the app\n"


@UNION
def test_write_works_without_attributes(stuck: Box) -> None:
    with hanging(stuck.details.pid, "/srv/stuck", "nothing"):
        stuck.write(b"/srv/stuck/file", b"new\n")
        assert stuck.read(b"/srv/stuck/file") == b"new\n"


HELD = """
import ctypes, fcntl, os, sys
from tui.linux.supervise import continue_in_child
continue_in_child()
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
ctypes.PyDLL(None).open(sys.argv[2].encode(), os.O_RDONLY)
"""


@pytest.mark.promise("hang-second-interrupt")
@pytest.mark.promise("lock-released")
def test_call_that_blocks_python_is_ended(tmp_path: Path) -> None:
    """No thread of the child can run then: the parent ends, and gives the lock back."""
    lock, mount = tmp_path / "one.lock", tmp_path / "mount"
    mount.mkdir()
    with (
        hanging(os.getpid(), str(mount)),
        started([sys.executable, "-c", HELD, str(lock), f"{mount}/x"], stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        until(lambda: is_waiting(process))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.promise("hang-second-interrupt")
@pytest.mark.parametrize("place", ["--root", "DTUI_STATE", "HOME"])
def test_hang_at_any_call_can_be_left(tmp_path: Path, place: str) -> None:
    arguments = {"--root": ["--root", str(tmp_path / "stuck"), "ls"], "DTUI_STATE": ["backups"], "HOME": ["ls"]}[place]
    environment = {**os.environ, place: str(tmp_path / "stuck")}
    (tmp_path / "stuck").mkdir()
    with hanging(os.getpid(), str(tmp_path / "stuck")):
        process = subprocess.Popen([sys.executable, "-m", "tui", *arguments], stderr=subprocess.PIPE, env=environment)
        until(lambda: is_waiting(process))
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)  # two at once are one to the kernel; these come before the child has taken the first
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert process.stderr.read().splitlines() == [b"dtui: ended while a file system did not answer"]


def test_hanging_thread_blocks_no_other() -> None:
    hold = threading.Event()
    threads = DaemonThreads()
    held = [threads.submit(hold.wait) for _ in range(64)]
    assert threads.submit(lambda: 7).result(20) == 7
    threads.shutdown()
    assert threads.busy
    hold.set()
    assert all(one.result(20) for one in held)


def test_abandoned_call_does_nothing_more() -> None:
    """Neither what follows the system call that hung nor what cleans up after it is done: both would lack the lock."""
    reader, writer = os.pipe()
    went_on: list[str] = []
    job = Abandonable()

    def call() -> None:
        try:
            os.read(reader, 1)
            went_on.append("changed")
        finally:
            went_on.append("cleaned up")

    ended = DaemonThreads().submit(job.run, call)
    until(lambda: job.still_for() >= 0.1)
    job.abandon()
    os.write(writer, b"x")
    until(lambda: job.still_for() >= 0.5)
    assert not ended.done()
    assert went_on == []
