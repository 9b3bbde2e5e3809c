"""Names, files, logs and images of strangers: nothing of theirs reaches the terminal as a command."""

from __future__ import annotations

import re

import pytest

from tests.conftest import IMAGE
from tests.e2e.conftest import Open
from tests.support.dockerd import Dockerd

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
def test_no_byte_of_a_stranger_is_obeyed_on_any_screen(engine: Dockerd, terminal: Open) -> None:
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
    term.press("enter")
    term.wait("saved")
    term.press("esc")
    for bad in FORBIDDEN:
        assert bad not in bytes(term.raw), bad
    titles = set(re.findall(rb"\x1b\]0;([^\x07]*)\x07", bytes(term.raw)))
    assert not any(b"pwned" in title for title in titles)
    assert engine.docker("cp", "evil:/evil/file.txt", "-").count("]52;c;aGk=") == 1  # the file itself is unharmed


def test_the_command_line_escapes_on_a_terminal_and_is_raw_into_a_pipe(engine: Dockerd, terminal: Open) -> None:
    engine.docker("run", "--network=none", "--name=evil", IMAGE, "sh", "-c", EVIL, check=False)
    term = terminal("-H", engine.host, "cat", "evil:/evil/file.txt")
    term.wait("\\e]52")
    assert term.close() == 0
    listing = terminal("-H", engine.host, "changes", "evil")
    listing.wait("/evil/file.txt")
    assert listing.close() == 0
    for bad in FORBIDDEN:
        assert bad not in bytes(term.raw + listing.raw)
