"""The user's own editor, on a private copy of a file."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from tui.core.errors import EditRefused


def editor_command() -> list[str]:
    """Return the words of $VISUAL or $EDITOR, else vi, with the program's absolute path."""
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise EditRefused("no editor to open the file with", "set EDITOR to one that is installed")
    return [program, *words[1:]]


def edit_outside(data: bytes, path: bytes) -> bytes:
    """Let a person edit bytes in their editor on a private copy; return what they left there.

    The copy lies in a directory of its own that only this user can enter; its name keeps the ending, by which
    editors choose their colours, and nothing else that a stranger chose.
    """
    command = editor_command()
    name = re.sub(r"[^A-Za-z0-9._-]", "_", os.fsdecode(path.rsplit(b"/", 1)[-1]))[-64:].lstrip("-.") or "file"
    with tempfile.TemporaryDirectory(prefix="dtui-edit-") as folder:
        copy = Path(folder) / name
        copy.write_bytes(data)
        copy.chmod(0o600)
        result = subprocess.run([*command, str(copy)], check=False)  # noqa: S603 - the user's own editor
        if result.returncode != 0:
            raise EditRefused(f"{Path(command[0]).name} ended with code {result.returncode}", "nothing was saved")
        return copy.read_bytes()
