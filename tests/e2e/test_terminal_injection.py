"""Every kind of terminal command wherever a stranger can write: none of it is obeyed, all of it is shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.conftest import Open
from tests.support.dockerd import Dockerd
from tests.support.hostile_text import COMMANDS, obeyed
from tests.support.images import IMAGE
from tests.support.terminal import Terminal

pytestmark = pytest.mark.engine

WORDS = [os.fsdecode(command) for command in COMMANDS]
SAYABLE = [word.encode("utf-8", "replace").decode() for word in WORDS]
"""As JSON can hold them."""

ALL = "".join(SAYABLE)
NAMES = [b"n" + command.replace(b"/", b"|") for command in COMMANDS]
PLAIN = b"a plain line of text, so that the file counts as text and not as what is none\n"


@pytest.fixture
def evil(engine: Dockerd) -> Dockerd:
    """An exited container that says and holds all of it, and one that cannot start for it."""
    labels = [f"--label={ALL}={ALL}", f"--env=E={ALL}", f"--user={SAYABLE[1]}", f"--hostname=h{SAYABLE[1]}"]
    script = f"printf '%s\\n' '{ALL}'; printf '%s\\n' '{ALL}' >&2; mkdir /evil; exit 3"
    engine.docker("create", "--network=none", "--name=evil", *labels[:2], IMAGE, "sh", "-c", script)
    engine.docker("start", "-a", "evil", check=False)
    engine.docker("create", "--network=none", "--name=stuck", *labels[2:3], IMAGE, f"/{ALL}")
    upper = engine.docker("inspect", "--format", "{{.GraphDriver.Data.UpperDir}}", "evil").strip()
    folder = os.fsencode(Path(upper) / "evil")
    for number, name in enumerate(NAMES):
        with open(folder + b"/" + name, "wb") as file:
            file.write(PLAIN * 8 + COMMANDS[number] + b"\n" + PLAIN * 8)
        os.symlink(COMMANDS[number], folder + b"/l%d" % number)
        os.setxattr(folder + b"/" + name, b"user." + name, name)
    os.mkdir(folder + b"/d" + NAMES[0])
    with open(folder + b"/all.txt", "wb") as file:
        file.write(PLAIN * 40 + b"\n".join(COMMANDS) + b"\n" + PLAIN * 40)
    with open(folder + b"/raw", "wb") as file:
        file.write(b"\0" + b"".join(COMMANDS))
    return engine


def unharmed(term: Terminal) -> None:
    raw = bytes(term.raw)
    assert obeyed(raw) == []
    for own in (b"\x1b[8;7;6m", b"\x1b[?1003h\x1b[?1049l", b"\x1b[21t"):  # the app itself never says these
        assert own not in raw


def walk(term: Terminal, rows: int) -> None:
    """Look at one row after another long enough for what is known of it to be shown."""
    for _ in range(rows):
        term.press("down", gap=0.1)
    term.settle()


@pytest.mark.case(39)
def test_list_and_log_obey_no_escape(evil: Dockerd, terminal: Open) -> None:
    term = terminal("-H", evil.host)
    term.wait_all("evil", "stuck")
    term.wait("pwn")
    term.press("/", "stuck", "enter")
    term.settle()
    term.press("s")
    term.wait("! start stuck: unable to find user \\e]0;pwn")  # what the engine answers holds the stranger's words
    for name in ("stuck", "evil"):
        term.press("/", "ctrl+u", name, "enter")
        term.wait(lambda shown, name=name: f"─ {name} ─" in shown)
        term.settle()
        term.press("i")
        term.wait("found by")
        term.press("G")
        term.settle()
        term.press("esc")
    term.press("l")
    term.wait("pwn")
    term.press("w", "/", "pwn", "enter")
    term.settle()
    term.press("esc", "esc")
    term.wait("exited (3)")
    term.press("ctrl+p", *"evil")
    term.settle()
    unharmed(term)


@pytest.mark.case(39)
def test_file_views_obey_no_escape(evil: Dockerd, terminal: Open) -> None:
    evil.docker("rm", "stuck")
    term = terminal("-H", evil.host)
    term.wait("exited (3)")
    term.press("enter")
    term.wait("all.txt")
    walk(term, 2 * len(NAMES) + 1)
    term.press("/", "nrm", "enter")
    term.wait("rm\u2408\u2408\u2421pwn\u240d")  # its bytes are pictures
    term.press("r")
    term.wait("Rename")
    term.press("X", "ctrl+u", *"all.txt", "enter")
    term.wait("exists already")
    term.press("esc")
    term.wait(lambda shown: "Rename" not in shown)
    term.press("d")
    term.wait("Delete")
    term.press("y")
    term.wait("deleted")
    term.press("z")
    term.wait("Undo the ")
    term.press("y")
    term.wait(" is as it")
    for name in ("/raw", "/all.txt"):
        term.press("/", name.lstrip("/"), "enter")
        term.wait(lambda shown, name=name: f"─ /evil{name} ─" in shown)
        term.settle()
    term.press("e")
    term.wait("editing:")
    term.press("X", "ctrl+s")
    term.wait("Save /evil/all.txt?")
    term.settle()
    term.press("y")
    term.wait("saved")
    term.press("ctrl+f", *"pwn", "enter")
    term.settle()
    unharmed(term)


@pytest.mark.case(39)
def test_command_line_obeys_no_escape(evil: Dockerd, terminal: Open) -> None:
    told = {
        ("ls",): "evil",
        ("tree", "evil:/evil"): "all.txt",
        ("changes", "evil"): "A /evil/dn",
        ("cat", "evil:/evil/all.txt"): "pwn",
        ("rm", f"evil:/evil/{WORDS[1]}"): "does not exist",
        ("chmod", WORDS[1], "evil:/evil"): "is no mode",
        ("chown", WORDS[1], "evil:/evil"): "knows no user",
        ("cp", f"/nowhere{WORDS[1]}", "evil:/evil"): "no such file",
        ("mv", f"evil:{os.fsdecode(b'/evil/' + NAMES[15])}", "/evil/moved"): "moved",
        ("backups", "evil"): "pwn",
        ("undo", "evil"): "pwn",
        (WORDS[1],): "dtui",
    }
    for words, wanted in told.items():
        term = terminal("-H", evil.host, *words, size=(200, 50))
        term.close()
        while term.pump(0.1):
            pass
        assert wanted in term.text(), words
        unharmed(term)
