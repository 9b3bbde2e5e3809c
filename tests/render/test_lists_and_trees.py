"""The pure views: groups, filter, tree lines, marks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tui.core.ids import ContainerId
from tui.core.records import (
    Change,
    Container,
    Driver,
    DriverKind,
    Entry,
    EntryKind,
    Layer,
    LayerRole,
    LayerStack,
    Mount,
    Port,
    State,
    View,
)
from tui.render.containers import SORTS, columns, container_line, groups, matches, ports_text
from tui.render.entries import change_mark, meta_words, origin, tree_line
from tui.services.tree_model import TreeModel, ancestors
from tui.ui.actions import SCOPE_TITLES, TABLE, bindings, key_text

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OVERLAY2 = Driver(DriverKind.GRAPH, "overlay2")


def container(name: str, state: State = State.EXITED, code: int | None = 0, **more: object) -> Container:
    values = {
        "endpoint": "local",
        "id": ContainerId((name.encode().hex() * 64)[:64]),
        "name": name,
        "state": state,
        "status": f"Exited ({code}) 2 minutes ago",
        "driver": OVERLAY2,
        "image": "shop/web:1",
        "created": NOW - timedelta(minutes=2),
        "exit_code": code,
        **more,
    }
    return Container(**values)  # type: ignore[arg-type]


STACK = LayerStack(
    OVERLAY2,
    (
        Layer("w", LayerRole.WRITABLE, Path("/w")),
        Layer("i", LayerRole.INIT, Path("/i")),
        Layer("c", LayerRole.IMAGE, Path("/c")),
        Layer("b", LayerRole.IMAGE, Path("/b")),
        Layer("a", LayerRole.IMAGE, Path("/a")),
    ),
    "how",
    "command",
)


def entry(path: bytes, kind: EntryKind = EntryKind.FILE, **more: object) -> Entry:
    values = {"kind": kind, "size": 38, "mode": 0o644, "uid": 0, "gid": 0, "mtime_ns": 0, "layer": 0, **more}
    return Entry(path, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("words", ["exited (127)", "WEB", "shop/web", "127 web", "(127)"])
def test_filter_matches_name_image_and_status(words: str) -> None:
    assert matches(container("web", code=127), words)


def test_filter_requires_every_word() -> None:
    assert not matches(container("web", code=1), "exited (127)")


def test_state_groups_skip_empty_states() -> None:
    rows = [container("a"), container("b", State.RUNNING, None), container("c")]
    assert [(g.title, g.size) for g in groups(rows, "state")] == [("all", 3), ("running", 1), ("exited", 2)]


def test_hidden_driver_has_its_own_group() -> None:
    rows = [container("a"), container("b", driver=Driver(DriverKind.GRAPH, "aufs"), hidden=True)]
    assert [g.title for g in groups(rows, "driver")] == ["all", "aufs (hidden)", "overlay2"]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_container_line_fits_list_width(width: int) -> None:
    layout = columns(width, several_endpoints=False)
    line = container_line(container("a-name-" + "x" * 300), layout, width, NOW)
    assert line.cell_len <= max(width, 60)


def test_name_and_image_share_list_width() -> None:
    layout = columns(200, several_endpoints=False)
    line = container_line(
        container("n" * 90, image="registry.example/" + "x" * 60 + "/shop/web:1.2.3"), layout, 200, NOW
    )
    assert line.cell_len <= 200
    assert "/shop/web:1.2.3 " in line.plain
    image = next(column.width for column in layout if column.title == "IMAGE")
    assert abs(line.plain.count("n") - image) <= 2
    narrow = container_line(
        container("web", image="registry.example/shop/web:1.2.3"), columns(60, several_endpoints=False), 60, NOW
    )
    assert "shop/web:1.2.3" in narrow.plain.replace("…", "") or "hop/web:1.2.3" in narrow.plain


def test_hostile_image_name_is_escaped() -> None:
    line = container_line(
        container("web", image="\x1b]0;x\x07[/nope]"), columns(120, several_endpoints=False), 120, NOW
    )
    assert "\x1b" not in line.plain
    assert "[/nope" in line.plain.replace("…", "")


def test_dual_stack_port_is_shown_once() -> None:
    both = (Port(80, "tcp", 8080, "0.0.0.0"), Port(80, "tcp", 8080, "::"), Port(443, "tcp"))
    assert ports_text(both) == "8080→80/tcp 443/tcp"


def test_age_sort_puts_newest_first() -> None:
    rows = [container("old", created=NOW - timedelta(days=3)), container("new")]
    assert [c.name for c in sorted(rows, key=SORTS["age"])] == ["new", "old"]


def test_image_layers_count_from_base() -> None:
    assert [origin(STACK, i) for i in range(5)] == ["writable", "init", "image 3/3", "image 2/3", "image 1/3"]


@pytest.mark.parametrize(
    ("mark", "more"),
    [
        ("A", {"change": Change.ADDED}),
        ("M", {"change": Change.MODIFIED}),
        ("m", {"change": Change.MODIFIED, "metadata_only": True}),
        ("D", {"change": Change.DELETED}),
        ("O", {"kind": EntryKind.DIRECTORY, "change": Change.MODIFIED, "opaque": True}),
        ("⌁", {"covered_by": Mount("/etc/hosts", "/x", "engine")}),
        (" ", {}),
    ],
)
def test_each_change_kind_has_its_letter(mark: str, more: dict[str, object]) -> None:
    assert change_mark(entry(b"/x", **more)) == mark


def test_title_has_mark_size_mode_and_owner() -> None:
    shown = meta_words(entry(b"/start.sh", change=Change.MODIFIED, mode=0o4755, uid=1234, gid=4321), None)
    assert shown == "M · 38 B · rwsr-xr-x 1234:4321 · 1970-01-01 00:00"


def tree() -> TreeModel:
    model = TreeModel()
    model.set_children(b"/", (entry(b"/app", EntryKind.DIRECTORY, change=Change.MODIFIED), entry(b"/motd", layer=2)))
    model.open(b"/app")
    model.set_children(
        b"/app",
        (
            entry(b"/app/conf.d", EntryKind.DIRECTORY, change=Change.MODIFIED, opaque=True),
            entry(b"/app/run", EntryKind.SYMLINK, change=Change.ADDED, target=b"start.sh"),
            entry(b"/app/a.conf", change=Change.DELETED, layer=4),
        ),
    )
    return model


def test_tree_matches_golden_text() -> None:
    shown = "\n".join(tree_line(line, STACK, View.MERGED, 60).plain.rstrip() for line in tree().lines)
    golden = Path(__file__).parents[1] / "golden" / "tree.txt"
    assert shown == golden.read_text().rstrip("\n")


def test_closed_directory_hides_its_children() -> None:
    model = tree()
    model.close(b"/app")
    assert [line.entry.path for line in model.lines] == [b"/app", b"/motd"]
    model.open(b"/app")
    assert len(model.lines) == 5


def test_unloaded_directory_shows_loading() -> None:
    model = TreeModel()
    model.set_children(b"/", (entry(b"/etc", EntryKind.DIRECTORY),))
    model.open(b"/etc")
    assert [line.loading for line in model.lines] == [True]


def test_very_deep_tree_is_laid_out() -> None:
    model = TreeModel()
    for depth in range(3000, 0, -1):  # the deepest first, so that all are laid out once
        path = b"/d" * depth
        model.open(path)
        model.set_children(b"/d" * (depth - 1) or b"/", (entry(path, EntryKind.DIRECTORY),))
    assert [line.depth for line in model.lines] == list(range(3000))


def test_ancestors_start_at_outermost() -> None:
    assert ancestors(b"/etc/nginx/nginx.conf") == [b"/etc", b"/etc/nginx"]


def test_actions_of_a_scope_share_no_key() -> None:
    for scope in SCOPE_TITLES:
        actions = [action for action in TABLE if scope in action.scopes and not action.instead_of]
        keys = [key for action in actions for key in action.keys.split(",")]
        assert len(keys) == len(set(keys)), scope


def test_no_key_belongs_to_ssh_or_tmux() -> None:
    taken = {"ctrl+b", "ctrl+a", "ctrl+c", "ctrl+q", "ctrl+backslash", "ctrl+z"}
    # ^c and ^q may quit: they are what people end programs with, and q does the same
    own = {key for action in TABLE if action.own and action.id != "quit_safely" for key in action.keys.split(",")}
    assert not own & taken


def test_every_scope_has_bindings_with_help() -> None:
    for scope in SCOPE_TITLES:
        assert all(binding.tooltip for binding in bindings(scope))  # type: ignore[union-attr]


def test_key_names_are_readable() -> None:
    assert key_text("ctrl+s,slash") == "^s /"
