"""In a real terminal: an editor that fails, an error that nobody foresaw, and a paste as a terminal sends it."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import Open
from tests.support.app_faults import failing_at
from tests.support.terminal import Terminal
from tui.files.texts.recovered import told_once

ROUGH = """#!/bin/sh
stty raw -echo
printf '\\033[?1049h\\033[?1003h\\033[3;5r'
echo mine > "$1"
kill -9 $$
"""


def editing(terminal: Open, **env: str) -> Terminal:
    term = terminal("demo", "edit", "web:/app/server.json", size=(80, 24), env={"VISUAL": "", **env})
    term.wait("editing:")
    return term


@pytest.mark.promise("editor-failures-keep-text")
def test_killed_raw_editor_keeps_text(terminal: Open, tmp_path: Path) -> None:
    rough = tmp_path / "rough"
    rough.write_text(ROUGH)
    rough.chmod(0o755)
    term = editing(terminal, EDITOR=str(rough))
    term.press("x", "ctrl+o")
    shown = term.wait("rough was killed by SIGKILL")
    (kept,) = re.findall(r"/\S+/dtui-edit-\w+/server\.json", re.sub(r"\s*\n\s*", "", shown[shown.index("! rough") :]))
    assert Path(kept).read_text() == "mine\n"
    term.press("Z")
    term.wait("xZ{")


@pytest.mark.promise("text-survives-any-exception", "app-error-exit-code")
@pytest.mark.parametrize("error", ["ValueError('boom')", "KeyboardInterrupt()"])
def test_handler_error_names_saved_text(terminal: Open, tmp_path: Path, private_state: Path, error: str) -> None:
    term = editing(terminal, **failing_at("handler", error, tmp_path))
    term.press("x")
    assert term.close(20) == 1
    last = bytes(term.raw).rsplit(b"dtui: ", 1)[-1].decode()
    (kept,) = (file for file in (private_state / "unsaved").iterdir() if not file.suffix)
    assert last.startswith(error.split("(", maxsplit=1)[0])
    assert str(kept) in last
    assert "Traceback" not in last
    assert kept.read_bytes().startswith(b"x{")


@pytest.mark.promise("editor-failures-keep-text")
def test_signal_names_text_of_open_editor(terminal: Open, tmp_path: Path, private_state: Path) -> None:
    slow = tmp_path / "slow"
    slow.write_text('#!/bin/sh\necho mine > "$1"\necho WRITTEN\nexec sleep 60\n')
    slow.chmod(0o755)
    term = editing(terminal, EDITOR=str(slow))
    term.press("ctrl+o")
    term.wait("WRITTEN")
    os.kill(term.pid, signal.SIGTERM)
    assert term.close(20) == 128 + signal.SIGTERM
    last = bytes(term.raw).rsplit(b"dtui: ", 1)[-1].decode()
    (kept,) = (private_state / "edit").glob("dtui-edit-*/server.json")
    assert f"what $EDITOR wrote to web:/app/server.json is in {kept}" in last
    assert kept.read_text() == "mine\n"
    (told,) = told_once()
    assert str(kept) in told


@pytest.mark.promise("typed-is-saved", "paste-keeps-separators")
def test_bracketed_paste_is_taken_verbatim(terminal: Open, private_state: Path) -> None:
    term = editing(terminal)
    text = "a\u2028b\x0cc\x85d\x1b[31me\x1bf \U000f0a1e é\xa0\u200d"
    os.write(term.fd, f"\x1b[200~{text}\rend\x1b[201~Z".encode())
    term.wait("endZ{")
    os.write(term.fd, b"\x1b[200~no\0\xff\x1b[201~")
    term.wait("not inserted")
    assert term.drop() == 129
    (kept,) = (file for file in (private_state / "unsaved").iterdir() if not file.suffix)
    assert kept.read_bytes().startswith(f"{text}\nendZ{{".encode())
