"""The command line against Docker's own, and its errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.layers.test_match_docker import SCENARIO, diff_of
from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE
from tui.core.errors import UsageError
from tui.core.ids import ContainerId
from tui.core.records import Container, Driver, DriverKind, State
from tui.services.resolve import resolve_ref

pytestmark = pytest.mark.engine

FIXED = b"#!/bin/sh\necho fixed\nexit 0\n"


def dtui(*arguments: str, stdin: bytes = b"", code: int = 0, env: dict[str, str] | None = None) -> tuple[bytes, str]:
    result = subprocess.run(
        [sys.executable, "-m", "tui", *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, **(env or {})},
    )
    error = result.stderr.decode()
    assert result.returncode == code, error
    assert "Traceback" not in error
    if code:
        assert error.startswith("dtui: ")
        assert error.count("\n") == 1
    return result.stdout, error


@pytest.fixture
def web(engine: Dockerd) -> str:
    engine.docker("run", "--network=none", "--name=web", IMAGE, "sh", "-ec", SCENARIO)
    engine.docker("create", "--network=none", "--name=fresh", IMAGE, "true")
    return "web"


def test_ls_path_and_changes_match_docker(engine: Dockerd, web: str) -> None:
    host = ("-H", engine.host)
    containers = {container["name"]: container for container in json.loads(dtui(*host, "ls", "--json")[0])}
    said = [json.loads(line) for line in engine.docker("ps", "-a", "--no-trunc", "--format", "{{json .}}").splitlines()]
    assert {(r["ID"], r["Names"], r["State"], r["Image"]) for r in said} == {
        (r["id"], r["name"], r["state"], r["image"]) for r in containers.values()
    }
    upper = engine.docker("inspect", "--format", "{{.GraphDriver.Data.UpperDir}}", web).strip()
    assert dtui(*host, "path", web)[0].decode().strip() == upper == containers[web]["layer"]["path"]
    found = json.loads(dtui(*host, "changes", web, "--json")[0])
    letters = {container["path"].encode("utf-8", "surrogateescape"): container["change"] for container in found}
    assert letters == {path: change.value for path, change in diff_of(engine, web).items()}
    assert dtui("--root", str(engine.root), "changes", web)[0] == dtui(*host, "changes", web)[0]


def test_write_repairs_exited_container(engine: Dockerd, web: str) -> None:
    host = ("-H", engine.host)
    engine.docker("create", "--network=none", "--name=dead", IMAGE, "/app/start.sh")
    engine.docker("start", "-a", "dead", check=False)
    receipt = json.loads(dtui(*host, "write", "dead:/app/start.sh", "--json", stdin=FIXED)[0])
    assert receipt["bytes_written"] == len(FIXED)
    assert dtui(*host, "cat", "dead:/app/start.sh")[0] == FIXED
    assert "fixed" in engine.docker("start", "-a", "dead")


def test_tree_names_layer_of_each_entry(engine: Dockerd, web: str) -> None:
    rows = json.loads(dtui("-H", engine.host, "tree", f"{web}:/app", "--view", "merged", "--json")[0])
    lowers = {path.parent.name for path in engine.image_layers(web)}
    by_path = {row["path"]: row for row in rows}
    assert by_path["/app/start.sh"]["layer"] in lowers
    assert by_path["/app/hard"]["change"] == "A"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("path", "wbe"), 1, "did you mean web"),
        (("path", ""), 1, "no container"),
        (("cat", "web:/nothing"), 1, "does not exist"),
        (("cat", "web:/etc"), 1, "is a directory"),
        (("cat", "web"), 2, "does not name a file"),
        (("write", "web:/app"), 1, "is a directory"),
        (("write", "web:/etc/hosts"), 1, "hidden by the engine"),
        (("write", "web:/new"), 1, "--create"),
        (("path", "web", "--merged"), 3, "mounted only while it runs"),
        (("frobnicate",), 2, "--help"),
        (("tree", "--depth", "-1", "web"), 2, "levels"),
        (("ls", "--state", "bogus"), 2, "bogus"),
        (("write", "--mode", "9", "web:/etc/motd"), 2, "octal mode"),
        (("cat", "web:/app/keep.txt/"), 1, "is a file, not a directory"),
        (("rm", "web:/app/keep.txt/"), 1, "omit the trailing slash"),
        (("chmod", "600", "web:/app/keep.txt/"), 1, "omit the trailing slash"),
        (("mv", "web:/app/keep.txt/", "/etc/m"), 1, "omit the trailing slash"),
        (("mv", "web:/app/keep.txt", "/etc/m/"), 1, "/etc/m is no directory"),
        (("mv", "web:/app/keep.txt", "/no/m/"), 1, "/no/m is no directory"),
        (("mv", "web:/app/keep.txt", "fresh:/etc/m"), 2, "fresh:/etc/m is not in the same container"),
        (("mv", "web:/app/keep.txt", "web:"), 2, "the new name is empty"),
        (("write", "--create", "web:/etc/new/"), 2, "names a directory"),
        (("cp", __file__, "web:/etc/new/"), 1, "/etc/new is no directory"),
        (("cp", __file__ + "/", "web:/etc/new"), 2, "is not a directory on this host"),
        (("cp", "web:/app/keep.txt", "/tmp/no-such-directory/"), 2, "is not a directory on this host"),
        (("undo", "web", "--id", ""), 2, "names no backup"),
        (("--config", "/nope", "ls"), 2, "dtui: /nope: no such file or directory; --config"),
        (("--config", "/", "ls"), 2, "dtui: /: is a directory; --config"),
        (("cp", "/nope", "web:/"), 1, "dtui: /nope: no such file or directory;"),
        (("cp", "/nope/b/c", "web:/"), 1, "dtui: /nope/b/c: no such file or directory;"),
        (("cp", __file__ + "/c", "web:/"), 1, f"dtui: {__file__}/c: not a directory;"),
        (("cp", "web:/etc/motd", "-"), 2, "dtui cat writes to standard output"),
        (("cp", "-", "web:/etc/motd"), 2, "dtui write reads standard input"),
        (("cp", __file__, "web:/app/keep.txt/x"), 1, "/app/keep.txt is a file, not a directory"),
        (("mkdir", "web:/app/keep.txt/x"), 1, "/app/keep.txt is a file, not a directory"),
        (("mkdir", "web:/app/keep.txt/x/y"), 1, "/app/keep.txt is a file, not a directory"),
        (("mkdir", "-p", "web:/app/keep.txt/x/y"), 1, "/app/keep.txt is a file, not a directory"),
        (("revert", "web:/none"), 1, "/none does not exist in the container"),
        (("revert", "fresh:/app/keep.txt"), 1, "/app/keep.txt is as the image has it"),
        (("ls", "--driver", "foo"), 2, "foo is not a storage driver; drivers: aufs, "),
        (("edit", "web:/etc/motd", "-H", "unix:///x"), 2, "-H goes before the verb; dtui -H ... edit ..."),
        (("ls", "--root=/var/lib/docker"), 2, "--root=/var/lib/docker goes before the verb"),
        (("ls", "--frob"), 2, "unrecognized arguments: --frob"),
        (("edit", "web:/etc/motd"), 2, "dtui: the app needs a terminal; dtui cat and dtui write work without one"),
        ((), 2, "dtui: the app needs a terminal; dtui ls lists containers without one"),
    ],
)
def test_bad_input_is_one_line_with_advice(
    engine: Dockerd, web: str, words: tuple[str, ...], code: int, said: str
) -> None:
    before = sorted(engine.docker("diff", web).splitlines())
    _, error = dtui("-H", engine.host, *words, code=code)
    assert said in error
    assert sorted(engine.docker("diff", web).splitlines()) == before


def test_mv_accepts_target_with_reference(engine: Dockerd, web: str) -> None:
    host = ("-H", engine.host)
    dtui(*host, "mv", f"{web}:/app/keep.txt", f"{web}:/etc/m")
    assert dtui(*host, "cat", f"{web}:etc/m")[0] == b"kept\n"
    dtui(*host, "mv", f"{web}:/etc/m", f"{web}:m")
    dtui(*host, "mv", f"{web}:/m", "./with:colon")
    assert dtui(*host, "cat", f"{web}:/with:colon")[0] == b"kept\n"
    dtui(*host, "mkdir", f"{web}:/dir/")
    dtui(*host, "mv", f"{web}:/with:colon", "/dir/")
    dtui(*host, "mv", f"{web}:/dir/", "/other/")
    assert dtui(*host, "cat", f"{web}:/other/with:colon")[0] == b"kept\n"


def test_mv_relative_target_starts_at_source(engine: Dockerd, web: str) -> None:
    host = ("-H", engine.host)
    output = dtui(*host, "mv", f"{web}:/app/keep.txt", "other")[1]
    assert output == "/app/keep.txt: renamed to /app/other\n"
    output = dtui(*host, "mv", f"{web}:app/other", "../etc")[1]
    assert output == "/app/other: renamed to /etc/other\n"
    answer = json.loads(dtui(*host, "mv", "--json", f"{web}:/etc/other", "./keep.txt")[0])
    assert (answer["old_path"], answer["path"]) == ("/etc/other", "/etc/keep.txt")
    assert dtui(*host, "cat", f"{web}:/etc/keep.txt")[0] == b"kept\n"


def test_ls_unused_driver_names_used_ones(engine: Dockerd, web: str) -> None:
    out, output = dtui("-H", engine.host, "ls", "--driver", "btrfs", "--json")
    assert (json.loads(out), output) == ([], "dtui: no container uses btrfs; in use: overlay2\n")
    out, output = dtui("-H", engine.host, "ls", "--driver", "overlay2", "--json")
    assert ({row["name"] for row in json.loads(out)}, output) == ({"web", "fresh"}, "")


def test_undo_needs_existing_container(engine: Dockerd, web: str) -> None:
    dtui("-H", engine.host, "write", f"{web}:/app/keep.txt", stdin=b"mine\n")
    dtui("-H", engine.host, "write", "fresh:/etc/motd", stdin=b"mine\n")
    engine.docker("rm", "fresh")
    _, error = dtui("-H", engine.host, "undo", code=1)
    assert "dtui undo REF" in error
    dtui("-H", engine.host, "undo", web)
    assert dtui("-H", engine.host, "cat", f"{web}:/app/keep.txt")[0] == b"kept\n"


def test_ambiguous_prefix_lists_candidates(engine: Dockerd) -> None:
    for number in range(17):
        engine.docker("create", "--network=none", f"--name=c{number}", IMAGE, "true")
    ids = engine.docker("ps", "-aq").split()
    digit = max({i[0] for i in ids}, key=lambda d: sum(i[0] == d for i in ids))
    _, error = dtui("-H", engine.host, "path", digit, code=2)
    assert "means" in error


def test_ambiguous_prefix_counts_long_list() -> None:
    when, kind = datetime.fromtimestamp(0, UTC), Driver(DriverKind.GRAPH, "vfs")
    rows = [
        Container("e", ContainerId(f"e{n}".ljust(64, "0")), f"c{n}", State.EXITED, "", kind, "i", when)
        for n in range(10)
    ]
    with pytest.raises(UsageError, match=r"e means 10 containers: .*e/c7 \(e70{10}\) and 2 more; use a longer prefix"):
        resolve_ref(rows, "e")
    with pytest.raises(UsageError, match=r"e means 8 containers: .*e/c7 \(e70{10}\); use a longer prefix"):
        resolve_ref(rows[:8], "e")


def test_missing_endpoint_gives_advice(engine: Dockerd, tmp_path: object) -> None:
    _, error = dtui("-H", f"unix://{tmp_path}/none.sock", "ls", code=3)
    assert "systemctl start docker" in error
    _, error = dtui("--root", str(tmp_path), "ls", code=1)
    assert "not a data-root" in error
    _, error = dtui("ls", code=3, env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert "dtui demo" in error


def test_doctor_names_faults_and_fixes(engine: Dockerd, tmp_path: object) -> None:
    out, _ = dtui("-H", engine.host, "doctor", "--json")
    assert all(check["ok"] for check in json.loads(out) if check["needed"])
    result = subprocess.run(
        [sys.executable, "-m", "tui", "doctor"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock", "PATH": "/nowhere"},
    )
    assert result.returncode == 1
    assert "apt-get install iozone3" in result.stdout
    assert "systemctl start docker" in result.stdout


@pytest.mark.iozone
def test_bench_run_prints_table_or_samples(engine: Dockerd) -> None:
    out, progress = dtui("-H", engine.host, "bench", "run", "--repeat", "1", "--no-controls", "--json")
    result = json.loads(out)
    assert result["complete"]
    assert len(result["samples"]) == 24
    assert "repeat 1/1" in progress
    table, _ = dtui("-H", engine.host, "bench", "run", "--repeat", "1", "--no-controls")
    assert b"random write" in table
    assert b"64M" in table
    assert b"removed 0 containers and 1 image " in dtui("-H", engine.host, "bench", "clean")[0]


AS_NOBODY = """
import contextlib, io, json, os, sys
from tui.cli import main
def run():
    return [main(words) for words in json.loads(sys.argv[1])]
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    run()  # loads every module: the interpreter itself may lie where nobody may read
os.setgroups([int(sys.argv[2])]); os.setgid(65534); os.setuid(65534)
print(json.dumps(run()))
"""


@pytest.mark.parametrize("in_group", [False, True])
def test_permission_denied_gives_advice(engine: Dockerd, web: str, in_group: bool) -> None:
    engine.run.chmod(0o755)
    engine.home.chmod(0o755)
    host, root = ["-H", engine.host], ["--root", str(engine.root)]
    upper = dtui(*host, "path", web)[0].decode().strip()
    verbs = [
        [*host, "path", web],
        [*host, "changes", web],
        [*root, "ls"],
        ["which", upper],
        [*host, "write", f"{web}:/etc/motd"],
    ]
    group = engine.socket.stat().st_gid if in_group else 65534
    script = [sys.executable, "-c", AS_NOBODY, json.dumps(verbs), str(group)]
    before = sorted(engine.docker("diff", web).splitlines())
    result = subprocess.run(script, input="x", capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    # whom the Engine lets in, it shows what the container changed; without a place for backups nothing is written
    assert json.loads(result.stdout.splitlines()[-1]) == ([3, 0, 3, 3, 1] if in_group else [3, 3, 3, 3, 3])
    assert result.stderr.lower().count("permission denied") == (4 if in_group else 5)
    assert result.stderr.count("run dtui as root") == (3 if in_group else 5)
    assert [line for line in before if "motd" not in line] == [
        line for line in sorted(engine.docker("diff", web).splitlines()) if "motd" not in line
    ]


def test_slash_at_end_goes_through_link(engine: Dockerd, tmp_path: Path) -> None:
    links = "ln -s /app /to-app; ln -s /etc/motd /to-file; ln -s /nowhere /to-nothing"
    engine.docker("run", "--network=none", "--name=web", IMAGE, "sh", "-ec", links)
    host = ("-H", engine.host)
    assert "/app/test_matches_docker.py: copied in" in dtui(*host, "cp", __file__, "web:/to-app/")[1]
    for link in ("/to-file", "/to-nothing"):
        output = dtui(*host, "cp", __file__, f"web:{link}/", code=1)[1]
        assert f"{link} is a symlink that leads to no directory" in output
    for words in (("rm", "-r", "web:/to-app/"), ("mv", "web:/to-app/", "/other")):
        output = dtui(*host, *words, code=1)[1]
        assert "name /app, or omit the trailing slash for the link" in output
    assert "/app: mode changed" in dtui(*host, "chmod", "711", "web:/to-app/")[1]
    assert "/app: restored" in dtui(*host, "revert", "web:/to-app/")[1]
    dtui(*host, "cp", "web:/to-app/.", str(tmp_path / "out"))
    assert (tmp_path / "out" / "keep.txt").read_text() == "kept\n"
