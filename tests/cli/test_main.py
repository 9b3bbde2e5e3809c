"""How the command line ends: whatever happens, in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from tui.cli import main, parser


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(options: Namespace) -> int:
        raise error

    monkeypatch.setattr(parser, "parse", lambda argv: Namespace(run=run))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "not enough memory"),
        (RecursionError("maximum recursion depth exceeded"), "RecursionError: maximum recursion"),
        (OverflowError("int too large"), "OverflowError: int too large"),
        (ValueError("a\nb\x1b[2J"), "ValueError: a\\nb\\e[2J"),
        (KeyError("x" * 10_000), "KeyError: 'xxx"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), "UnicodeDecodeError: 'utf-8'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_unexpected_error_is_one_line(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(error, monkeypatch)
    assert main([]) == 1
    output = capsys.readouterr().err
    assert output.startswith(f"dtui: {'there is ' if 'memory' in told else ''}{told}")
    assert output.count("\n") == 1
    assert len(output) < 400


@pytest.mark.parametrize("kind", [MemoryError, ZeroDivisionError])
def test_unexpected_error_reports_outcome(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = kind("x")
    error.add_note("all is as it was before")
    raising(error, monkeypatch)
    assert main([]) == 1
    output = capsys.readouterr().err
    assert "; all is as it was before" in output
    assert "next start" not in output
    assert output.count("\n") == 1


def test_traceback_is_raised_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(ValueError("odd"), monkeypatch)
    monkeypatch.setenv("DTUI_TRACEBACK", "1")
    with pytest.raises(ValueError, match="odd"):
        main([])


def dtui(*arguments: str, output: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    with open(output, "wb") as out:
        command = [sys.executable, "-m", "tui", *arguments]
        return subprocess.run(
            command, stdout=out, stderr=subprocess.PIPE, env={**os.environ, **(env or {})}, check=False
        )


def test_nested_settings_error_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "settings").write_text("hosts = " + "[" * 100_000)
    ended = dtui("--config", str(tmp_path / "settings"), "ls", output=os.devnull)
    assert (ended.returncode, ended.stderr.count(b"\n")) == (1, 1)
    assert ended.stderr.startswith(b"dtui: RecursionError")


def test_full_output_device_is_one_line() -> None:
    ended = dtui("demo", "ls", output="/dev/full", env={"PYTHONUNBUFFERED": ""})
    assert (ended.returncode, ended.stderr.count(b"\n")) == (1, 1)
    assert b"No space left" in ended.stderr


def test_ascii_output_escapes_other_letters(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    assert dtui("demo", "ls", output=out, env={"PYTHONIOENCODING": "ascii"}).returncode == 0
    assert b"\\u2014" in (tmp_path / "out").read_bytes()


@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), ("2>&-", 0), ("<&-", 0)])
def test_verb_works_with_closed_streams(closed: str, code: int) -> None:
    command = f"{sys.executable} -m tui demo ls {closed}"
    result = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (code, b"")
    assert (b"exited" in result.stdout) == (closed != ">&-")


def test_write_with_closed_input_is_refused() -> None:
    command = f"{sys.executable} -m tui write web:/etc/motd <&-"
    result = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False)
    assert result.returncode == 2
    assert b"the new contents come from standard input" in result.stderr


@pytest.mark.parametrize("words", [[], ["demo"], ["edit", "web:/etc/motd"]], ids=" ".join)
@pytest.mark.parametrize("missing", ["stdin", "stdout", "stderr", "screen"])
def test_app_without_terminal_is_one_line(words: list[str], missing: str) -> None:
    ours, terminal = os.openpty()
    streams: dict[str, int] = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    env = {**os.environ, "TERM": "dumb" if missing == "screen" else "xterm"}
    if missing in streams:
        streams[missing] = subprocess.DEVNULL if missing == "stdin" else subprocess.PIPE
    try:
        result = subprocess.run([sys.executable, "-m", "tui", *words], check=False, env=env, timeout=60, **streams)
        os.set_blocking(ours, False)
        output = result.stderr if missing == "stderr" else os.read(ours, 65536)
    finally:
        os.close(ours)
        os.close(terminal)
    assert result.returncode == 2
    assert output.startswith(b"dtui: the app needs a terminal")
    assert (output.count(b"\n"), output.count(b"\x1b"), result.stdout or b"") == (1, 0, b"")
