"""Subcommands of ``dtui bench`` for earlier runs: list, show, compare, export, import, rename, delete."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from tui.bench.charts import gigabytes
from tui.bench.compare_runs import RunComparison, compare_runs
from tui.bench.import_text import parse_iozone_run
from tui.bench.plan import human_kb
from tui.bench.store import Store
from tui.bench.tables import VERDICT_SIGNS
from tui.cli.bench_run import draw_charts, show
from tui.cli.output import print_json, print_line
from tui.core.errors import BenchError
from tui.core.state import state_dir
from tui.core.text import count_of, printable


def store() -> Store:
    """Open the store with this host's runs."""
    return Store(state_dir("bench") / "runs.sqlite")


def list_runs(options: Namespace) -> int:
    """Print one line per run, newest first."""
    runs = store().runs()
    if options.json:
        print_json(
            [
                {
                    "id": run.id,
                    "name": run.name or None,
                    "started": run.started.isoformat(),
                    "preset": run.preset.value,
                    "targets": list(run.targets),
                    "numbers": run.numbers,
                    "problem": run.problem or None,
                }
                for run in runs
            ]
        )
        return 0
    for run in runs:
        summary = (
            f"{run.id:>4}  {run.started:%Y-%m-%d %H:%M}  {run.preset.value:<8}  {count_of(run.numbers, 'number'):>14}"
        )
        name = f"  {run.name}" if run.name else ""
        problem = f"  ({run.problem})" if run.problem else ""
        print_line(printable(f"{summary}  {' '.join(run.targets)}{name}{problem}"))
    if not runs:
        print_line("no run yet; dtui bench run starts one")
    return 0


def show_run(options: Namespace) -> int:
    """Print a run as it was printed when it was made."""
    run_store = store()
    result = run_store.load(run_store.find(options.ref))
    if options.json:
        print_json(result.as_json())
        return 0
    if options.charts:
        draw_charts(result)
    show(result)
    if result.problem:
        print_line(printable(f"note: {result.problem}"))
    return 0


def compare(options: Namespace) -> int:
    """Print how two runs differ, target by target of the same name, or for two named targets."""
    run_store = store()
    first, second = (run_store.load(run_store.find(reference)) for reference in (options.ref, options.other))
    comparisons = compare_runs(first, second, tuple(options.target))
    if options.json:
        print_json([_as_json(comparison) for comparison in comparisons])
        return 0
    if not comparisons:
        raise BenchError("the two runs have no number in common", "compare runs of the same plan and targets")
    for comparison in comparisons:
        size = f"{human_kb(comparison.file_kb)}/{human_kb(comparison.record_kb)}"
        labels = f"{comparison.target:<16} {comparison.mode.value:<8} {comparison.test.value:<12} {size:>10}"
        first_speed, second_speed = (gigabytes(run.median) for run in (comparison.first, comparison.second))
        numbers = f"{first_speed:>8.2f} {second_speed:>8.2f} GB/s  {comparison.ratio:>5.2f}"
        print_line(printable(f"{labels} {numbers} {VERDICT_SIGNS[comparison.verdict]} {comparison.verdict.value}"))
    return 0


def _as_json(comparison: RunComparison) -> dict[str, object]:
    return {
        "target": comparison.target,
        "mode": comparison.mode.value,
        "test": comparison.test.value,
        "file_kb": comparison.file_kb,
        "record_kb": comparison.record_kb,
        "kb_per_s": [comparison.first.median, comparison.second.median],
        "n": [comparison.first.n, comparison.second.n],
        "ratio": comparison.ratio,
        "spread": comparison.spread,
        "verdict": comparison.verdict.value,
    }


def export_run(options: Namespace) -> int:
    """Write a run to a file; refuses to replace one without --force."""
    run_store = store()
    result = run_store.load(run_store.find(options.ref))
    from tui.render.export_run import write_run

    target = Path(options.file)
    size = write_run(result, target, options.format, replace=options.force)
    print_line(printable(f"{target}: {count_of(size, 'byte')}"))
    return 0


def import_run(options: Namespace) -> int:
    """Store IOzone's text output from another host as a run."""
    source = Path(options.file)
    try:
        data = sys.stdin.buffer.read() if options.file == "-" else source.read_bytes()
    except OSError as error:
        raise BenchError(f"{source}: {(error.strerror or '').lower()}", "name a file with IOzone's output") from error
    result = parse_iozone_run(data, options.target, options.name or source.stem)
    number = store().add(result)
    print_line(printable(f"run {number}: {count_of(len(result.samples), 'number')} for {options.target}"))
    return 0


def rename_run(options: Namespace) -> int:
    """Rename a run."""
    run_store = store()
    run_store.rename(run_store.find(options.ref), options.name)
    return 0


def delete_run(options: Namespace) -> int:
    """Delete a run."""
    run_store = store()
    number = run_store.find(options.ref)
    run_store.delete(number)
    print_line(f"run {number} deleted")
    return 0
