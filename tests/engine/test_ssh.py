"""An Engine behind a real sshd, as ``docker -H ssh://`` reaches it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import dtui, dtui_json
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tests.support.terminal import Terminal
from tests.support.waiting import until
from tui.core.errors import EngineLost
from tui.engine.live.sdk import connect

pytestmark = [pytest.mark.engine, pytest.mark.ssh]

SERVER = """
Port {port}
ListenAddress 127.0.0.1
HostKey {home}/host
AuthorizedKeysFile {home}/client.pub
PidFile {home}/sshd.pid
StrictModes no
UsePAM no
PermitRootLogin yes
SetEnv DOCKER_HOST={engine}
"""
CLIENT = """
IdentityFile {home}/client
UserKnownHostsFile {home}/known
StrictHostKeyChecking no
LogLevel ERROR
"""


@pytest.fixture
def over_ssh(engine: Dockerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The engine's address by way of an sshd of this test's own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for name in ("host", "client"):
        subprocess.run(["/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    (tmp_path / "sshd_config").write_text(SERVER.format(port=port, home=tmp_path, engine=engine.host))
    (tmp_path / "ssh_config").write_text(CLIENT.format(home=tmp_path))
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {tmp_path}/ssh_config "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    Path("/run/sshd").mkdir(exist_ok=True)
    log = (tmp_path / "sshd.log").open("wb")
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(tmp_path / "sshd_config")], stderr=log)
    try:
        until(lambda: listens(port), "sshd does not come up")
        yield f"ssh://root@127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)
        log.close()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_containers_over_ssh_are_edited(engine: Dockerd, over_ssh: str) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "cat", "/etc/app.conf")
    (container,) = dtui_json("-H", over_ssh, "ls")
    assert (container["name"], container["layer"]["reach"]) == ("web", "engine")
    assert dtui("-H", over_ssh, "cat", "web:/etc/app.conf") == b"port=80\n"
    dtui("-H", over_ssh, "write", "web:/etc/app.conf", stdin=b"port=22\n")
    assert engine.docker("start", "-a", "web") == "port=22\n"


@pytest.fixture
def alias(over_ssh: str, tmp_path: Path) -> str:
    """A name for the host that only the user's ssh_config knows."""
    port = over_ssh.rpartition(":")[2]
    with (tmp_path / "ssh_config").open("a") as config:
        config.write(f"Host Shop\n  HostName 127.0.0.1\n  Port {port}\n  User root\n")
    return "ssh://Shop"


def test_alias_of_ssh_config_is_followed(engine: Dockerd, alias: str) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "true")
    assert [container["name"] for container in dtui_json("-H", alias, "ls")] == ["web"]


def test_socket_in_ssh_address_is_used(engine: Dockerd, alias: str, tmp_path: Path) -> None:
    config = tmp_path / "sshd_config"
    config.write_text(config.read_text().replace(engine.host, "unix:///nowhere.sock"))
    os.kill(int((tmp_path / "sshd.pid").read_text()), signal.SIGHUP)
    engine.docker("create", "--network=none", "--name=web", IMAGE, "true")
    until(lambda: b"nowhere" in dtui("-H", alias, "ls", code=3), "sshd does not read its settings again")
    assert [container["name"] for container in dtui_json("-H", f"{alias}{engine.socket}", "ls")] == ["web"]


def test_one_connection_carries_all_requests(engine: Dockerd, over_ssh: str, tmp_path: Path) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "true")
    before = logins(tmp_path)
    dtui("-H", over_ssh, "write", "web:/etc/app.conf", stdin=b"port=22\n")
    assert logins(tmp_path) == before + 1
    assert not list(Path("/tmp").glob("dtui-ssh-*"))


def test_users_own_shared_connection_is_used(engine: Dockerd, alias: str, tmp_path: Path) -> None:
    with (tmp_path / "ssh_config").open("a") as config:
        config.write(f"  ControlPath /tmp/{tmp_path.name}\n")  # a socket's path is short
    subprocess.run(["ssh", "-M", "-f", "-N", "Shop"], check=True)
    try:
        before = logins(tmp_path)
        dtui("-H", alias, "ls")
        assert logins(tmp_path) == before
    finally:
        subprocess.run(["ssh", "-O", "exit", "Shop"], check=True)


@pytest.mark.parametrize("address", ["ssh://root:secret@host", "ssh://-oProxyCommand=x", "ssh://host:x", "ssh://"])
def test_bad_ssh_address_is_refused(address: str) -> None:
    answer = dtui("-H", address, "ls", code=2)
    assert len(answer.splitlines()) == 1
    assert b"secret" not in answer


def logins(home: Path) -> int:
    """Count the connections that the test's sshd has accepted."""
    return (home / "sshd.log").read_text().count("Accepted publickey")


def test_unreachable_ssh_host_exits_3(over_ssh: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = [sys.executable, "-m", "tui", "-H", f"ssh://root@127.0.0.1:{port}", "ls"]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=90)
    assert result.returncode == 3
    assert result.stderr.splitlines()[-1].startswith("dtui: ")


def ssh_left(port: str) -> list[str]:
    """Command lines of ssh clients to a port that still run."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"ssh") and port.encode() in words:
            lines.append(str(words))
    return lines


def test_ssh_failure_shows_ssh_message(over_ssh: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = [sys.executable, "-m", "tui", "-H", f"ssh://root@127.0.0.1:{port}", "ls"]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=90)
    assert "Connection refused" in result.stderr.splitlines()[-1]


def test_unknown_host_key_asks_no_question(over_ssh: str, tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    config.write_text(config.read_text().replace("StrictHostKeyChecking no", "StrictHostKeyChecking ask"))
    term = Terminal("-H", over_ssh)
    try:
        term.wait("Host key verification failed")
        assert b"authenticity" not in term.raw
        term.press("h")
        term.wait_all("No Docker Engine answers.", "Host key verification failed")
        term.press("q")
        assert term.close() == 0
    finally:
        term.abandon()


def test_no_ssh_outlives_the_app(engine: Dockerd, over_ssh: str) -> None:
    engine.docker("run", "-d", "--network=none", "--name=up", IMAGE, "sleep", "1000")
    port = over_ssh.rpartition(":")[2]
    term = Terminal("-H", over_ssh)
    try:
        term.wait("● running", 40)
        term.press("l")
        term.wait("▸ logs")
        assert ssh_left(port)
        term.press("q")
        assert term.close(20) == 0, term.text()
    finally:
        term.abandon()
    until(lambda: not ssh_left(port), "ssh outlives the app")


def test_silent_ssh_host_times_out(over_ssh: str, tmp_path: Path) -> None:
    (tmp_path / "bin" / "ssh").write_text("#!/bin/sh\nexec sleep 1000\n")
    with pytest.raises(EngineLost, match="no answer in time"):
        connect(over_ssh, timeout=1)
