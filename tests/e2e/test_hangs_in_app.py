"""A file system that never answers holds up neither the app, nor its end, nor what the user typed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes
from tests.support.cli import run
from tests.support.hanging_fs import hanging
from tests.support.kernel_waits import is_waiting
from tests.support.terminal import Terminal
from tests.support.waiting import until
from tui.files import Unsaved
from tui.files.texts import unsaved
from tui.ui import outside

pytestmark = [pytest.mark.engine, pytest.mark.promise("hang-app-responsive")]
UNION = pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")


@pytest.fixture
def stuck(boxes: Boxes) -> Box:
    """A running container with files next to and below the place where a file system will hang."""
    box = boxes("mkdir /srv/stuck; echo below > /srv/stuck/file; echo own > /srv/own", alive=True)
    box.engine.docker("rm", "probe")  # the one row is opened then
    return box


@pytest.fixture
def stuck_state(private_state: Path) -> Iterator[Path]:
    """A state directory on a file system that hangs."""
    private_state.mkdir()
    with hanging(os.getpid(), str(private_state)):
        yield private_state
    unsaved._silent.clear()


def opened(stuck: Box) -> Terminal:
    """The app on the layer of the container."""
    terminal = Terminal("-H", stuck.engine.host)
    terminal.wait("shop/web")
    terminal.press("enter")
    return terminal


@UNION
def test_stuck_preview_blocks_no_other(stuck: Box) -> None:
    with hanging(stuck.details.pid, "/srv/stuck", "opened"):
        terminal = opened(stuck)
        try:
            terminal.wait("stuck")
            for _ in range(2):
                terminal.press("/", "/srv/stuck/file", "enter")
                terminal.wait("/srv/stuck/file does not answer")
                terminal.press("/", "/srv/own", "enter")
                terminal.wait("1  own")
            terminal.press("q")
            assert terminal.close() == 0
        finally:
            terminal.abandon()


@UNION
def test_stuck_layer_is_named_and_left(stuck: Box) -> None:
    stack = stuck.details.stack
    assert stack is not None
    stuck.engine.docker("kill", "web")
    with hanging(os.getpid(), str(stack.writable.path)):
        terminal = opened(stuck)
        try:
            terminal.wait_all("opening the layer", "the layer of web does not answer")
            terminal.press("esc")
            terminal.wait("group: state")
            terminal.press("q")
            assert terminal.close() == 0
        finally:
            terminal.abandon()


@UNION
@pytest.mark.promise("recovery-waits-for-no-hang")
def test_stuck_recovery_is_left_for_next_start(stuck: Box) -> None:
    engine = ("-H", stuck.engine.host)
    with hanging(stuck.details.pid, "/srv/stuck", "rename2"):
        line = [sys.executable, "-m", "tui", *engine, "mkdir", "web:/srv/stuck/new"]
        with subprocess.Popen(line, stderr=subprocess.DEVNULL) as process:
            until(lambda: is_waiting(process))
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 128 + signal.SIGTERM
        other = run(*engine, "mkdir", "web:/srv/other")
        assert b"cannot be put right yet: a file system of its container does not answer" in other.stderr
        assert other.returncode == 0, other.stderr
        terminal = Terminal(*engine)
        try:
            terminal.wait_all("from an earlier run", "right yet: a file system of its container")
            terminal.press("q")
            assert terminal.close() == 0
        finally:
            terminal.abandon()
    later = run(*engine, "mkdir", "web:/srv/third").stderr
    assert later.startswith(b"dtui: /srv/stuck/new: a write that was cut off")


@UNION
@pytest.mark.promise("text-survives-any-exception")
def test_text_survives_state_directory_that_hangs(stuck: Box, stuck_state: Path) -> None:
    terminal = Terminal("-H", stuck.engine.host, "edit", "web:/srv/own")
    try:
        terminal.wait("editing:")
        terminal.press("MINE ")
        terminal.wait("MINE own")
        os.kill(terminal.pid, signal.SIGTERM)
        assert terminal.close(30) == 128 + signal.SIGTERM
        told = re.search(rb"web:/srv/own is kept in (\S+)", terminal.raw)
        assert told is not None
        kept = Path(os.fsdecode(told[1]))
        assert kept.read_bytes() == b"MINE own\n"
        kept.unlink()
    finally:
        terminal.abandon()


@pytest.mark.promise("text-survives-any-exception")
def test_text_goes_elsewhere_at_once_the_second_time(stuck_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [unsaved.keep_to_tell(Unsaved(data, "web", b"/x")) for data in (b"mine", b"other")]
    try:
        assert [text.read_bytes() for text in texts] == [b"mine", b"other"]
        assert not any(text.is_relative_to(stuck_state) for text in texts)
        monkeypatch.setattr(unsaved, "answered", None)
        assert "" not in unsaved._folders()
    finally:
        for text in texts:
            text.unlink()


@pytest.mark.promise("editor-failures-keep-text")
def test_editor_copy_goes_elsewhere(stuck_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = tmp_path / "ed"
    editor.write_text('#!/bin/sh\necho "$1" > "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    copy = Path(os.fsdecode(outside.edit_outside(b"text\n", b"/app.conf").data.rstrip()))
    assert not copy.is_relative_to(stuck_state)
    assert not copy.parent.exists()


@pytest.mark.promise("editor-failures-keep-text")
def test_editor_on_hanging_mount_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stuck").mkdir()
    monkeypatch.setenv("EDITOR", str(tmp_path / "stuck" / "file"))
    with hanging(os.getpid(), str(tmp_path / "stuck")), pytest.raises(outside.Unanswered, match="does not answer"):
        outside.edit_outside(b"text\n", b"/app.conf")
