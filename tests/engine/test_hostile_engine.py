"""An Engine that lies, floods, drips and redirects: each command ends with one line, and memory stays small."""

from __future__ import annotations

import io
import itertools
import json
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.support.hostile_engine import (
    HEALTHY,
    ID,
    Answer,
    HostileEngine,
    endless,
    head,
    http,
    in_chunks,
    inspected,
    row,
    stat_header,
    tar,
)
from tests.support.waiting import until
from tui.cli import main
from tui.core.errors import DtuiError, EngineError, EngineLost
from tui.engine.live.archive import EngineArchive
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.engine.live.sdk import connect, engine_errors

MEMORY = 300 << 10
"""KiB that a process may have at most."""

VERSION, INFO, LIST = "GET /version", "GET /info", "GET /containers/json"
INSPECT, CHANGES = f"GET /containers/{ID}/json", f"GET /containers/{ID}/changes"
STAT, TAR, PUT = (f"{method} /containers/{ID}/archive" for method in ("HEAD", "GET", "PUT"))

VERBS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("ls",): (VERSION, INFO, LIST),
    ("changes", "web"): (INSPECT, CHANGES),
    ("tree", "--view", "merged", "web:/etc"): (INSPECT, CHANGES, STAT, TAR),
    ("cat", "web:/etc/motd"): (INSPECT, STAT, TAR),
    ("write", "web:/etc/motd"): (INSPECT, STAT, TAR, PUT),
    ("path", "web"): (INSPECT,),
}

ODD: dict[str, Answer] = {
    "null": http("null"),
    "number": http("7"),
    "text": http('"x"'),
    "nothing": http(""),
    "cut": http('[{"Id": '),
    "not text": http(b"\xff\xfe\x00"),
    "deep": http("[" * 100_000),
    "deep objects": http('{"a":' * 100_000),
    "page": http("<html>hello</html>", Content_Type="text/html"),
    "redirect": head("307 Temporary Redirect", Location="http://127.0.0.1:1/x", Content_Length="0"),
    "redirect to nowhere": head("302 Found", Content_Length="0"),
    "packed": http(zlib.compress(b"[]"), Content_Encoding="deflate"),
    "odd error": http("[[]]", "500 Oops"),
    "odd error text": http('{"message": ["\\u001b]0;x\\u0007"]}', "409 Conflict"),
    "no http": b"SSH-2.0-OpenSSH_9\r\n" * 3,
    "chunk of no size": head(Transfer_Encoding="chunked") + b"-1\r\n" + b"x" * 100,
    "chunk without end": head(Transfer_Encoding="chunked") + b"f" * 200_000,
    "too short": lambda: [head(Content_Length="1000") + b"["],
    "closed": lambda: (),
    "endless header": lambda: endless(b"X" * 1000),
    "endless headers": lambda: itertools.chain([b"HTTP/1.1 200 OK\r\n"], endless(b"X: y\r\n")),
    "endless continue": lambda: endless(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "endless trailers": lambda: itertools.chain(
        [head(Transfer_Encoding="chunked") + b"2\r\n[]\r\n0\r\n"], endless(b"X: y\r\n")
    ),
}
FITS = {
    ("null", CHANGES),  # what Engines say for no change
    *((name, route) for name in ("endless trailers",) for route in (LIST, CHANGES, VERSION, INFO, INSPECT, TAR, PUT)),
}
"""What is no odd answer there, or one whose end nobody waits for."""

CASES = [
    pytest.param(verb, route, name, id=f"{verb[0]}-{route.replace(ID, 'ID')}-{name}")
    for verb, routes in VERBS.items()
    for route in routes
    for name in ODD
    if (name, route) not in FITS and not (route in (STAT, PUT) and name in ("cut", "page", "deep", "deep objects"))
]


_MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""
"""Starts a process and notes the most memory it had: from here it would count what this process had before."""


def run(engine: HostileEngine, *arguments: str, stdin: bytes = b"new\n") -> tuple[int, bytes, bytes, int]:
    """Run dtui as a process of its own; return exit code, output, errors and the most memory it had in KiB."""
    dtui = [sys.executable, "-m", "tui", "-H", engine.address, *arguments]
    with tempfile.NamedTemporaryFile() as memory:
        result = subprocess.run(
            [sys.executable, "-c", _MEASURED, memory.name, *dtui],
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return result.returncode, result.stdout, result.stderr, int(memory.read())


@pytest.mark.promise("answers-parsed-at-border")
@pytest.mark.parametrize(("verb", "route", "name"), CASES)
def test_malformed_answer_fails_in_one_line(
    verb: tuple[str, ...],
    route: str,
    name: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"new\n")))
    with HostileEngine({route: ODD[name]}) as engine:
        code = main(["-H", engine.address, *verb])
    output = capsys.readouterr().err
    assert code in (1, 3, 4), output
    assert output.count("\n") == 1, output
    assert output.startswith("dtui: ")
    assert "should not happen" not in output
    assert "\x1b" not in output


