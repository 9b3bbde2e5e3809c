"""A run written to a file, in the format that is asked for or that the file's ending names."""

from __future__ import annotations

import os
from pathlib import Path

from tui.bench import export
from tui.bench.results import Result
from tui.core.errors import BenchError
from tui.render.chart_files import chart_file

FORMATS = ("csv", "json", "xlsx", "svg", "png")


def write_run(result: Result, target: Path, kind: str = "", *, replace: bool) -> int:
    """Write a run and return the bytes; raises BenchError for a file that is there already, unless it is replaced."""
    target = target.expanduser()
    kind = kind or target.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise BenchError(f"{target} has no ending that says how", f"one of {', '.join(FORMATS)}")
    if target.exists() and not replace:
        raise BenchError(f"{target} exists already", "choose another name; dtui bench export --force replaces it")
    data = chart_file(result, kind) if kind in ("svg", "png") else export.WRITERS[kind](result)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:  # never through a link that somebody put there
            file.write(data)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise BenchError(f"{target}: {(error.strerror or '').lower()}", "choose another file") from error
    return len(data)
