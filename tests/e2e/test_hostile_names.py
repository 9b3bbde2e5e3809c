"""Names, files, logs and images of strangers: nothing of theirs reaches the terminal as a command."""

from __future__ import annotations

import re

import pytest

from tests.e2e.conftest import Open
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tests.support.terminal import Terminal

pytestmark = pytest.mark.engine

EVIL = r"""
n="$(printf 'x\033]0;pwned\007\033[2J[nope][@click=app.exit]y\342\200\256z\233')"
mkdir -p /evil; echo hi > "/evil/$n"; ln -s "$n" "/evil/link$n"
printf 'text \033]52;c;aGk=\007 \033[2J \033]0;pwned\007 \302\205 [/nope]\n' > /evil/file.txt
for i in 1 2 3 4 5 6 7 8; do echo "a plain line of text, so that the file counts as text" >> /evil/file.txt; done
printf 'out \033]52;c;aGk=\007 \033]0;pwned\007 [/nope]\n'
exit 3
"""

FORBIDDEN = (b"pwned\x07", b"\x1b]52;", b"\x1b]0;p", b"\xe2\x80\xae", b"\xc2\x9b")


@pytest.mark.case(39)
def test_hostile_bytes_stay_text_on_screens(engine: Dockerd, terminal: Open) -> None:
    command = ["create", "--network=none", "--name=evil", "--label=x=\x1b]0;pwned\x07", IMAGE, "sh", "-c", EVIL]
    engine.docker(*command)
    engine.docker("start", "-a", "evil", check=False)
    term = terminal("-H", engine.host)
    term.wait("exited (3)")
    term.wait("[/nope]")  # the log pane shows it as text
    term.press("i")
    term.wait("found by")
    term.press("esc", "l")
    term.wait("out ")
    term.press("esc", "enter")
    term.wait("file.txt")
    term.press("/")
    term.press("[nope", "enter")
    term.wait("@click=app.exit")
    term.press("/")
    term.press("file.txt", "enter")
    term.wait("text ")
    term.press("e")
    term.wait("editing:")
    term.press("end", "X", "ctrl+s")
    term.wait("Save /evil/file.txt?")
    term.press("y")
    term.wait("saved")
    term.press("esc")
    unharmed(term)
    assert engine.docker("cp", "evil:/evil/file.txt", "-").count("]52;c;aGk=") == 1  # the file itself is unharmed


def unharmed(term: Terminal) -> None:
    for bad in FORBIDDEN:
        assert bad not in bytes(term.raw), bad
    assert not any(b"pwned" in title for title in re.findall(rb"\x1b\]0;([^\x07]*)\x07", bytes(term.raw)))


@pytest.mark.case(39)
@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_dialogs_show_hostile_name_as_text(engine: Dockerd, terminal: Open, size: tuple[int, int]) -> None:
    engine.docker("create", "--network=none", "--name=evil", IMAGE, "sh", "-c", EVIL)
    engine.docker("start", "-a", "evil", check=False)
    term = terminal("-H", engine.host, size=size)
    term.wait("exited (3)")
    term.press("D")
    term.wait("disk")
    term.settle()
    term.press("esc", "b")
    term.wait("bench")
    term.settle()
    term.press("esc")
    term.wait("exited (3)")
    term.press("enter")
    term.wait("file.txt")
    term.press("/")
    term.press("[nope", "enter")
    term.wait("type ")
    term.settle()
    asked = {"d": "Delete", "r": "Rename", "+": "New in", "c": "Mode of", "C": "Owner of", "x": "Copy", "u": "Revert"}
    for key, question in {**asked, "a": "Copy into"}.items():
        term.press(key)
        term.wait(question)
        term.settle()
        term.press("esc")
        term.wait(lambda shown, question=question: question not in shown)
    term.press("d")
    term.wait("Delete")
    term.press("y")
    term.wait("deleted")
    term.press("z")
    term.wait("Undo the ")
    term.press("y")
    term.wait(" is as it")
    term.press("ctrl+p")
    term.settle()
    term.press("esc")
    term.press("?")
    term.settle()
    unharmed(term)


def test_command_line_escapes_on_terminal(engine: Dockerd, terminal: Open) -> None:
    engine.docker("run", "--network=none", "--name=evil", IMAGE, "sh", "-c", EVIL, check=False)
    term = terminal("-H", engine.host, "cat", "evil:/evil/file.txt")
    term.wait("\\e]52")
    assert term.close() == 0
    listing = terminal("-H", engine.host, "changes", "evil")
    listing.wait("/evil/file.txt")
    assert listing.close() == 0
    for bad in FORBIDDEN:
        assert bad not in bytes(term.raw + listing.raw)