def test_healthy_answers_succeed(capsys: pytest.CaptureFixture[str]) -> None:
    with HostileEngine() as engine:
        for verb in VERBS:
            if verb[0] not in ("write", "path", "tree"):
                assert main(["-H", engine.address, *verb]) == 0
    assert "hello" in capsys.readouterr().out


@pytest.mark.promise("answers-parsed-at-border")
@pytest.mark.parametrize("place", ["/var/lib/docker\0x", "/var/lib/\ud800", "", 7, ["/"]])
def test_impossible_data_root_is_ignored(place: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"Driver": "overlay2", "DriverStatus": [], "DockerRootDir": place, "Containerd": {"Address": place}}
    with HostileEngine({INFO: http(json.dumps(facts))}, tmp_path / "s") as engine:
        assert main(["-H", engine.address, "ls", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)[0]["name"] == "web"
    assert not err


@pytest.mark.promise("answers-parsed-at-border")
@pytest.mark.parametrize("more", [{"Mounts": [{"Destination": "/\0"}]}, {"HostConfig": {"Tmpfs": {"/\ud800": ""}}}])
def test_impossible_mount_is_refused(more: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    with HostileEngine({INSPECT: http(json.dumps(inspected(**more)))}) as engine:
        assert main(["-H", engine.address, "tree", "web"]) == 1
    assert "is not valid" in capsys.readouterr().err


@pytest.mark.promise("answers-bounded")
def test_endless_containerd_answer_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tui.engine.live import containerd

    def window_updates() -> Iterator[bytes]:
        for frame in endless(b"\0\0\4\x08" + b"\0\0\0\0\0" + b"\0\0\0\1"):
            time.sleep(0.01)  # drip, so that the limit of time ends it and not that of size
            yield frame

    monkeypatch.setattr(containerd, "_TIMEOUT", 1.0)
    with (
        HostileEngine({"PRI *": window_updates}, tmp_path / "s"),
        pytest.raises(EngineLost, match="too long"),
    ):
        containerd.snapshotter_root(str(tmp_path / "s"), "moby", "overlayfs")


@pytest.mark.promise("one-odd-row-costs-one-row")
def test_malformed_row_hides_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    rows = f'[null, 7, {{"Id": 3}}, {json.dumps(row(Created=-1, Ports="x", Names=None))}, {"[" * 5000 + "]" * 5000}]'
    with HostileEngine({LIST: http(rows)}) as engine:
        main(["-H", engine.address, "ls"])
    shown = capsys.readouterr()
    assert ID[:12] in shown.out
    assert "is not valid" in shown.err


@pytest.mark.promise("one-odd-row-costs-one-row")
def test_malformed_change_hides_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    changes = [{"Path": "/a", "Kind": 7}, {"Path": "/b", "Kind": 1}, {"Path": 7, "Kind": 1}, None]
    with HostileEngine({CHANGES: http(json.dumps(changes))}) as engine:
        assert main(["-H", engine.address, "changes", "web"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "A /b\n"
    assert "3 changes in the Engine's answer could not be read and are missing" in shown.err


# redirects, proxies, passwords -------------------------------------------------------------------------------


@pytest.mark.promise("no-redirects")
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_redirect_is_refused_and_named(status: str, capsys: pytest.CaptureFixture[str]) -> None:
    with HostileEngine() as elsewhere:
        where = elsewhere.address.replace("tcp", "http") + "/secret"
        with HostileEngine({VERSION: head(status, Location=where, Content_Length="0")}) as engine:
            assert main(["-H", engine.address, "ls"]) == 1
            assert engine.requests == [VERSION]
    assert f"redirects to {where}" in capsys.readouterr().err
    assert elsewhere.requests == []


@pytest.mark.promise("no-redirects")
def test_environment_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with HostileEngine() as proxy, HostileEngine() as engine:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.address.replace("tcp", "http"))
        assert main(["-H", engine.address, "ls"]) == 0
    assert proxy.requests == []
    assert not [line for line in engine.headers if line.lower().startswith(("authorization", "cookie"))]


def test_engine_cookies_are_not_sent_back() -> None:
    body = HEALTHY[VERSION]
    assert isinstance(body, bytes)
    with HostileEngine({VERSION: body.replace(b"\r\n", b"\r\nSet-Cookie: a=b; path=/\r\n", 1)}) as engine:
        assert main(["-H", engine.address, "ls"]) == 0
    assert not [line for line in engine.headers if line.lower().startswith("cookie")]


# size and time -----------------------------------------------------------------------------------------------


def gibibyte_of_gzip() -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=31)
    yield head(Content_Encoding="gzip", Connection="close")
    for _ in range(1024):
        yield packer.compress(bytes(1 << 20))
    yield packer.flush()


def large_pax() -> Iterator[bytes]:
    block = bytearray(tar()[:512])
    block[156:157], block[124:136], block[148:156] = b"x", b"27777777777\0", b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    yield from in_chunks(itertools.chain([bytes(block)], endless(b"1 " + b"x" * 65_000)))


def empty_members() -> Iterator[bytes]:
    yield tarfile.TarInfo("etc").tobuf()
    yield from endless(b"".join(tarfile.TarInfo(f"etc/{name}").tobuf() for name in range(1000)))


def rows_of(one: str) -> Callable[[], Iterable[bytes]]:
    return lambda: in_chunks(itertools.chain([b"["], endless((one + ",").encode() * 1000)))


MOST: dict[str, tuple[dict[str, Answer], tuple[str, ...]]] = {
    "gzip": ({LIST: gibibyte_of_gzip}, ("ls",)),
    "spaces": ({LIST: lambda: in_chunks(endless(b" " * 65_536))}, ("ls",)),
    "spaces in an object": ({INFO: lambda: in_chunks(endless(b" " * 65_536))}, ("ls",)),
    "rows": ({LIST: rows_of(json.dumps(row()))}, ("ls",)),
    "empty rows": ({LIST: rows_of("{}")}, ("ls",)),
    "lists in a row": ({LIST: lambda: in_chunks(itertools.chain([b"[["], endless(b"[]," * 9000)))}, ("ls",)),
    "brackets": ({LIST: lambda: in_chunks(endless(b"[" * 65_536))}, ("ls",)),
    "inspect": ({INSPECT: lambda: in_chunks(itertools.chain([b'{"a":['], endless(b"{}," * 9000)))}, ("changes", "web")),
    "labels": ({LIST: http(json.dumps([row(Labels={str(n): "x" * 10 for n in range(100_000)})]))}, ("ls",)),
    "changes": ({CHANGES: rows_of('{"Path":"/a","Kind":0}')}, ("changes", "web")),
    "paths": ({CHANGES: rows_of('{"Path":"/\U0001f600' + "x" * 3000 + '","Kind":0}')}, ("changes", "web")),
    "pax": ({TAR: large_pax}, ("cat", "web:/etc/motd")),
    "error": ({LIST: lambda: itertools.chain([head("500 No")], endless(b"x" * 65_536))}, ("ls",)),
    "file": (
        {STAT: head(X_Docker_Container_Path_Stat=stat_header(size=5)), TAR: lambda: in_chunks(endless(bytes(65_536)))},
        ("cat", "web:/etc/motd"),
    ),
    "members": (
        {STAT: head(X_Docker_Container_Path_Stat=stat_header(1 << 31)), TAR: lambda: in_chunks(empty_members())},
        ("tree", "--view", "merged", "--depth", "1", "web:/etc"),
    ),
}


@pytest.mark.promise("answers-bounded")
@pytest.mark.parametrize("name", MOST)
def test_endless_answer_takes_little_memory(name: str) -> None:
    script, arguments = MOST[name]
    with HostileEngine(script) as engine:
        code, _, output, memory = run(engine, *arguments)
    assert memory < MEMORY
    assert (code, output.count(b"\n")) == ((0, 0) if name == "labels" else (0, 1) if name == "members" else (1, 1)), (
        output
    )
    assert engine.sent < 320 << 20


@pytest.mark.promise("tar-within-announced-size")
@pytest.mark.parametrize(
    "answer",
    [
        tar(data=b"hello\n" * 2),
        tar()[:600],
        tar()[:512] + tar()[512:1024] + tar("other"),
        tar("../../etc/passwd", b"x" * 6)[:512] + b"short",
    ],
    ids=["longer", "cut", "two", "short"],
)
def test_tar_of_another_size_is_refused(answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with HostileEngine({TAR: http(answer)}) as engine:
        assert main(["-H", engine.address, "cat", "web:/etc/motd"]) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "told",
    [
        "",
        "!!!",
        "bnVsbA==",
        stat_header(size=-1),
        stat_header(size=1e300),
        stat_header(mode=2**40),
        stat_header(mode=None),
        stat_header(1 << 27, linkTarget="/etc/motd"),
        stat_header(1 << 27, linkTarget=7),
        stat_header(1 << 27, linkTarget="\ud800"),
        stat_header(1 << 27, linkTarget=""),
    ],
)
def test_malformed_path_facts_are_refused(told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with HostileEngine({STAT: head(X_Docker_Container_Path_Stat=told)}) as engine:
        assert main(["-H", engine.address, "cat", "web:/etc/motd"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert len(engine.requests) < 60


def dripping() -> Iterator[bytes]:
    yield head(Content_Length="1000")
    while True:
        yield b" "
        time.sleep(0.1)  # drip: faster than any limit for silence


def dripping_head() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"X"
        time.sleep(0.1)  # drip: faster than any limit for silence


@pytest.mark.promise("answers-bounded")
@pytest.mark.parametrize("answer", [dripping, dripping_head])
@pytest.mark.parametrize("unix", [False, True])
def test_slow_drip_ends_at_a_deadline(answer: Callable[[], Iterator[bytes]], unix: bool, tmp_path: Path) -> None:
    with HostileEngine(path=tmp_path / "s" if unix else None) as engine:
        client = connect(engine.address, timeout=1)
        engine.script[INFO] = answer
        with pytest.raises(EngineLost, match="no answer in time"), engine_errors("it"):
            client.info()


# streams -----------------------------------------------------------------------------------------------------


def event(action: str = "start", **more: object) -> bytes:
    return json.dumps({"Type": "container", "Action": action, "Actor": {"ID": ID}, **more}).encode() + b"\n"


def test_link_to_itself_is_not_a_link() -> None:
    told = stat_header(name="x", linkTarget="/x")  # as podman answers about every file
    with HostileEngine({STAT: head(X_Docker_Container_Path_Stat=told)}) as engine:
        endpoint = LiveEndpoint("e", engine.address)
        assert EngineArchive(endpoint, ID).resolve(b"/x") == b"/x"
        endpoint.close()


@pytest.mark.promise("streams-bounded")
def test_malformed_events_are_counted() -> None:
    odd = [b"null", b"7", b"[" * 100_000, b"{", b'{"Actor": 7}', b'{"Actor": {"Attributes": []}}', b"\xff"]
    body = b"".join(line + b"\n" for line in odd) + event()
    with HostileEngine({"GET /events": lambda: in_chunks([body])}) as engine:
        stream = LiveEndpoint("e", engine.address).events()
        assert [found.action for found in stream] == ["start"]
        assert stream.skipped == len(odd)


@pytest.mark.promise("streams-bounded")
def test_endless_event_line_ends_stream() -> None:
    with HostileEngine({"GET /events": lambda: in_chunks(endless(b"x" * 65_536))}) as engine:
        with pytest.raises(EngineError, match="a line of more than"):
            list(LiveEndpoint("e", engine.address).events())
        assert engine.sent < 16 << 20


LOGS = f"GET /containers/{ID}/logs"


@pytest.mark.promise("streams-bounded")
@pytest.mark.parametrize("tty", [False, True])
def test_endless_log_line_is_split(tty: bool) -> None:
    frame = b"" if tty else b"\1\0\0\0\xff\xff\xff\xff"
    script: dict[str, Answer] = {
        LOGS: lambda: in_chunks(itertools.chain([frame], endless(b"x" * 65_536))),
        INSPECT: http(json.dumps(inspected(Config={"Tty": tty}))),
    }
    with HostileEngine({**script, LOGS: lambda: in_chunks(filter(None, [frame, *[b"x" * 65_536] * 99]))}) as engine:
        stream = LiveEndpoint("e", engine.address).logs(ID, follow=True, tail=10)
        lines = list(stream)
        stream.close()
    assert sum(len(line.text) for line in lines) > 1 << 20
    assert max(len(line.text) for line in lines) <= 64 << 10


@pytest.mark.parametrize("frame", [b"\7\0\0\0\0\0\0\1x", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_malformed_log_frame_is_refused(frame: bytes) -> None:
    with (
        HostileEngine({LOGS: lambda: in_chunks([frame])}) as engine,
        pytest.raises(EngineError, match="not in Docker's format"),
    ):
        list(LiveEndpoint("e", engine.address).logs(ID, follow=True, tail=10))


@pytest.mark.promise("quit-never-waits")
@pytest.mark.parametrize("silent", [VERSION, INFO, LIST, "GET /events"])
def test_close_wakes_waiting_request(silent: str, tmp_path: Path) -> None:
    import threading

    def hang() -> Iterator[bytes]:
        yield b""
        started.set()
        stop.wait(60)

    started, stop, woken = threading.Event(), threading.Event(), threading.Event()
    with HostileEngine({silent: hang}, tmp_path / "s") as engine:
        endpoint = LiveEndpoint("e", engine.address)

        def ask() -> None:
            try:
                (endpoint.events if "events" in silent else endpoint.snapshot)()
            except DtuiError:
                woken.set()

        threading.Thread(target=ask, daemon=True).start()
        assert started.wait(30)
        endpoint.close()
        assert woken.wait(30)
        with pytest.raises(DtuiError):
            endpoint.connect()
        stop.set()


def test_close_ends_pending_connection() -> None:
    import threading

    from tui.engine.live.transport import Connections

    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        connections, woken = Connections(), threading.Event()

        def dial() -> None:
            try:
                connections.dial("127.0.0.1", full.getsockname()[1], 60)
            except OSError:
                woken.set()

        threading.Thread(target=dial, daemon=True).start()
        until(lambda: connections._open or woken.is_set())
        time.sleep(0.1)  # until the thread waits inside the system call, which nothing tells
        connections.close()
        assert woken.wait(30)
        for filler in fillers:
            filler.close()


@pytest.mark.promise("quit-never-waits")
def test_interrupt_ends_a_command_that_waits() -> None:
    import signal
    import threading

    def hang() -> Iterator[bytes]:
        yield b""
        asked.set()
        stop.wait(60)

    asked, stop = threading.Event(), threading.Event()
    with HostileEngine({LIST: hang}) as engine:
        command = [sys.executable, "-m", "tui", "-H", engine.address, "ls"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as process:
            assert asked.wait(30)
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(30) == 130
        stop.set()
