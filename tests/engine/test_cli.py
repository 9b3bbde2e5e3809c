"""The command line against Docker's own, and its errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import IMAGE
from tests.engine.test_layers_match_docker import SCENARIO, diff_of
from tests.support.dockerd import Dockerd

FIXED = b"#!/bin/sh\necho fixed\nexit 0\n"


def dtui(*words: str, stdin: bytes = b"", code: int = 0, env: dict[str, str] | None = None) -> tuple[bytes, str]:
    result = subprocess.run(
        [sys.executable, "-m", "tui", *words],
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


def test_ls_path_and_changes_agree_with_docker(engine: Dockerd, web: str) -> None:
    host = ("-H", engine.host)
    rows = {row["name"]: row for row in json.loads(dtui(*host, "ls", "--json")[0])}
    said = [json.loads(line) for line in engine.docker("ps", "-a", "--no-trunc", "--format", "{{json .}}").splitlines()]
    assert {(r["ID"], r["Names"], r["State"], r["Image"]) for r in said} == {
        (r["id"], r["name"], r["state"], r["image"]) for r in rows.values()
    }
    upper = engine.docker("inspect", "--format", "{{.GraphDriver.Data.UpperDir}}", web).strip()
    assert dtui(*host, "path", web)[0].decode().strip() == upper == rows[web]["layer"]["path"]
    found = json.loads(dtui(*host, "changes", web, "--json")[0])
    letters = {row["path"].encode("utf-8", "surrogateescape"): row["change"] for row in found}
    assert letters == {path: change.value for path, change in diff_of(engine, web).items()}
    assert dtui("--root", str(engine.root), "changes", web)[0] == dtui(*host, "changes", web)[0]


def test_write_fixes_a_dead_container_which_then_runs(engine: Dockerd, web: str) -> None:
    host = ("-H", engine.host)
    engine.docker("create", "--network=none", "--name=dead", IMAGE, "/app/start.sh")
    engine.docker("start", "-a", "dead", check=False)
    receipt = json.loads(dtui(*host, "write", "dead:/app/start.sh", "--json", stdin=FIXED)[0])
    assert receipt["bytes_written"] == len(FIXED)
    assert dtui(*host, "cat", "dead:/app/start.sh")[0] == FIXED
    assert "fixed" in engine.docker("start", "-a", "dead")


def test_the_tree_names_the_layer_of_every_entry(engine: Dockerd, web: str) -> None:
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
        (("cat", "web"), 2, "names no file"),
        (("write", "web:/app"), 1, "is a directory"),
        (("write", "web:/etc/hosts"), 1, "hidden by the engine"),
        (("write", "web:/new"), 1, "--create"),
        (("path", "web", "--merged"), 3, "mounted while it runs"),
        (("frobnicate",), 2, "--help"),
        (("tree", "--depth", "-1", "web"), 2, "levels"),
        (("ls", "--state", "bogus"), 2, "bogus"),
        (("write", "--mode", "9", "web:/etc/motd"), 2, "permission bits in octal"),
        (("cat", "web:/app/keep.txt/"), 1, "is a file, not a directory"),
        (("rm", "web:/app/keep.txt/"), 1, "leave the slash"),
        (("chmod", "600", "web:/app/keep.txt/"), 1, "leave the slash"),
        (("mv", "web:/app/keep.txt/", "/etc/m"), 1, "leave the slash"),
        (("mv", "web:/app/keep.txt", "/etc/m/"), 1, "/etc/m is no directory"),
        (("mv", "web:/app/keep.txt", "/no/m/"), 1, "/no/m is no directory"),
        (("mv", "web:/app/keep.txt", "fresh:/etc/m"), 2, "fresh:/etc/m is not in the same container"),
        (("mv", "web:/app/keep.txt", "web:"), 2, "the new name is empty"),
        (("write", "--create", "web:/etc/new/"), 2, "names a directory"),
        (("cp", __file__, "web:/etc/new/"), 1, "/etc/new is no directory"),
        (("cp", __file__ + "/", "web:/etc/new"), 2, "is no directory of this host"),
        (("cp", "web:/app/keep.txt", "/tmp/no-such-directory/"), 2, "is no directory of this host"),
        (("undo", "web", "--id", ""), 2, "names no backup"),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do(
    engine: Dockerd, web: str, words: tuple[str, ...], code: int, said: str
) -> None:
    before = sorted(engine.docker("diff", web).splitlines())
    _, error = dtui("-H", engine.host, *words, code=code)
    assert said in error
    assert sorted(engine.docker("diff", web).splitlines()) == before


def test_a_new_name_may_be_written_as_the_old_one_is(engine: Dockerd, web: str) -> None:
    host = ("-H", engine.host)
    dtui(*host, "mv", f"{web}:/app/keep.txt", f"{web}:/etc/m")
    assert dtui(*host, "cat", f"{web}:etc/m")[0] == b"kept\n"
    dtui(*host, "mv", f"{web}:/etc/m", "./with:colon")
    assert dtui(*host, "cat", f"{web}:/with:colon")[0] == b"kept\n"
    dtui(*host, "mkdir", f"{web}:/dir/")
    dtui(*host, "mv", f"{web}:/with:colon", "/dir/")
    dtui(*host, "mv", f"{web}:/dir/", "/other/")
    assert dtui(*host, "cat", f"{web}:/other/with:colon")[0] == b"kept\n"


def test_undo_of_what_was_done_to_a_container_that_is_gone_tells_the_way_to_the_others(
    engine: Dockerd, web: str
) -> None:
    dtui("-H", engine.host, "write", f"{web}:/app/keep.txt", stdin=b"mine\n")
    dtui("-H", engine.host, "write", "fresh:/etc/motd", stdin=b"mine\n")
    engine.docker("rm", "fresh")
    _, error = dtui("-H", engine.host, "undo", code=1)
    assert "dtui undo REF" in error
    dtui("-H", engine.host, "undo", web)
    assert dtui("-H", engine.host, "cat", f"{web}:/app/keep.txt")[0] == b"kept\n"


def test_an_ambiguous_prefix_lists_the_candidates(engine: Dockerd) -> None:
    for number in range(17):
        engine.docker("create", "--network=none", f"--name=c{number}", IMAGE, "true")
    ids = engine.docker("ps", "-aq").split()
    digit = max({i[0] for i in ids}, key=lambda d: sum(i[0] == d for i in ids))
    _, error = dtui("-H", engine.host, "path", digit, code=2)
    assert "means" in error


def test_no_engine_and_no_data_root_are_said_with_the_way_out(engine: Dockerd, tmp_path: object) -> None:
    _, error = dtui("-H", f"unix://{tmp_path}/none.sock", "ls", code=3)
    assert "systemctl start docker" in error
    _, error = dtui("--root", str(tmp_path), "ls", code=1)
    assert "no data-root" in error
    _, error = dtui("ls", code=3, env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert "dtui demo" in error


def test_doctor_names_what_is_missing_and_the_command_that_mends_it(engine: Dockerd, tmp_path: object) -> None:
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
def test_bench_run_prints_the_table_or_every_sample(engine: Dockerd) -> None:
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
def test_without_permission_each_verb_says_so_and_how_to_get_it(engine: Dockerd, web: str, in_group: bool) -> None:
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
