"""docker's contexts, found where the docker command finds them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.support.cli import dtui, dtui_json
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE


def store(directory: Path, name: str, host: str) -> Path:
    """Write a context as docker does; return its record."""
    record = directory / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    record.parent.mkdir(parents=True)
    endpoints = {"docker": {"Host": host, "SkipTLSVerify": False}}
    record.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints}))
    return record


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of docker's configuration, without a config.json."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return tmp_path / "docker"


@pytest.mark.engine
def test_context_needs_no_config_file(engine: Dockerd, docker_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.docker("create", "--network=none", "--name=web", IMAGE, "true")
    store(docker_config, "shop", engine.host)
    assert [container["endpoint"] for container in dtui_json("--context", "shop", "ls")] == ["shop"]
    (docker_config / "config.json").write_text(json.dumps({"currentContext": "shop"}))
    assert [container["name"] for container in dtui_json("ls")] == ["web"]
    (docker_config / "config.json").unlink()
    monkeypatch.setenv("DOCKER_CONTEXT", "shop")
    assert [container["name"] for container in dtui_json("ls")] == ["web"]


def test_unknown_context_is_refused(docker_config: Path) -> None:
    assert b"there is no docker context shop" in dtui("--context", "shop", "ls", code=2)


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 5000, '{"Endpoints": {"docker": {"Host": 3}}}'])
def test_damaged_context_is_one_line(docker_config: Path, content: str) -> None:
    store(docker_config, "shop", "unix:///nowhere").write_text(content)
    assert len(dtui("--context", "shop", "ls", code=2).splitlines()) == 1
