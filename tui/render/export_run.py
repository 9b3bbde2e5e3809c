"""Write a run to a file, in the format asked for or named by the file's suffix."""

from __future__ import annotations

import os
from pathlib import Path

from tui.bench import export
from tui.bench.results import Result
from tui.core.errors import BenchError
from tui.render.chart_files import chart_file

FORMATS = ("csv", "json", "xlsx", "svg", "png")


def write_run(result: Result, target: Path, kind: str = "", *, replace: bool) -> int:
    """Write a run and return the number of bytes; raises BenchError if the file exists, unless ``replace``."""
    target = target.expanduser()
    kind = kind or target.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise BenchError(f"{target} has no suffix that names a format", f"formats: {', '.join(FORMATS)}")
    if target.exists() and not replace:
        raise BenchError(f"{target} exists already", "choose another name; dtui bench export --force replaces it")
    data = chart_file(result, kind) if kind in ("svg", "png") else export.WRITERS[kind](result)
    partial_path = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with partial_path.open("xb") as file:  # exclusive creation never follows a symlink placed there
            file.write(data)
        partial_path.replace(target)
    except OSError as error:
        partial_path.unlink(missing_ok=True)
        raise BenchError(f"{target}: {(error.strerror or '').lower()}", "choose another file") from error
    return len(data)
