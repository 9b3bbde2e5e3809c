"""A container that keeps restarting is stopped, changed and started again, or says what state it is in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.cli import dtui, dtui_json
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tests.support.podman import Podman
from tests.support.waiting import until
from tui.core.errors import DtuiError, EditRefused
from tui.core.records import State
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.files import ContainerEnded, ContainerFiles, SaveResult, undo_records
from tui.services.files_of import files_of, tree_of
from tui.services.while_stopped import change_while_stopped

pytestmark = pytest.mark.engine

RUNS = b"echo fixed; exec sleep 1000\n"


class Loop:
    """A container whose command fails, and which the engine starts again and again."""

    def __init__(self, engine: Dockerd) -> None:
        self.engine = engine
        self.host = ("-H", engine.host)
        self.endpoint = LiveEndpoint("local", engine.host)
        options = ("-d", "--network=none", "--restart=always", "--name=loop")
        self.id = engine.docker("run", *options, IMAGE, "sh", "/app/start.sh").strip()
        # the engine waits 0.1 s before it starts a container again, then twice as long each time
        until(lambda: self.look("RestartCount") > 4 and self.look("State")["Restarting"], seconds=60)

    def look(self, key: str) -> object:
        return json.loads(self.engine.docker("inspect", "--format", f"{{{{json .{key}}}}}", "loop"))

    @property
    def state(self) -> State:
        return self.endpoint.inspect(self.id).container.state

    @property
    def policy(self) -> object:
        return self.look("HostConfig.RestartPolicy.Name")

    def content(self) -> bytes:
        return dtui(*self.host, "cat", "loop:/app/start.sh")

    def change(self, work: object) -> SaveResult:
        details = self.endpoint.inspect(self.id)
        return change_while_stopped(self.endpoint, details, work, lambda: None)  # type: ignore[arg-type]


@pytest.fixture
def loop(engine: Dockerd) -> Iterator[Loop]:
    found = Loop(engine)
    yield found
    found.endpoint.close()


@pytest.mark.promise("crash-loop-can-be-fixed")
def test_write_restart_fixes_crash_loop(loop: Loop) -> None:
    refused = dtui(*loop.host, "write", "loop:/app/start.sh", stdin=RUNS, code=1).decode()
    assert len(refused.splitlines()) == 1
    assert "--restart" in refused
    receipt = json.loads(dtui(*loop.host, "write", "--restart", "--json", "loop:/app/start.sh", stdin=RUNS))
    assert any("started again, its restart policy always unchanged" in note for note in receipt["notes"])
    assert Path(receipt["backup"]).read_bytes().startswith(b"#!/bin/sh")
    assert (loop.state, loop.policy, loop.content()) == (State.RUNNING, "always", RUNS)
    dtui(*loop.host, "undo", "--restart", "loop")
    assert loop.content() != RUNS
    assert loop.policy == "always"


@pytest.mark.promise("crash-loop-can-be-fixed")
def test_every_change_takes_restart(loop: Loop, tmp_path: Path) -> None:
    (tmp_path / "copied").write_text("copied")
    changes = (
        ("chmod", "0711", "loop:/app/keep.txt"),
        ("mv", "loop:/app/keep.txt", "moved"),
        ("mkdir", "loop:/app/dir"),
        ("cp", str(tmp_path / "copied"), "loop:/app/dir"),
        ("rm", "loop:/etc/motd"),
        ("revert", "loop:/etc/motd"),
    )
    for verb, *words in changes:
        dtui(*loop.host, verb, "--restart", *words)
        assert loop.state not in (State.EXITED, State.CREATED)
    changed = {change["path"] for change in dtui_json(*loop.host, "changes", "loop")}
    assert {"/app/keep.txt", "/app/moved", "/app/dir/copied"} <= changed
    assert "/etc/motd" not in changed
    assert loop.policy == "always"


@pytest.mark.promise("crash-loop-can-be-fixed")
def test_refused_save_starts_loop_again(loop: Loop) -> None:
    def refuse(files: ContainerFiles) -> SaveResult:
        assert files.details.container.state is State.EXITED
        raise EditRefused("no space", "free some")

    with pytest.raises(EditRefused, match=r"no space; free some; loop was stopped and started again"):
        loop.change(refuse)
    until(lambda: loop.state in (State.RESTARTING, State.RUNNING))
    assert loop.policy == "always"
    message = dtui(*loop.host, "write", "--restart", "loop:/nowhere", stdin=b"lost?", code=1).decode()
    assert "does not exist" in message
    assert "started again" not in message  # nothing was stopped for that
    loop.engine.docker("stop", "-t0", "loop")
    dtui(*loop.host, "write", "--restart", "loop:/app/start.sh", stdin=RUNS)
    assert loop.state is State.EXITED


@pytest.mark.promise("crash-loop-can-be-fixed")
def test_start_before_save_is_noticed(loop: Loop) -> None:
    def start_and_save(files: ContainerFiles) -> SaveResult:
        loop.engine.docker("start", "loop")
        return files.save(b"/app/start.sh", RUNS, None)

    with pytest.raises(ContainerEnded, match="loop was started by somebody else"):
        loop.change(start_and_save)
    assert loop.content() != RUNS
    assert not list(undo_records())


@pytest.mark.promise("crash-loop-can-be-fixed")
def test_read_survives_end_of_run(loop: Loop) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    details = loop.endpoint.inspect(loop.id)
    seen_running = replace(details, pid=ended.pid, container=replace(details.container, state=State.RUNNING))
    files = files_of(loop.endpoint, seen_running)
    assert files.open(b"/app/start.sh").document.data.startswith(b"#!/bin/sh")
    with closing(tree_of(loop.endpoint, seen_running)) as tree:
        assert tree.resolve(b"/app/start.sh") == b"/app/start.sh"


@pytest.mark.promise("crash-loop-can-be-fixed")
def test_podman_loop_between_runs_is_stopped() -> None:
    podman = Podman("overlay")
    try:
        podman.start()
        podman.import_image(IMAGE, {"app/start.sh": b"exit 1\n"})
        podman.docker("run", "-d", "--network=none", "--restart=always", "--name=loop", IMAGE, "sh", "/app/start.sh")
        podman.docker("create", "--network=none", "--rm", "--name=brief", IMAGE, "true")
        podman.docker("init", "brief")
        host = ("-H", podman.host)
        dtui(*host, "write", "--restart", "loop:/app/start.sh", stdin=RUNS)
        row = next(row for row in dtui_json(*host, "ls") if row["name"] == "loop")
        assert (row["state"], row["restart_policy"]) == ("running", "always")
        assert dtui(*host, "cat", "loop:/app/start.sh") == RUNS
        at_rest = {row["name"]: row["auto_remove"] for row in dtui_json("--root", str(podman.root), "ls")}
        assert at_rest == {"loop": False, "brief": True}
    finally:
        podman.close()


@pytest.mark.promise("crash-loop-can-be-fixed")
def test_failed_start_says_state_and_next_step(engine: Dockerd) -> None:
    options = ("-d", "--network=none", "--restart=always", "--name=loop")
    engine.docker("run", *options, IMAGE, "/app/start.sh")
    host = ("-H", engine.host)
    command = (*host, "write", "--restart", "--mode", "0644", "loop:/app/start.sh")  # what cannot be executed
    message = dtui(*command, stdin=RUNS, code=1).decode()
    assert "/app/start.sh is changed, but loop was not started" in message
    assert "loop is " in message
    assert "docker start loop starts it" in message
    assert dtui(*host, "cat", "loop:/app/start.sh") == RUNS
    dtui(*host, "undo", "loop")
    engine.docker("start", "loop")


@pytest.mark.promise("end-of-container-foreseen")
def test_restart_never_removes_container(engine: Dockerd) -> None:
    run = ("run", "-d", "--network=none")
    engine.docker(*run, "--rm", "--name=brief", IMAGE, "sh", "-c", "echo work > /root.txt; exec sleep 1000")
    engine.docker(*run, "--label=com.docker.swarm.service.name=keep", "--name=task", IMAGE, "sleep", "1000")
    host = ("-H", engine.host)
    for name, reason in (("brief", "would remove it and all its changes"), ("task", "task of Swarm service keep")):
        message = dtui(*host, "write", "--restart", f"{name}:/etc/motd", stdin=b"x", code=1).decode()
        assert reason in message
    assert {container["name"]: container["state"] for container in dtui_json(*host, "ls")} == {
        "brief": "running",
        "task": "running",
    }


@pytest.mark.promise("end-of-container-foreseen")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--rm",), ("--rm", "when it stops it is removed", "docker commit web IMAGE")),
        (("--label=com.docker.swarm.service.name=keep",), ("task of Swarm service keep", "next replacement")),
        (
            ("--label=com.docker.compose.project=shop", "--label=com.docker.compose.service=api"),
            ("service api of Compose project shop", "next replacement"),
        ),
        (
            ("--label=io.kubernetes.pod.name=p1", "--label=io.kubernetes.pod.namespace=prod"),
            ("pod prod/p1", "next replacement"),
        ),
        (("--label=PODMAN_SYSTEMD_UNIT=web.service",), ("systemd unit web.service", "next replacement")),
    ],
    ids=["rm", "swarm", "compose", "pod", "systemd"],
)
def test_change_says_what_will_drop_it(engine: Dockerd, options: tuple[str, ...], words: tuple[str, ...]) -> None:
    engine.docker("run", "-d", "--network=none", "--name=web", *options, IMAGE, "sleep", "1000")
    host = ("-H", engine.host)
    (note,) = json.loads(dtui(*host, "write", "--json", "web:/etc/motd", stdin=b"x"))["notes"]
    (same,) = json.loads(dtui(*host, "rm", "--json", "web:/etc/app.conf"))["notes"]
    assert note == same
    assert [word for word in words if word not in note] == []
    engine.docker("stop", "-t0", "web")
    if "--rm" in options:
        assert len(dtui_json(*host, "backups", "web")) == 2
        assert "no longer exists" in dtui(*host, "undo", "web", code=1).decode()


def test_ls_shows_what_ends_container(engine: Dockerd) -> None:
    long = "x" * 10_000
    labels = {"com.docker.compose.project": long, "com.docker.compose.service": "api", "team": "shop"}
    options = [f"--label={name}={value}" for name, value in labels.items()]
    engine.docker("create", "--network=none", "--name=web", "--restart=on-failure:3", *options, IMAGE, "true")
    engine.docker("create", "--network=none", "--name=brief", "--rm", IMAGE, "true")
    host = ("-H", engine.host)
    containers = {container["name"]: container for container in dtui_json(*host, "ls")}
    web, brief = containers["web"], containers["brief"]
    assert (web["auto_remove"], web["restart_policy"], web["labels"]) == (False, "on-failure:3", labels)
    assert (brief["auto_remove"], brief["restart_policy"], brief["labels"]) == (True, "no", {})
    assert set(brief["group"].values()) == {None}
    assert (web["group"]["compose_project"], web["group"]["compose_service"]) == (long, "api")
    at_rest = {container["name"]: container for container in dtui_json("--root", str(engine.root), "ls")}
    keys = ("auto_remove", "restart_policy", "labels", "group")
    assert [{key: container[key] for key in keys} for container in (at_rest["web"], at_rest["brief"])] == [
        {key: container[key] for key in keys} for container in (web, brief)
    ]


def test_label_of_many_kilobytes_is_shortened(engine: Dockerd) -> None:
    options = ("--network=none", "--name=web", f"--label=com.docker.swarm.service.name={'x' * 10_000}")
    engine.docker("create", *options, IMAGE, "true")
    endpoint = LiveEndpoint("local", engine.host)
    details = endpoint.inspect(endpoint.snapshot()[0].id)
    endpoint.close()
    assert len(details.lifecycle.words) < 100
    assert all(len(value) < 500 for _, value in details.settings)


def test_unclear_removal_setting_is_refused() -> None:
    from tui.engine.live.parse import lifecycle_of

    for odd in ("yes", 1, [True]):
        with pytest.raises(DtuiError, match="lifecycle"):
            lifecycle_of({"HostConfig": {"AutoRemove": odd}})
