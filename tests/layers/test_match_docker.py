"""The views of a layer against the Engine's own diff and the container's own find."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tui.core.records import Change, Details, EntryKind, View
from tui.engine.at_rest.docker import OfflineEndpoint
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.layers.changes import changes, walk
from tui.layers.view import LayerView

pytestmark = pytest.mark.engine

SCENARIO = r"""
echo new > /added.txt; mkdir -p /newdir/deep; echo x > /newdir/deep/x
echo port=8080 > /etc/app.conf
rm /etc/motd
rm -r /conf.d; mkdir /conf.d; echo c > /conf.d/c.conf; echo other > /conf.d/a.conf
ln -s ../etc/app.conf /app/link; ln /app/keep.txt /app/hard
rm -r /old/one; echo file > /old/one
rm /app/layer2.txt; mkdir /app/layer2.txt; echo y > /app/layer2.txt/y
chmod 600 /app/layer3.txt
echo a > "$(printf '/name\nwith\033newline')"
cat /data/big.bin > /data/copy.bin
echo done > /done
"""

LETTERS = {"A": Change.ADDED, "C": Change.MODIFIED, "D": Change.DELETED}


def diff_of(engine: Dockerd, name: str) -> dict[bytes, Change]:
    """The answer of the API itself: the CLI prints names with newlines on several lines."""
    endpoint = LiveEndpoint("local", engine.host)
    try:
        rows = endpoint.client.diff(name) or []
    finally:
        endpoint.close()
    return {
        row["Path"].encode("utf-8", "surrogateescape"): list(LETTERS.values())[(1, 0, 2)[row["Kind"]]] for row in rows
    }


def details_of(engine: Dockerd, name: str) -> Details:
    endpoint = LiveEndpoint("local", engine.host)
    try:
        found = next(c for c in endpoint.snapshot() if c.name == name)
        return endpoint.inspect(found.id)
    finally:
        endpoint.close()


def our_changes(details: Details) -> dict[bytes, Change]:
    assert details.stack is not None
    with LayerView.open(details.stack, details.mounts) as view:
        return {change.path: change.change for change in changes(view)}


@pytest.fixture
def changed(engine: Dockerd) -> Details:
    engine.docker("run", "--network=none", "--name=web", IMAGE, "sh", "-ec", SCENARIO)
    assert engine.docker("wait", "web").strip() == "0"
    return details_of(engine, "web")


def test_changes_match_docker_diff(engine: Dockerd, changed: Details) -> None:
    ours = our_changes(changed)
    assert ours == diff_of(engine, "web")
    assert len(ours) > 20


def test_merged_view_matches_container(engine: Dockerd) -> None:
    engine.docker("run", "-d", "--network=none", "--name=web", IMAGE, "sh", "-ec", SCENARIO + "sleep 100")
    names = "find / -xdev \\( -path /proc -o -path /sys -o -path /dev \\) -prune -o -print0"
    engine.docker("exec", "web", "sh", "-c", "while ! test -s /done; do sleep 0.1; done")
    found = {p for p in engine.docker("exec", "web", "sh", "-c", names).split("\0") if p and p != "/"}
    details = details_of(engine, "web")
    assert details.stack is not None
    with LayerView.open(details.stack, details.mounts) as view:
        seen = {e.path.decode("utf-8", "surrogateescape") for _, e in walk(view, b"/", View.MERGED, 0)}
    hidden = ("/proc", "/sys", "/dev")
    assert {p for p in seen if not p.startswith(hidden)} == {p for p in found if not p.startswith(hidden)}


def test_entry_names_its_layer(changed: Details) -> None:
    assert changed.stack is not None
    with LayerView.open(changed.stack, changed.mounts) as view:
        assert view.lookup(b"/etc/app.conf").layer == 0
        assert view.lookup(b"/app/layer3.txt").metadata_only
        app = changed.stack.layers[view.lookup(b"/app/start.sh").layer].path
        assert (app / "app" / "start.sh").exists()
        by_name = {e.name: e for e in view.children(b"/", View.LAYER)}
        assert by_name[b"conf.d"].opaque
        below = {e.name: e.change for e in view.children(b"/conf.d", View.LAYER)}
        assert below == {b"a.conf": Change.MODIFIED, b"b.conf": Change.DELETED, b"c.conf": Change.ADDED}


def test_engine_mounts_are_marked(changed: Details) -> None:
    assert changed.stack is not None
    with LayerView.open(changed.stack, changed.mounts) as view:
        hosts = view.lookup(b"/etc/hosts")
    assert hosts.covered_by is not None
    assert hosts.covered_by.kind == "engine"


def test_symlinks_resolve_inside_container(engine: Dockerd) -> None:
    script = "ln -s /etc/shadow /out; ln -s ../../../../../../etc/motd /up; ln -s loop /loop; ln -s /etc/../app /dir"
    engine.docker("run", "--network=none", "--name=links", IMAGE, "sh", "-ec", script)
    details = details_of(engine, "links")
    assert details.stack is not None
    with LayerView.open(details.stack) as view:
        assert view.resolve(b"/up") == b"/etc/motd"
        assert view.resolve(b"/dir/keep.txt") == b"/app/keep.txt"
        from tui.core.errors import DtuiError

        with pytest.raises(DtuiError):
            view.open_regular(b"/out")  # /etc/shadow of the host exists; the container's does not
        with pytest.raises(DtuiError, match="symbolic links"):
            view.resolve(b"/loop")


def test_data_root_matches_engine_records(engine: Dockerd, changed: Details) -> None:
    offline = OfflineEndpoint("root", Path(engine.root))
    container = next(c for c in offline.snapshot() if c.name == "web")
    details = offline.inspect(container.id)
    assert details.stack is not None
    assert changed.stack is not None
    assert [layer.path for layer in details.stack.layers] == [layer.path for layer in changed.stack.layers]
    assert (container.state, container.exit_code, container.image, container.created) == (
        changed.container.state,
        changed.container.exit_code,
        changed.container.image,
        changed.container.created,
    )
    assert our_changes(details) == our_changes(changed)


def test_list_matches_docker_ps(engine: Dockerd) -> None:
    engine.docker("run", "--network=none", "--name=bad", IMAGE, "sh", "-c", "exit 127", check=False)
    engine.docker("create", "--network=none", "--name=fresh", IMAGE, "true")
    engine.docker("run", "-d", "--network=none", "--name=up", IMAGE, "sleep", "100")
    engine.docker("pause", "up")
    endpoint = LiveEndpoint("local", engine.host)
    containers = {c.name: c for c in endpoint.snapshot()}
    endpoint.close()
    said = [json.loads(line) for line in engine.docker("ps", "-a", "--no-trunc", "--format", "{{json .}}").splitlines()]
    assert {row["Names"]: (row["ID"], row["State"], row["Status"]) for row in said} == {
        c.name: (c.id, c.state.value, c.status) for c in containers.values()
    }
    assert containers["bad"].exit_code == 127
    engine.docker("unpause", "up")


def test_fifos_and_devices_are_never_opened(engine: Dockerd) -> None:
    script = "busybox mkfifo /pipe; busybox mknod /disk b 7 0"
    engine.docker("run", "--network=none", "--name=odd", IMAGE, "busybox", "sh", "-ec", script)
    details = details_of(engine, "odd")
    assert details.stack is not None
    from tui.core.errors import EditRefused

    with LayerView.open(details.stack) as view:
        kinds = {e.name: e.kind for e in view.children(b"/", View.LAYER)}
        assert (kinds[b"pipe"], kinds[b"disk"]) == (EntryKind.FIFO, EntryKind.BLOCK)
        for path in (b"/pipe", b"/disk"):
            with pytest.raises(EditRefused, match="not a file"):
                view.open_regular(path)
