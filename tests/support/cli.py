"""Runs ``dtui`` as a script would, in a separate process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def dtui(*words: str, stdin: bytes = b"", code: int = 0, seconds: float = 120) -> bytes:
    """Run a verb and assert its exit code; return its standard output, or standard error if a failure is expected."""
    result = subprocess.run(
        [sys.executable, "-m", "tui", *words], input=stdin, capture_output=True, timeout=seconds, check=False
    )
    assert result.returncode == code, (words, result.returncode, result.stdout, result.stderr)
    return result.stdout if code == 0 else result.stderr


def dtui_json(*words: str) -> Any:
    return json.loads(dtui(*words, "--json"))
