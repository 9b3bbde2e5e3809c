"""Several endpoints at once: each container carries its own, and one that is dead or slow holds no other up."""

from __future__ import annotations

import contextlib
import gc
import http.server
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.support.cli import dtui, dtui_json
from tests.support.dockerd import Dockerd
from tests.support.forward import pump
from tests.support.images import IMAGE
from tui.engine.live.live_endpoint import LiveEndpoint

pytestmark = pytest.mark.engine


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[str]:
    """The address of something that takes connections and never answers."""
    with socket.socket(socket.AF_UNIX) as listener:
        path = tmp_path / "silent.sock"
        listener.bind(str(path))
        listener.listen(8)
        yield f"unix://{path}"


def test_dead_endpoint_hides_no_other(engine: Dockerd, tmp_path: Path) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "true")
    arguments = ("-H", engine.host, "-H", f"unix://{tmp_path}/none.sock", "--root", str(engine.root))
    result = subprocess.run(
        [sys.executable, "-m", "tui", *arguments, "ls"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert sorted(line.split()[-1] for line in result.stdout.splitlines()) == ["ENDPOINT", "local", "root"]
    assert "none.sock" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_silent_endpoint_hides_no_container(engine: Dockerd, silent: str) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "true")
    out = dtui("-H", silent, "-H", engine.host, "path", "web")
    assert str(engine.root).encode() in out
    result = subprocess.run(
        [sys.executable, "-m", "tui", "-H", silent, "-H", engine.host, "ls"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "web" in result.stdout
    assert "no answer within 5 s of the first" in result.stderr


def test_doctor_times_out_silent_endpoints(engine: Dockerd, silent: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tui", "-H", silent, "-H", silent, "-H", engine.host, "doctor", "--json"],
        capture_output=True,
        check=False,
        timeout=50,  # a minute is what the SDK alone would wait for each
    )
    found = [check["found"] for check in json.loads(result.stdout) if check["name"] == "endpoint"]
    assert [("no answer" in words, "Engine" in words) for words in found] == [(True, False)] * 2 + [(False, True)]


def test_full_reference_asks_one_endpoint(engine: Dockerd, silent: str) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "true")
    containers = dtui_json("-H", engine.host, "ls")
    out = dtui("-H", engine.host, "-H", silent, "path", f"{containers[0]['endpoint']}/web")
    assert str(engine.root).encode() in out


def forward(listener: socket.socket, context: ssl.SSLContext, target: str) -> None:
    """Do what an Engine's own TLS port does: hand what comes over TLS to its socket."""
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        with contextlib.suppress(OSError):
            outer = context.wrap_socket(plain, server_side=True)
            inner = socket.socket(socket.AF_UNIX)
            inner.connect(target)
            threading.Thread(target=pump, args=(outer, inner), daemon=True).start()
            threading.Thread(target=pump, args=(inner, outer), daemon=True).start()


def certificates(place: Path) -> None:
    """Make what docker wants for TLS: a CA, a server's and a client's certificate."""
    place.mkdir(parents=True)

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=place, check=True, capture_output=True)

    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    openssl(*new, "-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=dtui test")
    (place / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("cert", "server"):
        key = "key.pem" if name == "cert" else "server-key.pem"
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signing)


def test_tls_context_is_listed(engine: Dockerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "true")
    path = tmp_path / "tls"
    certificates(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path / "server.pem", path / "server-key.pem")
    context.load_verify_locations(path / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        threading.Thread(target=forward, args=(listener, context, str(engine.socket)), daemon=True).start()
        config = tmp_path / "docker"
        config.mkdir()
        (config / "config.json").write_text("{}")
        monkeypatch.setenv("DOCKER_CONFIG", str(config))
        monkeypatch.setenv(
            "REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt"
        )  # must not win over the context's
        options = [f"{name}={path}/{name}.pem" for name in ("ca", "cert", "key")]
        command = ["docker", "context", "create", "far", "--docker", ",".join([f"host={address}", *options])]
        subprocess.run(command, check=True, capture_output=True)
        (container,) = dtui_json("--context", "far", "ls")
        assert (container["name"], container["endpoint"], container["layer"]["reach"]) == ("web", "far", "engine")
        both = dtui_json("--context", "far", "-H", engine.host, "ls")
        assert sorted(json.dumps(r["layer"]["reach"]) for r in both) == ['"direct"', '"engine"']


def test_interrupt_ends_wait_for_engine(silent: str) -> None:
    def obey() -> None:  # whoever runs the tests in the background may ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    arguments = ["-m", "tui", "-H", silent, "ls"]
    with pexpect.spawn(sys.executable, arguments, encoding="utf-8", timeout=30, preexec_fn=obey) as terminal:
        terminal.expect("dtui: waiting for local to answer; ctrl[+]c stops waiting")
        terminal.sendintr()
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 130


def test_web_server_is_refused_as_engine() -> None:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html></html>")

    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        output = dtui("-H", f"tcp://127.0.0.1:{server.server_port}", "ls", code=3)
        server.shutdown()
    assert b"the server there is not a Docker Engine; check the address and the port" in output


def test_dropped_endpoint_leaks_no_socket(engine: Dockerd) -> None:
    def sockets() -> int:
        gc.collect()
        return sum(path.is_socket() for path in Path("/proc/self/fd").iterdir())

    before = sockets()
    for _ in range(5):
        LiveEndpoint("local", engine.host).snapshot()
    assert sockets() == before
