"""$EDITOR: every way it can end, and everything it can leave."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from threading import Timer

import pytest

from tests.support.waiting import pilot_until, until
from tui.core.errors import EditRefused
from tui.files import drop_text, kept_texts
from tui.ui import outside
from tui.ui.app import DtuiApp
from tui.ui.outside import OpenCopies, Origin, PrivateCopy, StillOpen, edit_outside, editor_command

Editor = Callable[[str], None]
DATA = b"port=80\n"


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Editor:
    """Make a shell script the editor."""

    def script(body: str) -> None:
        path = tmp_path / "ed"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        monkeypatch.setenv("EDITOR", str(path))

    monkeypatch.delenv("VISUAL", raising=False)
    return script


def refused() -> str:
    with pytest.raises(EditRefused) as caught:
        edit_outside(DATA, b"/etc/app.conf")
    return str(caught.value)


@pytest.mark.promise("editor-failures-keep-text")
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("exit 1", "ed ended with code 1; your text is unchanged"),
        ("kill -9 $$", "ed was killed by SIGKILL; your text is unchanged"),
        ("echo mine > $1; exit 3", "ed ended with code 3; your text is unchanged; the editor's is in "),
        ("touch .$1.swp $(dirname $1)/.app.conf.swp; kill -9 $$", "the editor's is in "),
    ],
)
def test_failed_editor_keeps_private_copy(editor: Editor, body: str, said: str) -> None:
    editor(f"cd $(dirname $1); {body}")
    told = refused()
    assert said in told
    folder = Path(told.rsplit(" in ", 1)[-1]).parent if " in " in told else None
    assert folder is None or (folder.stat().st_mode & 0o777 == 0o700 and list(folder.iterdir()))


@pytest.mark.promise("editor-result-checked")
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("rm $1", "the file was deleted"),
        ("rm -r $(dirname $1)", "the file was deleted"),
        ("rm $1; mkdir $1", "the file is a directory now"),
        ("rm $1; mkfifo $1", "the file is a FIFO now"),
        ("ln -sf /etc/passwd $1", "the file is a symbolic link now"),
        ("rm $1; ln -s $1 $1", "the file is a symbolic link now"),
        ("ln $1 $1.other", "the file is a hard link now"),
        ("rm $1; cd $(dirname $1); python3 -c 'import socket as s; s.socket(s.AF_UNIX).bind(\"app.conf\")'", "socket"),
        ("head -c 20000000 /dev/zero > $1", "larger than 8 MiB"),
    ],
)
def test_editor_result_must_be_plain_file(editor: Editor, body: str, said: str) -> None:
    editor(body)
    told = refused()
    assert told.startswith("cannot use what ed saved: ")
    assert said in told
    assert "your text is unchanged" in told
    assert "\n" not in told


@pytest.mark.promise("editor-failures-keep-text")
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("nosuchprog", "nosuchprog was not found"),
        ('vim "-u', "EDITOR cannot be understood: no closing quotation"),
        ("'' x", " was not found"),
        ("{0}", "is a directory"),
        ("{0}/plain", "is not executable"),
        ("{0}/bare", "bare cannot be run: exec format error"),
        ("{0}/lost", "lost cannot be run"),
    ],
)
def test_unusable_editor_command_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, said: str
) -> None:
    for name, text, mode in (("plain", "x", 0o644), ("bare", "echo\n", 0o755), ("lost", "#!/no/such\n", 0o755)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    monkeypatch.setenv("VISUAL", "")
    monkeypatch.setenv("EDITOR", command.format(tmp_path))
    assert said in refused()


@pytest.mark.parametrize("value", ["{0}/my editor", "'{0}/my editor'", "~/my\\ editor", "$HOME/my\\ editor", "e -f x"])
def test_editor_command_is_split_like_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for name in ("my editor", "e"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("VISUAL", value.format(tmp_path))
    program, *words = editor_command()
    assert (os.path.basename(program), words) in [("my editor", []), ("e", ["-f", "x"])]


@pytest.mark.parametrize("value", [None, "", "   "])
def test_editor_defaults_to_installed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    (tmp_path / "nano").write_text("#!/bin/sh\n")
    (tmp_path / "nano").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)
    if value is not None:
        monkeypatch.setenv("EDITOR", value)
    assert editor_command() == [str(tmp_path / "nano")]


@pytest.mark.parametrize(
    "body", ["echo mine > $1", "echo mine > $1.new; mv $1.new $1; touch $1~", "kill -STOP $$; echo mine > $1"]
)
def test_every_way_to_save_is_accepted(editor: Editor, body: str, private_state: Path) -> None:
    editor(body)
    assert edit_outside(DATA, b"/etc/app.conf").data == b"mine\n"
    assert not list((private_state / "edit").iterdir())


def test_copy_name_is_sanitised(private_state: Path) -> None:
    for path, name in ((b"/a/-rf x;$(id).conf", "rf_x___id_.conf"), (b"/\xff\n", "__"), (b"/a/..", "file")):
        copy = PrivateCopy(b"", path)
        assert copy.path.name == name
        copy.remove()


@pytest.mark.promise("editor-failures-keep-text")
def test_detached_editor_saves_are_followed(editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_AT_ONCE", 60.0)
    editor("exit 0")
    with pytest.raises(StillOpen, match=r"ended at once.*--wait") as caught:
        edit_outside(DATA, b"/etc/app.conf")
    copies = OpenCopies()
    copies.follow("web:/etc/app.conf", caught.value)
    assert copies.saved_lines() == ()
    assert copies.take_saved("web:/etc/app.conf") is None
    caught.value.copy.path.write_bytes(b"later\n")
    assert copies.saved_lines() == ("ed saved web:/etc/app.conf: o loads it",)
    assert copies.saved_lines() == ()
    assert copies.take_saved("web:/etc/app.conf") == b"later\n"
    caught.value.copy.path.write_bytes(b"latest\n")
    (told,) = copies.close()
    assert Path(told.rsplit(" in ", 1)[-1]).read_bytes() == b"latest\n"


@pytest.mark.promise("editor-failures-keep-text")
def test_editor_that_saves_twice_is_followed(editor: Editor, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "again")
    editor(f'echo first > $1; (read _ < {tmp_path}/again; echo second > "$1"; read _ < {tmp_path}/again) &')
    edited = edit_outside(DATA, b"/etc/app.conf")
    assert edited.data == b"first\n"
    assert "--wait" in edited.note
    assert edited.still is not None
    copies = OpenCopies()
    copies.follow("web:/etc/app.conf", edited.still)
    (tmp_path / "again").write_bytes(b"\n")
    assert until(lambda: edited.still is not None and edited.still.copy.path.read_bytes() == b"second\n")
    assert copies.take_saved("web:/etc/app.conf") == b"second\n"
    (told,) = copies.close()
    assert "ed is still open" in told
    assert edited.still.copy.path.exists()
    (tmp_path / "again").write_bytes(b"\n")


@pytest.mark.promise("backups-purge")
def test_dropped_text_takes_swap_file_along(private_state: Path) -> None:
    copy = PrivateCopy(DATA, b"/etc/app.conf", Origin("web", "c" * 64, DATA))
    copy.path.write_bytes(b"mine\n")
    (copy.folder / ".app.conf.swp").write_bytes(b"mine\n")
    copy.leave()
    os.close(copy._directory)  # as when dtui has ended
    (text,) = kept_texts()
    drop_text(text)
    assert list((private_state / "edit").iterdir()) == []


@pytest.mark.promise("editor-failures-keep-text")
def test_slow_wrapper_saves_are_followed(editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_AT_ONCE", 0.0)
    editor("exit 0")
    with pytest.raises(StillOpen) as caught:
        edit_outside(DATA, b"/etc/app.conf")
    assert not caught.value.at_once
    copies = OpenCopies()
    copies.follow("web:/etc/app.conf", caught.value)
    caught.value.copy.path.write_bytes(b"later\n")
    assert copies.take_saved("web:/etc/app.conf") == b"later\n"


@pytest.mark.promise("editor-failures-keep-text")
def test_next_editor_removes_untouched_copy(editor: Editor) -> None:
    editor("exit 0")
    copies, paths = OpenCopies(), []
    for _ in range(2):
        with pytest.raises(StillOpen) as caught:
            edit_outside(DATA, b"/etc/app.conf")
        copies.follow("web:/etc/app.conf", caught.value)
        paths.append(caught.value.copy.path)
    assert [path.exists() for path in paths] == [False, True]
    assert copies.close() == ()


@pytest.mark.promise("editor-failures-keep-text")
def test_editor_ignoring_hangup_is_killed(editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_GRACE", 0.2)
    before = outside._wait_for_editor

    def ended(process: Popen[bytes]) -> int:
        assert process.stdout is None
        Timer(0.5, outside.end_editor).start()
        return before(process)

    monkeypatch.setattr(outside, "_wait_for_editor", ended)
    editor("trap '' HUP TERM INT; echo mine > $1; while :; do sleep 0.1; done")
    assert "ed was killed by SIGKILL; your text is unchanged; the editor's is in " in refused()


async def test_event_loop_touches_no_copy(editor: Editor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that hangs would stop all keys."""
    editor("sleep 0")
    with pytest.raises(StillOpen) as caught:
        edit_outside(DATA, b"/etc/app.conf")
    threads: list[int] = []
    look = PrivateCopy.has_changed

    def watched(copy: PrivateCopy) -> bool:
        threads.append(threading.get_ident())
        return look(copy)

    monkeypatch.setattr(PrivateCopy, "has_changed", watched)
    app = DtuiApp(())
    async with app.run_test() as pilot:
        app.open_copies.follow("web:/etc/app.conf", caught.value)
        caught.value.copy.path.write_bytes(b"later\n")
        await pilot_until(pilot, lambda: "o loads it" in " ".join(n.message for n in app._notifications))
        assert threading.get_ident() not in threads
    assert any("web:/etc/app.conf is in" in line for line in app.ending.notes)
    assert threading.get_ident() not in threads
