"""``dtui bench``: measure storage drivers, and look at earlier runs."""

from __future__ import annotations

from argparse import Namespace

from tui.cli import bench_run, bench_runs

_SUBCOMMANDS = {
    "run": bench_run.run,
    "clean": bench_run.run,
    "list": bench_runs.list_runs,
    "show": bench_runs.show_run,
    "compare": bench_runs.compare,
    "export": bench_runs.export_run,
    "import": bench_runs.import_run,
    "rename": bench_runs.rename_run,
    "delete": bench_runs.delete_run,
}


def run(options: Namespace) -> int:
    """Run the subcommand."""
    return _SUBCOMMANDS[options.what](options)
