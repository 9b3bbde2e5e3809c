"""``dtui`` as a script runs it: a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def dtui(*words: str, stdin: bytes = b"", code: int = 0, seconds: float = 120) -> bytes:
    """Run a verb; return its standard output. The exit code must be the one that is expected."""
    result = subprocess.run(
        [sys.executable, "-m", "tui", *words], input=stdin, capture_output=True, timeout=seconds, check=False
    )
    assert result.returncode == code, (words, result.returncode, result.stdout, result.stderr)
    return result.stdout if code == 0 else result.stderr


def dtui_json(*words: str) -> Any:
    return json.loads(dtui(*words, "--json"))
