"""In a directory that holds its names fast (chattr +a, +i) nothing is begun that could not be ended there."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes
from tui.core.errors import EditRefused
from tui.core.state import state_dir
from tui.files.history.backups import undo_records
from tui.files.history.crash_recovery import recover
from tui.files.tree import workspace
from tui.files.verbs.acts import make_directory
from tui.files.verbs.copy import copy_in
from tui.files.write.options import SaveOptions

pytestmark = pytest.mark.engine

STATES = pytest.mark.parametrize("alive", [False, True], ids=["stopped", "running"])


@contextmanager
def fixed(box: Box, how: str) -> Iterator[Path]:
    """Hold a directory's names fast."""
    root = Path(f"/proc/{box.details.pid}/root") if box.details.container.state.alive else box.upper
    place = root / "srv" / "d"
    subprocess.run(["/usr/bin/chattr", f"+{how}", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["/usr/bin/chattr", f"-{how}", place], check=True)


def what_needs_a_new_name(box: Box, host: Path) -> list[Callable[[], object]]:
    return [
        lambda: box.write(b"/srv/d/f", b"new\n"),
        lambda: box.write(b"/srv/d/new", b"new\n", create=True),
        lambda: make_directory(box.id, b"/srv/d/new", inspect=box.inspect),
        lambda: copy_in(box.id, host, b"/srv/d/new", inspect=box.inspect),
        lambda: copy_in(box.id, host, b"/srv/d/f", inspect=box.inspect),
        lambda: box.rename(b"/srv/g", b"/srv/d/new"),
        lambda: box.rename(b"/srv/d/f", b"/srv/d/new"),
    ]


def nothing_is_begun(box: Box, host: Path, how: str) -> None:
    host.write_text("from the host\n")
    with fixed(box, how) as place:
        for act in what_needs_a_new_name(box, host):
            with pytest.raises(EditRefused, match="its directory is immutable or append-only"):
                act()
            assert [path.name for path in place.iterdir()] == ["f"]
        assert (place / "f").read_text() == "old\n"
        assert recover(box.inspect) == ()
        assert list(state_dir("journal").iterdir()) == list(undo_records(box.id)) == []
    assert box.exists(b"/srv/g")


@pytest.mark.case(36)
@STATES
@pytest.mark.parametrize("how", ["a", "i"])
def test_no_temporary_in_fixed_directory(boxes: Boxes, tmp_path: Path, how: str, alive: bool) -> None:
    nothing_is_begun(boxes("mkdir /srv/d; echo old > /srv/d/f; echo g > /srv/g", alive=alive), tmp_path / "host", how)


@pytest.mark.case(36)
@pytest.mark.parametrize("daemon", ["overlay2"], indirect=True, scope="session")
def test_own_copy_up_makes_no_temporary(boxes: Boxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "privileged", lambda: False)
    nothing_is_begun(boxes("mkdir /srv/d; echo old > /srv/d/f; echo g > /srv/g"), tmp_path / "host", "a")


@pytest.mark.case(36)
@STATES
@pytest.mark.parametrize("how", ["a", "i"])
def test_fixed_directory_is_written_in_place(boxes: Boxes, how: str, alive: bool) -> None:
    box = boxes("mkdir /srv/d; echo old > /srv/d/f", alive=alive)
    with fixed(box, how) as place:
        inode = (place / "f").stat().st_ino
        box.files.save(b"/srv/d/f", b"new\n", None, SaveOptions(in_place=True))
        assert (place / "f").read_text() == "new\n"
        box.undo()
        assert [(path.name, path.read_text(), path.stat().st_ino) for path in place.iterdir()] == [
            ("f", "old\n", inode)
        ]
