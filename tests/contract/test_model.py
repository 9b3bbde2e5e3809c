"""Random acts on a container, running and stopped, against a model of what it must see afterwards.

``DTUI_MODEL_RUNS`` sets how many containers are tried on each driver.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.support.boxes import Box, Boxes
from tests.support.model import (
    HOST_TREE,
    IMAGE_TREE,
    MADE,
    MADE_TREE,
    ModelEntry,
    Tree,
    by_inodes,
    in_all_names,
    last,
    moved,
    names_of,
    parent_of,
    rejoined,
    rename_target,
    resolve,
    subtree,
    without,
    write_tree,
    written,
)
from tui.core.errors import ChangedMeanwhile, DtuiError
from tui.core.id_maps import HOST_IDS
from tui.files.history.backups import UndoKind, last_to_undo
from tui.files.verbs import acts
from tui.files.verbs.acts import ChangeResult
from tui.files.verbs.copy import copy_in
from tui.files.verbs.permissions import owner_change
from tui.files.verbs.undo import undo
from tui.files.write.below_root import SaveResult

pytestmark = pytest.mark.engine

EVERY = [*IMAGE_TREE, *MADE_TREE, "/tree/n", "/tree/n/x", "/tree/a/c", "/tree/la/f", "/tree/la/n", "/tree/pack"]
PATHS = st.sampled_from([path for path in EVERY if path != "/tree"])
METADATA = ("mode", "owner")
Act = Callable[[], ChangeResult | SaveResult]


@dataclass
class Done:
    """One act that can be taken back: what was there before and after, and which paths it touched.

    ``within`` is a file that stayed the same one, and of which ``fields`` were changed.
    """

    before: Tree
    after: Tree
    touched: set[str]
    within: str = ""
    fields: tuple[str, ...] = ()
    kind: str = ""


class Acts(RuleBasedStateMachine):
    """dtui's acts on one container; each is done to the model too, or refused by both."""

    boxes: Boxes
    host: Path
    number = 0

    def __init__(self) -> None:
        super().__init__()
        Acts.number += 1
        self.box: Box = self.boxes(MADE, name=f"model{Acts.number}")
        self.layer = self.box.upper
        self.tree: Tree = IMAGE_TREE | MADE_TREE
        self.history: list[Done] = []
        self.alive = False
        self.turn = 0

    def teardown(self) -> None:
        if not self.alive:
            self.box.start()
        self.compare()
        self.box.engine.docker("rm", "-f", self.box.name)

    # what is there -----------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Look at the running container through its own root."""
        seen: Tree = {}
        inodes: dict[int, list[str]] = {}
        top = Path(f"/proc/{self.box.details.pid}/root")
        for path in (top / "tree", *(top / "tree").rglob("*")):
            status, name = path.lstat(), f"/{path.relative_to(top)}"
            kind, owner = stat.S_IFMT(status.st_mode), (status.st_uid, status.st_gid)
            if kind == stat.S_IFLNK:
                seen[name] = ModelEntry(0o777, None, owner, os.readlink(path))
                continue
            seen[name] = ModelEntry(
                stat.S_IMODE(status.st_mode), path.read_bytes() if kind == stat.S_IFREG else None, owner
            )
            if kind == stat.S_IFREG:
                inodes.setdefault(status.st_ino, []).append(name)
        assert seen == {path: ModelEntry(one.mode, one.data, one.owner, one.target) for path, one in self.tree.items()}
        files = {frozenset(names_of(self.tree, path)) for path, one in self.tree.items() if one.data is not None}
        assert {frozenset(names) for names in inodes.values()} == files

    def do(
        self, allowed: bool, act: Act, after: Tree, *, within: str = "", fields: tuple[str, ...] = (), kind: str = ""
    ) -> None:
        """Do an act that must succeed if the model allows it, and be refused otherwise."""
        if not allowed:
            with pytest.raises(DtuiError):
                act()
            return
        told = act()
        if isinstance(told, SaveResult) or told.act is not None:
            touched = {path for path in {*self.tree, *after} if self.tree.get(path) != after.get(path)}
            self.history.append(Done(self.tree, after, touched, within, fields, kind))
        else:
            assert after == self.tree
        self.tree = after

    def as_on_disk(self) -> None:
        """Take over which names are one file no more: a directory that is copied, and what comes back, is made anew."""
        names = [path for path, seen in self.tree.items() if seen.file]
        self.tree = by_inodes(self.tree, {path: os.lstat(f"{self.layer}{path}").st_ino for path in names})

    # acts --------------------------------------------------------------------------------------------------

    @initialize(alive=st.booleans())
    def begin(self, alive: bool) -> None:
        if alive:
            self.switch()

    @rule(path=PATHS, size=st.sampled_from([0, 5, 5000]))
    def write(self, path: str, size: int) -> None:
        """Through links; a file of several names is written in place."""
        self.turn += 1
        data = (b"%d " % self.turn).ljust(size, b"x")[:size] if size else b""
        place = written(self.tree, path)
        now = self.tree.get(place or "")
        allowed = place is not None and (now is None or now.data is not None)
        after, within = self.tree, ""
        if allowed and now:
            after, within = in_all_names(self.tree, place, data=data), place
        elif allowed:
            after = {**self.tree, place: ModelEntry(0o644, data, self.tree[parent_of(place)].owner)}
        what = "write" if now else "create"
        put = partial(self.box.write, path.encode(), data, create=True)
        self.do(allowed, put, after, within=within, fields=("data", "mode"), kind=what)

    @rule(path=PATHS)
    def make_directory(self, path: str) -> None:
        place = resolve(self.tree, path)
        allowed = place is not None and place not in self.tree
        after = {**self.tree, place: ModelEntry(0o755, owner=self.tree[parent_of(place)].owner)} if allowed else {}
        make = partial(acts.make_directory, self.box.id, path.encode(), inspect=self.box.inspect)
        self.do(allowed, make, after, kind="mkdir")

    @rule(path=PATHS)
    def delete(self, path: str) -> None:
        place = resolve(self.tree, path) or ""
        after = without(self.tree, subtree(self.tree, place))
        self.do(place in self.tree, lambda: self.box.remove(path.encode(), recursive=True), after, kind="delete")

    @rule(path=PATHS, new=PATHS)
    def rename(self, path: str, new: str) -> None:
        place = resolve(self.tree, path) or ""
        target = rename_target(self.tree, new, last(place))
        allowed = place in self.tree and target is not None and target not in self.tree
        allowed = allowed and not f"{target}/".startswith(f"{place}/")
        after = moved(self.tree, place, target) if allowed else {}
        self.do(allowed, lambda: self.box.rename(path.encode(), new.encode()), after, kind="rename")
        self.as_on_disk()

    @rule(path=PATHS, mode=st.sampled_from(["700", "4755", "640"]))
    def chmod(self, path: str, mode: str) -> None:
        place = resolve(self.tree, path) or ""
        allowed = place in self.tree and not self.tree[place].target
        after = in_all_names(self.tree, place, mode=int(mode, 8)) if allowed else {}
        self.do(allowed, lambda: self.box.chmod(path.encode(), mode), after, within=place, fields=METADATA)

    @rule(path=PATHS, owner=st.sampled_from([(7, 8), (0, 0)]))
    def chown(self, path: str, owner: tuple[int, int]) -> None:
        """A file loses its setuid bit, as the kernel has it; a directory keeps it."""
        place = resolve(self.tree, path) or ""
        allowed = place in self.tree and not self.tree[place].target
        after = self.tree
        if allowed and self.tree[place].owner != owner:
            mode = self.tree[place].mode & (0o7777 if self.tree[place].is_directory else 0o1777)
            after = in_all_names(self.tree, place, owner=owner, mode=mode)
        change = owner_change(f"{owner[0]}:{owner[1]}", int, int, HOST_IDS)
        words = {"inspect": self.box.inspect}
        give = partial(acts.change_metadata, self.box.id, path.encode(), change, UndoKind.CHOWN, **words)
        self.do(allowed, give, after, within=place, fields=METADATA)

    @rule(path=PATHS, name=st.sampled_from(["file", "pack"]))
    def copy_in(self, path: str, name: str) -> None:
        """Into a directory, or over what is none; a directory only where nothing is."""
        target = rename_target(self.tree, path, name)
        now = self.tree.get(target or "")
        allowed = target is not None and (now is None or (name == "file" and not now.is_directory))
        after = dict(self.tree)
        if allowed:
            for place, one in subtree(HOST_TREE, f"/{name}").items():
                owner = self.tree[parent_of(target)].owner
                after[target + place[len(name) + 1 :]] = ModelEntry(one.mode, one.data, owner, one.target)
        copy = partial(copy_in, self.box.id, self.host / name, path.encode(), inspect=self.box.inspect)
        self.do(allowed, copy, after, kind="copy")

    @rule(path=PATHS)
    def revert(self, path: str) -> None:
        place = resolve(self.tree, path)
        now, image = subtree(self.tree, place or ""), subtree(IMAGE_TREE, place or "")
        after = without(self.tree, now) | image
        if now == image:  # its times may differ: both answers are right
            try:
                self.box.revert(path.encode())
            except DtuiError:
                return
            self.history.append(Done(self.tree, self.tree, set()))
            return
        self.do(place is not None, lambda: self.box.revert(path.encode()), after, kind="revert")

    # taking back -------------------------------------------------------------------------------------------

    def taken_back(self) -> None:
        """Bring back what the last act touched: of a file that stayed the same, in all the names that it has now."""
        done = self.history.pop()
        if done.within and (done.fields == METADATA or len(names_of(self.tree, done.within)) > 1):
            one = done.before[done.within]
            self.tree = in_all_names(self.tree, done.within, **{name: getattr(one, name) for name in done.fields})
            return
        touched = {done.within} if done.within else done.touched
        self.tree = without(self.tree, touched) | {path: done.before[path] for path in touched if path in done.before}
        self.tree = rejoined(self.tree, done.before, touched)
        self.as_on_disk()

    def may_be_refused(self) -> bool:
        """Say whether a file with other names was changed or undone by one of them since the last act."""
        done = self.history[-1]
        shared = any(one[path].file for one in (done.before, done.after, self.tree) for path in done.touched & {*one})
        return shared or (bool(done.within) and self.tree[done.within] != done.after[done.within])

    @precondition(lambda self: self.history)
    @rule()
    def undo(self) -> None:
        try:
            self.box.undo()
        except ChangedMeanwhile:
            assert self.may_be_refused()
            undo(last_to_undo(self.box.id), inspect=self.box.inspect, save=self.box.files.save, force=True)
        self.taken_back()

    @precondition(lambda self: self.alive and self.history and self.history[-1].kind in ("create", "write", "delete"))
    @rule()
    def undo_after_somebody_else(self) -> None:
        """What somebody else made since is in the way, unless it is done by force."""
        act = last_to_undo(self.box.id)
        place = os.fsdecode(act.path)
        if place in self.tree and self.tree[place].file:
            return  # its other names would stay as they are
        self.box.sh(f"rm -rf {place}; echo theirs > {place}")
        self.tree = without(self.tree, subtree(self.tree, place)) | {place: ModelEntry(0o644, b"theirs\n")}
        words = {"inspect": self.box.inspect, "save": self.box.files.save}
        with pytest.raises(ChangedMeanwhile):
            undo(act, **words)
        self.compare()
        undo(act, **words, force=True)
        self.taken_back()

    @rule()
    def switch(self) -> None:
        """Start the container, or stop it after a look at what it sees."""
        if self.alive:
            self.compare()
            self.box.stop()
        else:
            self.box.start()
        self.alive = not self.alive


def test_random_acts_match_model(boxes: Boxes, tmp_path: Path) -> None:
    Acts.boxes, Acts.host = boxes, tmp_path
    write_tree(HOST_TREE, tmp_path)
    (tmp_path / "file").chmod(0o4640)
    run_state_machine_as_test(
        Acts,
        settings=settings(
            max_examples=int(os.environ.get("DTUI_MODEL_RUNS", "8")),
            stateful_step_count=40,
            phases=[Phase.generate],  # to look for a shorter example takes hours with real containers
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
