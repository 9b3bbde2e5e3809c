"""Files of a container whose layer is out of reach: read and written by the Engine's archive API."""

from __future__ import annotations

import io
import socket
import tarfile
import threading
from collections.abc import Iterator

import pytest

from tests.conftest import IMAGE
from tests.engine.test_endpoints_together import pump
from tests.engine.test_layers_match_docker import SCENARIO, diff_of
from tests.support.cli import dtui, dtui_json
from tests.support.dockerd import Dockerd
from tui.core.archive import FileFacts
from tui.core.errors import DtuiError
from tui.engine.archive import _Chunks, _only_member


@pytest.fixture
def far(engine: Dockerd) -> Iterator[str]:
    """The address of the engine over tcp, as if it were another host's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    outer, _ = listener.accept()
                except OSError:
                    return
                inner = socket.socket(socket.AF_UNIX)
                inner.connect(str(engine.socket))
                threading.Thread(target=pump, args=(outer, inner), daemon=True).start()
                threading.Thread(target=pump, args=(inner, outer), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"


def test_an_exited_containers_file_is_changed_through_the_engine_and_it_runs(engine: Dockerd, far: str) -> None:
    script = "chown 12:34 /etc/app.conf; chmod 4755 /etc/app.conf"
    engine.docker("run", "--network=none", "--name=first", IMAGE, "sh", "-ec", script)
    engine.docker("commit", "first", "shop/far:1")
    show = "cat /etc/app.conf; stat -c '%a %u:%g' /etc/app.conf"
    engine.docker("create", "--network=none", "--name=web", "shop/far:1", "sh", "-ec", show)
    assert dtui("-H", far, "cat", "web:/etc/app.conf") == b"port=80\n"
    dtui("-H", far, "write", "web:/etc/app.conf", stdin=b"port=8080\n")
    assert engine.docker("start", "-a", "web").splitlines() == ["port=8080", "4755 12:34"]


def test_a_running_containers_file_is_changed_and_created_through_the_engine(engine: Dockerd, far: str) -> None:
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


def test_the_replaced_bytes_are_kept_on_this_host(engine: Dockerd, far: str) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "true")
    receipt = dtui_json_of_write(far, "web:/etc/app.conf", b"x")
    with open(str(receipt["backup"]), "rb") as kept:
        assert kept.read() == b"port=80\n"


def test_changes_are_the_engines_own(engine: Dockerd, far: str) -> None:
    engine.docker("run", "--network=none", "--name=web", IMAGE, "sh", "-ec", SCENARIO)
    told = {row["path"]: row["change"] for row in dtui_json("-H", far, "changes", "web")}
    assert told == {path.decode("utf-8", "surrogateescape"): c.value for path, c in diff_of(engine, "web").items()}


def test_what_cannot_be_done_is_one_line_and_changes_nothing(engine: Dockerd, far: str) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "true")
    assert b"is a directory, not a file" in dtui("-H", far, "write", "web:/app", stdin=b"x", code=1)
    assert b"does not exist" in dtui("-H", far, "write", "web:/none", stdin=b"x", code=1)
    assert b"is no directory" in dtui("-H", far, "write", "--create", "web:/etc/motd/x", stdin=b"x", code=1)
    assert b"cat and write work through the Engine" in dtui("-H", far, "tree", "web", code=3)
    assert engine.docker("diff", "web") == ""


def tar(*members: tuple[str, bytes, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(data)
            out.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


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
def test_a_hostile_or_truncated_answer_is_rejected(answer: bytes) -> None:
    with pytest.raises(DtuiError):
        _only_member(_Chunks(iter([answer])), FileFacts(b"/etc/passwd", "file", 10, 0o644))
