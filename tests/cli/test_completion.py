"""Shell completion comes from the parser; the settings file is found where the XDG specification puts it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.cli import dtui
from tui.cli.lookup import settings


def completed(script: Path, *arguments: str) -> list[str]:
    """Let bash complete the last word."""
    line = " ".join(f"'{word}'" for word in arguments)
    ask = f"COMP_WORDS=({line}); COMP_CWORD={len(arguments) - 1}; _shtab_dtui"
    code = f"source {script}; {ask}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    return subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout.split()


def test_bash_completes_verbs_and_options(tmp_path: Path) -> None:
    script = tmp_path / "dtui.bash"
    script.write_bytes(dtui("completion", "bash"))
    assert completed(script, "dtui", "un") == ["undo"]
    assert "--recursive" in completed(script, "dtui", "rm", "--r")


@pytest.mark.parametrize("shell", ["zsh", "tcsh", "fish"])
def test_other_shells_get_a_script(shell: str) -> None:
    assert b"undo" in dtui("completion", shell)


def test_settings_are_read_from_xdg_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert settings(None) == {}
    (tmp_path / "dtui").mkdir()
    (tmp_path / "dtui" / "config.toml").write_text('theme = "nord"\n')
    assert settings(None) == {"theme": "nord"}
