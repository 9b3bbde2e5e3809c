"""Files of a container whose layer is out of reach: read and written by the Engine's archive API."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from tests.layers.test_match_docker import SCENARIO, diff_of
from tests.support.cli import dtui, dtui_json
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tui.core.errors import DtuiError
from tui.core.records import View
from tui.core.remote_files import FileFacts
from tui.engine.live import archive_view
from tui.engine.live.archive import EngineArchive, _only_member
from tui.engine.live.archive_view import ArchiveView
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.engine.live.tar import TarSource

pytestmark = pytest.mark.engine


def test_engine_write_to_exited_container(engine: Dockerd, far: str) -> None:
    script = "chown 12:34 /etc/app.conf; chmod 4755 /etc/app.conf"
    engine.docker("run", "--network=none", "--name=first", IMAGE, "sh", "-ec", script)
    engine.docker("commit", "first", "shop/far:1")
    show = "cat /etc/app.conf; stat -c '%a %u:%g' /etc/app.conf"
    engine.docker("create", "--network=none", "--name=web", "shop/far:1", "sh", "-ec", show)
    assert dtui("-H", far, "cat", "web:/etc/app.conf") == b"port=80\n"
    dtui("-H", far, "write", "web:/etc/app.conf", stdin=b"port=8080\n")
    assert engine.docker("start", "-a", "web").splitlines() == ["port=8080", "4755 12:34"]


def test_engine_write_to_running_container(engine: Dockerd, far: str) -> None:
    engine.docker("run", "-d", "--network=none", "--name=web", IMAGE, "sh", "-c", "ln -s /etc/motd /link; sleep 1000")
    engine.docker("exec", "web", "sh", "-c", "while ! test -L /link; do sleep 0.1; done")
    receipt = dtui_json_of_write(far, "web:/link", b"through the link\n")
    assert receipt["path"] == "/etc/motd"
    assert any("hard links are not kept" in note for note in receipt["notes"])
    assert engine.docker("exec", "web", "cat", "/etc/motd") == "through the link\n"
    dtui("-H", far, "write", "--create", "--mode", "0600", "web:/app/new", stdin=b"new\n")
    assert engine.docker("exec", "web", "stat", "-c", "%a", "/app/new") == "600\n"


def dtui_json_of_write(far: str, ref: str, data: bytes) -> dict[str, object]:
    import json

    found: dict[str, object] = json.loads(dtui("-H", far, "write", ref, "--json", stdin=data))
    return found


def test_engine_write_backs_up_old_bytes(engine: Dockerd, far: str) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "true")
    receipt = dtui_json_of_write(far, "web:/etc/app.conf", b"x")
    with open(str(receipt["backup"]), "rb") as kept:
        assert kept.read() == b"port=80\n"


def test_changes_are_the_engines_own(engine: Dockerd, far: str) -> None:
    engine.docker("run", "--network=none", "--name=web", IMAGE, "sh", "-ec", SCENARIO)
    told = {row["path"]: row["change"] for row in dtui_json("-H", far, "changes", "web")}
    assert told == {path.decode("utf-8", "surrogateescape"): c.value for path, c in diff_of(engine, "web").items()}


def test_remote_tree_matches_local_tree(engine: Dockerd, far: str) -> None:
    engine.docker("run", "--network=none", "--name=web", IMAGE, "sh", "-ec", SCENARIO)
    known = ("path", "type", "mode", "change", "target")
    here, there = (
        [
            tuple(row[key] for key in known)
            for row in dtui_json("-H", host, "tree", "web", "--view", "merged")
            if not row["hidden_by_mount"]  # of which the Engine sends what is mounted
        ]
        for host in (engine.host, far)
    )
    assert there == here
    changed = {row["path"]: row["change"] for row in dtui_json("-H", far, "tree", "web", "--view", "layer")}
    assert changed == {row["path"]: row["change"] for row in dtui_json("-H", engine.host, "changes", "web")}
    below = dtui_json("-H", far, "tree", "web:/etc", "--view", "merged")
    assert {row["path"] for row in below} >= {"/etc/app.conf"}


def test_non_root_user_edits_through_engine(engine: Dockerd, tmp_path: Path) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "cat", "/etc/app.conf")
    engine.run.chmod(0o755)
    engine.socket.chmod(0o666)
    with tempfile.TemporaryDirectory() as state:
        os.chmod(state, 0o777)
        as_nobody = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

        def run(*words: str, stdin: bytes = b"") -> bytes:
            command = [*as_nobody, sys.executable, "-m", "tui", "-H", engine.host, *words]
            environment = {**os.environ, "DTUI_STATE": f"{state}/mine", "PYTHONDONTWRITEBYTECODE": "1"}
            done = subprocess.run(command, input=stdin, capture_output=True, check=True, env=environment)
            return done.stdout

        container = json.loads(run("ls", "--json"))[0]
        assert container["layer"]["reach"] == "engine"
        assert "permission denied" in container["layer"]["reason"]
        assert b"app.conf" in run("tree", "web:/etc", "--view", "merged")
        run("write", "web:/etc/app.conf", stdin=b"port=7\n")
    assert engine.docker("start", "-a", "web") == "port=7\n"


def test_oversized_remote_tree_is_marked_cut(engine: Dockerd, far: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "true")
    endpoint = LiveEndpoint("far", far)
    monkeypatch.setattr(archive_view, "TREE_LIMIT", 4 << 10)
    with closing(endpoint):
        view = ArchiveView(EngineArchive(endpoint, endpoint.snapshot()[0].id), ())
        some = view.children(b"/", View.MERGED)
        assert view.cut
        assert {entry.path for entry in some} < {
            b"/.dockerenv",
            b"/app",
            b"/bin",
            b"/conf.d",
            b"/data",
            b"/dev",
            b"/etc",
            b"/old",
        }
        monkeypatch.setattr(archive_view, "TREE_LIMIT", 256 << 20)
        assert {entry.path for entry in view.children(b"/etc", View.MERGED)} >= {b"/etc/motd", b"/etc/app.conf"}


@pytest.mark.case(40)
def test_failed_engine_write_changes_nothing(engine: Dockerd, far: str) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "true")
    assert b"is a directory, not a file" in dtui("-H", far, "write", "web:/app", stdin=b"x", code=1)
    assert b"does not exist" in dtui("-H", far, "write", "web:/none", stdin=b"x", code=1)
    assert b"is no directory" in dtui("-H", far, "write", "--create", "web:/etc/motd/x", stdin=b"x", code=1)
    assert engine.docker("diff", "web") == ""


def tar(*members: tuple[str, bytes, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(data)
            out.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.case(40)
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no tar at all" * 100,
        tar(("passwd", tarfile.SYMTYPE, b"")),
        tar(("passwd", tarfile.REGTYPE, b"shorter")),
        tar(("passwd", tarfile.REGTYPE, b"0123456789"), ("../etc/shadow", tarfile.REGTYPE, b"x")),
        tar(("passwd", tarfile.REGTYPE, b"0123456789"))[:515],
    ],
    ids=["empty", "no tar", "link", "other size", "another member", "truncated"],
)
def test_malformed_archive_is_rejected(answer: bytes) -> None:
    with pytest.raises(DtuiError):
        _only_member(TarSource(iter([answer])), FileFacts(b"/etc/passwd", "file", 10, 0o644))


RECORDED = pytest.mark.promise("every-write-leaves-a-record")


@RECORDED
@pytest.mark.promise("one-contract-for-all-files")
def test_engine_create_is_undone_and_redone(engine: Dockerd, far: str) -> None:
    engine.docker("run", "-d", "--network=none", "--name=web", IMAGE, "sleep", "1000")
    engine.docker("exec", "web", "sh", "-c", "mkdir /d; chown 5:6 /d")
    look = ("exec", "web", "sh", "-c", "stat -c '%a %u:%g %Y' /d/f && cat /d/f")
    dtui("-H", far, "write", "web:/d/f", "--create", "--mode", "0640", stdin=b"new\n")
    made = engine.docker(*look)
    assert made.startswith("640 5:6 ")
    dtui("-H", far, "undo", "web")
    assert engine.docker(*look, check=False) == ""
    (again, created) = dtui_json("-H", far, "backups", "web")
    assert (created["act"], created["state"], again["act"]) == ("create", "undone", "undo")
    dtui("-H", far, "undo", "--id", again["id"])
    assert engine.docker(*look) == made
    dtui("-H", engine.host, "undo", "web")
    assert engine.docker(*look, check=False) == ""
    assert b"there is nothing to take back" in dtui("-H", far, "undo", "web", code=1)


@RECORDED
def test_engine_undo_keeps_newer_contents(engine: Dockerd, far: str) -> None:
    engine.docker("run", "-d", "--network=none", "--name=web", IMAGE, "sleep", "1000")
    dtui("-H", far, "write", "web:/etc/new.conf", "--create", stdin=b"new\n")
    engine.docker("exec", "web", "sh", "-c", "echo theirs > /etc/new.conf")
    assert b"/etc/new.conf was changed since" in dtui("-H", far, "undo", "web", code=4)
    dtui("-H", far, "undo", "web", "--force")
    kept = dtui_json("-H", far, "backups", "web")[0]
    assert Path(kept["data"]).read_bytes() == b"theirs\n"
    dtui("-H", far, "write", "web:/etc/motd", stdin=b"mine\n")
    engine.docker("exec", "web", "rm", "/etc/motd")
    dtui("-H", far, "undo", "web")
    assert engine.docker("exec", "web", "cat", "/etc/motd") == "hello\n"


@RECORDED
def test_failed_engine_undo_can_be_repeated(engine: Dockerd, far: str) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "sleep", "1000")
    dtui("-H", far, "write", "web:/etc/new.conf", "--create", stdin=b"new\n")
    assert b"cannot delete /etc/new.conf in a container that does not run" in dtui("-H", far, "undo", code=3)
    engine.docker("start", "web")
    engine.docker("exec", "web", "mv", "/bin/rm", "/bin/gone")
    assert b"/etc/new.conf: the container has no rm" in dtui("-H", far, "undo", code=1)
    assert [record["state"] for record in dtui_json("-H", far, "backups")] == ["done"]
    engine.docker("exec", "web", "mv", "/bin/gone", "/bin/rm")
    dtui("-H", far, "undo")
    assert engine.docker("exec", "web", "sh", "-c", "ls /etc/new.conf; true") == ""


@pytest.mark.promise("options-honoured-or-refused")
def test_engine_write_honours_its_options(engine: Dockerd, far: str) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "sh", "-c", "cat /etc/motd /nowhere; ls -l /link")
    refused = dtui("-H", far, "write", "web:/etc/motd", "--in-place", stdin=b"x", code=1)
    assert b"cannot be overwritten in place through the Engine" in refused
    assert len(refused.splitlines()) == 1
    receipt = json.loads(dtui("-H", far, "write", "web:/etc/motd", "--no-backup", "--json", stdin=b"for good\n"))
    assert (receipt["backup"], receipt["notes"][0]) == (None, "no backup is kept")
    assert dtui_json("-H", far, "backups") == []
    refused = dtui("-H", far, "write", b"web:/etc/\xff".decode("utf-8", "surrogateescape"), "--create", code=1)
    assert b"is not UTF-8" in refused
    assert engine.docker("start", "-a", "web", check=False).startswith("for good\n")
