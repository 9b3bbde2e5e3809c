"""One of each act on the files of a container, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.boxes import Box
from tui.core.id_maps import HOST_IDS
from tui.files.history.backups import UndoKind
from tui.files.verbs.acts import change_metadata, make_directory
from tui.files.verbs.copy import copy_in
from tui.files.verbs.permissions import owner_change
from tui.files.write.options import SaveOptions

Acts = dict[str, Callable[[], object]]


def changes_to(box: Box, path: bytes, host: Path) -> Acts:
    """Return the acts that change a file; ``host`` is a file of this host to copy in."""
    owner = owner_change("7:8", int, int, HOST_IDS)
    return {
        "save": lambda: box.write(path, b"other bytes\n"),
        "save in place": lambda: box.files.save(path, b"other bytes\n", None, SaveOptions(in_place=True)),
        "delete": lambda: box.remove(path),
        "rename": lambda: box.rename(path, path + b".moved"),
        "chmod": lambda: box.chmod(path, "604"),
        "chown": lambda: change_metadata(box.id, path, owner, UndoKind.CHOWN, inspect=box.inspect),
        "copy over": lambda: copy_in(box.id, host, path, inspect=box.inspect),
        "revert": lambda: box.revert(path),
    }


def changes_next_to(box: Box, above: bytes, host: Path) -> Acts:
    """Return the acts that create an entry in a directory; ``host`` is a file of this host to copy in."""
    return {
        "create": lambda: box.write(above + b"/created", b"new\n", create=True),
        "mkdir": lambda: make_directory(box.id, above + b"/made", inspect=box.inspect),
        "copy in": lambda: copy_in(box.id, host, above + b"/copied", inspect=box.inspect),
    }
