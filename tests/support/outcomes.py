"""Checks that an interrupted or failed act leaves the old state or the new one, and no leftovers."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace

from tests.support.call_faults import CallOutcome, Point, points
from tests.support.stopped_lab import Lab
from tests.support.tree_state import EntryState, View, difference
from tui.files.history.backups import last_to_undo
from tui.files.history.crash_recovery import recover
from tui.files.verbs.undo import undo
from tui.files.ways import LayerFiles

ALL = os.environ.get("DTUI_FAULT_POINTS") == "all"
ERRORS = ("ENOSPC", "EIO", "EROFS", "EPERM")


def prepare(lab: Lab, name: str, *, helper: bool = False) -> tuple[Callable[[], object], View, View, list[Point]]:
    """Return an act, the container's view before and after it, and the points where it can be interrupted."""
    goal = None
    if name.startswith("undo "):
        goal = lab.view()
        lab.act(name.removeprefix("undo "))()
        lab.keep()
        lab.reset()  # as before each trial: a copied backup may have other holes, and so need other system calls
    record = lab.act(name)
    old = lab.view()
    found = points(record, helper=helper)
    new = lab.view()
    assert old != new
    if goal is None:
        goal = expected_view(lab, name, old, new)
    assert new == goal, difference(new, goal)
    lab.reset()
    assert lab.view() == old, difference(lab.view(), old)
    return record, old, new, found


def expected_view(lab: Lab, name: str, old: View, new: View) -> View:
    """Return the expected view after an act; what cannot be predicted is taken from ``new``."""
    at = {what: os.fsdecode(place).strip("/") for what, place in lab.places.items()}
    below = at["revert"] if name == "revert" else at["delete"]
    if name in ("save", "save in place", "copy in"):
        path = at["save"]
        same = ("content", "time") if name != "copy in" else ("content", "time", "mode", "uid", "gid", "xattrs")
        return {**old, path: replace(old[path], **{what: getattr(new[path], what) for what in same})}
    if name == "create":
        assert at["create"] not in old
        return {**old, at["create"]: new[at["create"]]}
    kept = {path: seen for path, seen in old.items() if not _is_below(path, below)}
    inside = {path: seen for path, seen in old.items() if _is_below(path, below)}
    if name == "delete":
        return kept
    if name in ("rename", "move"):
        goal = at["goal"] if name == "rename" else at["far"]

        def there(path: str) -> str:
            return goal + path.removeprefix(below)

        return kept | {there(path): replace(seen, names=tuple(map(there, seen.names))) for path, seen in inside.items()}
    if name == "chmod":
        return kept | {path: _with_other_mode(seen, new[path].xattrs) for path, seen in inside.items()}
    return kept | {path: seen for path, seen in new.items() if _is_below(path, below)}


def _is_below(path: str, above: str) -> bool:
    return (path + "/").startswith(above + "/")


def _with_other_mode(seen: EntryState, xattrs: tuple[tuple[str, bytes], ...]) -> EntryState:
    """Return an entry after chmod ``o-rwx,u+s``, which may change only the access ACL among its attributes."""
    if stat.S_ISLNK(seen.mode):
        return seen
    acls = {pair for pair in (*seen.xattrs, *xattrs) if pair[0] == "system.posix_acl_access"}
    assert {*seen.xattrs} ^ {*xattrs} <= acls
    return replace(seen, mode=seen.mode & ~0o7 | stat.S_ISUID, xattrs=xattrs)


def sample_points(found: list[Point], count: int) -> list[Point]:
    if ALL or len(found) <= count:
        return found
    return [found[number * len(found) // count] for number in range(count)] + found[-1:]


def assert_settled(lab: Lab, old: View, new: View, why: object) -> str:
    """Run recovery and assert that it leaves the old state or the new one; return which ("old" or "new")."""
    told = recover(lab.inspect)
    now = lab.view()
    assert now in (old, new), (why, told, difference(now, old), difference(now, new))
    assert lab.leftovers() == [], (why, told)
    assert recover(lab.inspect) == (), why
    return "new" if now == new else "old"


def assert_reported(lab: Lab, old: View, new: View, ended: CallOutcome, why: object) -> str:
    """Assert that a failure was reported in one line and left the old state or the new one, if need be after an undo.

    Return which state it is.
    """
    assert ended.how not in ("broke", "killed"), (why, ended.message)
    assert "\n" not in ended.message, (why, ended.message)
    now = lab.view()
    if now in (old, new):
        return assert_settled(lab, old, new, (why, ended))
    assert "undo takes back" in ended.message, (why, ended, difference(now, old), difference(now, new))
    undo(last_to_undo(lab.id), inspect=lab.inspect, save=LayerFiles(lab.details, lab.inspect).save)
    return f"{assert_settled(lab, old, new, (why, ended))} after undo"
