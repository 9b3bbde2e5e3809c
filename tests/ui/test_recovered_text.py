"""Text that an earlier dtui kept: told at the next start, offered with its file, never thrown away unasked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import pilot_until, screen_text
from tests.ui.conftest import Open
from tui.files.texts import recovered as kept
from tui.files.texts.notes import digest_of
from tui.files.texts.recovered import told_once
from tui.files.texts.unsaved import Unsaved, keep_to_tell
from tui.ui.dialogs.choose import ChooseDialog
from tui.ui.outside import PrivateCopy
from tui.ui.screens.layer import LayerScreen

pytestmark = pytest.mark.promise("kept-text-is-offered")
PATH = b"/app/new.txt"
MINE = b"mine\n"


def web(screen: LayerScreen) -> str:
    return screen.held.record.id


async def keep_some(open_layer: Open, data: bytes = MINE) -> Path:
    async with open_layer() as (_, screen):
        return keep_to_tell(Unsaved(data, "web", PATH, web(screen)))


async def test_recovered_text_is_saved_and_removed(open_layer: Open, app_dir: Path) -> None:
    place = await keep_some(open_layer)
    async with open_layer(size=(80, 24)) as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(PATH))
        await pilot.press("e")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, ChooseDialog))
        assert "was kept that is not saved" in screen_text(pilot)
        await pilot.press("enter", "d")
        await pilot_until(pilot, lambda: "+mine" in screen_text(pilot))
        await pilot.press("t")
        await pilot_until(pilot, lambda: screen.file_pane.modified)
        assert screen.file_pane.area.text == MINE.decode()
        assert place.read_bytes() == MINE
        await pilot.press("ctrl+s")
        await pilot_until(pilot, lambda: isinstance(pilot.app.screen, ChooseDialog))
        await pilot.press("y")
        await pilot_until(pilot, lambda: not place.exists())
    assert (app_dir / "new.txt").read_bytes() == MINE
    assert list(place.parent.iterdir()) == []


@pytest.mark.parametrize(("keys", "stays"), [("x", True), ("xy", False)])
async def test_recovered_text_is_discarded_only_by_y(open_layer: Open, app_dir: Path, keys: str, stays: bool) -> None:
    before = (app_dir / "new.txt").read_bytes()
    place = await keep_some(open_layer)
    async with open_layer(size=(80, 24)) as (pilot, screen):
        await pilot_until(pilot, lambda: screen.tree_rows.go_to(PATH))
        await pilot.press("e")
        for key, words in zip(keys, ("was kept that is not saved", "Delete the kept text?"), strict=False):
            await pilot_until(pilot, lambda words=words: words in screen_text(pilot))
            await pilot.press(key)
        if stays:
            await pilot_until(pilot, lambda: "Delete the kept text?" in screen_text(pilot))
            await pilot.press("escape")
            await pilot_until(pilot, lambda: "the file (-) and the kept text (+)" in screen_text(pilot))
            await pilot.pause(0.8)  # the key that led to a question does not answer it while it may be held down
            await pilot.press("escape")
        await pilot_until(pilot, lambda: screen.file_pane.editing)
        assert screen.file_pane.area.text == before.decode()
    assert place.exists() is stays


async def test_other_containers_text_is_not_offered(open_layer: Open) -> None:
    keep_to_tell(Unsaved(MINE, "web", PATH, "f" * 64))
    async with open_layer(PATH) as (_, screen):
        assert screen.file_pane.editing


def test_recovered_text_is_reported_once() -> None:
    place = keep_to_tell(Unsaved(MINE, "web", PATH, "a" * 64))
    (told,) = told_once()
    assert str(place) in told
    assert told_once() == ()
    assert [data for _, data in kept.texts_on_offer("a" * 64, PATH, b"")] == [MINE]
    assert kept.texts_on_offer("a" * 64, PATH, MINE) == []
    place.unlink()
    place.symlink_to("/etc/passwd")
    assert kept.texts_on_offer("a" * 64, PATH, b"") == []


def test_note_of_older_dtui_is_reported(private_state: Path) -> None:
    (private_state / "unsaved").mkdir(parents=True, mode=0o700)
    private_state.chmod(0o700)
    text = private_state / "unsaved" / "dtui-unsaved-1"
    text.write_bytes(MINE)
    text.with_name(text.name + ".note").write_text(json.dumps({"container": "web", "path": "/x", "kept": str(text)}))
    text.with_name("odd.note").write_text("[]")
    (told,) = told_once()
    assert told == f"unsaved text of web:/x is kept in {text}"


KILLED = """
import os, sys, time
from tui.ui.outside import Origin, edit_outside
edit_outside(b"the file's", b"/app/new.txt", Origin("web", "a" * 64, b"the file's"))
"""


@pytest.mark.promise("editor-failures-keep-text")
@pytest.mark.parametrize("wrote", [True, False])
def test_copy_of_killed_dtui_is_recovered(tmp_path: Path, private_state: Path, wrote: bool) -> None:
    script = tmp_path / "ed"
    script.write_text(f"#!/bin/sh\n{'echo mine > $1' if wrote else ':'}\necho ready\nexec sleep 1000\n")
    script.chmod(0o755)
    env = {**os.environ, "EDITOR": str(script), "VISUAL": ""}
    with subprocess.Popen([sys.executable, "-c", KILLED], env=env, stdout=subprocess.PIPE) as dtui:
        assert dtui.stdout is not None
        assert dtui.stdout.readline() == b"ready\n"
        assert told_once() == ()  # it is used
        editor = int(Path(f"/proc/{dtui.pid}/task/{dtui.pid}/children").read_text())
        dtui.kill()
        dtui.wait()
        (folder,) = (one for one in (private_state / "edit").iterdir() if not one.suffix)
        told = told_once()
        assert folder.exists()  # its editor may save still
        os.kill(editor, 9)
        dtui.stdout.read()
    if not wrote:
        assert told == ()
        assert told_once() == ()
        assert list((private_state / "edit").iterdir()) == []
        return
    assert len(told) == 1
    assert f"$EDITOR's copy of web:/app/new.txt is kept in {folder}" in told[0]
    ((copy, data),) = kept.texts_on_offer("a" * 64, PATH, b"the file's")
    assert data == MINE
    copy.throw_away()
    assert list((private_state / "edit").iterdir()) == []


def test_unremovable_copy_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = PrivateCopy(b"x", PATH)

    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        told = copy.remove()
    assert "new.txt could not be removed: operation not permitted" in told
    assert digest_of(copy.path.read_bytes()) == digest_of(b"x")
