"""``dtui bench run`` and ``clean``: measure without the app, and remove leftovers."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from tui.bench.cow_suite import QUICK, STANDARD, CowPlan, custom_cow
from tui.bench.findings import findings
from tui.bench.lock import benchmark_lock
from tui.bench.plan import IoTest, Mode, Plan, Preset, custom_plan, make_plan, parse_kb
from tui.bench.protocols import Target
from tui.bench.results import Result
from tui.bench.runner import BenchRun, remove_dead_runs, remove_leftovers
from tui.bench.store import Store
from tui.bench.tables import LEGEND, cold_warning, comparison_rows, cow_rows, host_words, mode_label, spread_words
from tui.cli.lookup import find_endpoints, open_finder
from tui.cli.output import print_json, print_line, print_note
from tui.core.errors import BenchError, NotReachable, UsageError
from tui.core.state import state_dir
from tui.core.text import count_of, human_size, printable
from tui.engine.endpoint import Endpoint
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.lab import engines
from tui.lab.engine_host import EngineBenchHost
from tui.services.bench_targets import engine_targets, lab_home, lab_targets

_CONFIRM_AFTER = 600
"""Seconds from which a run has to be confirmed with --yes."""


def run(options: Namespace) -> int:
    """Run or clean up; progress goes to standard error."""
    for line in engines.sweep_labs(lab_home()):
        print_note(printable(f"dtui: {line}"))
    return _clean(options) if options.what == "clean" else _run(options)


def _clean(options: Namespace) -> int:
    with open_finder(options) as finder:
        removed = [remove_leftovers(EngineBenchHost(e)) for e in finder.endpoints if isinstance(e, LiveEndpoint)]
    containers, images = (
        sum(container_count for container_count, _ in removed),
        sum(image_count for _, image_count in removed),
    )
    if options.json:
        print_json({"containers": containers, "images": images})
    else:
        print_line(f"removed {count_of(containers, 'container')} and {count_of(images, 'image')} of benchmarks")
    return 0


def _run(options: Namespace) -> int:
    plan = _plan(options)
    discovered = None
    try:
        targets: tuple[Target, ...]
        if options.driver:
            targets = lab_targets(options.driver, controls=options.controls)
        else:
            discovered = find_endpoints(options)
            targets = engine_targets(_live(discovered.endpoints, options.engine), controls=options.controls)
        cow = _cow(plan, options) if options.suite != "iozone" else None
        recorder = Store(state_dir("bench") / "runs.sqlite").record(options.name)
        bench_run = BenchRun(plan, targets, recorder, cow=cow, iozone=options.suite != "cow", scratch=lab_home())
        _announce(bench_run, options)
        with benchmark_lock(state_dir("bench")):
            result = _measure(bench_run)
    finally:
        if discovered:
            discovered.close()
    if options.json:
        print_json(result.as_json())
    else:
        if options.charts:
            draw_charts(result)
        show(result)
    if result.problem:
        raise BenchError(result.problem, "finished numbers are kept: dtui bench show last")
    return 0


def _live(endpoints: Iterable[Endpoint], engine_names: list[str]) -> list[LiveEndpoint]:
    live_endpoints = [e for e in endpoints if isinstance(e, LiveEndpoint)]
    if missing := [name for name in engine_names if name not in [e.name for e in live_endpoints]]:
        raise UsageError(
            f"there is no engine {missing[0]}", f"engines: {', '.join(e.name for e in live_endpoints) or 'none'}"
        )
    selected = [e for e in live_endpoints if not engine_names or e.name in engine_names]
    if not selected:
        raise NotReachable("a benchmark needs a running Engine", "start dockerd, or name storage drivers with --driver")
    for endpoint in selected:
        remove_dead_runs(EngineBenchHost(endpoint))
    return selected


def _plan(options: Namespace) -> Plan:
    if options.repeat is not None and not 1 <= options.repeat <= 100:
        raise UsageError("--repeat takes 1 to 100", "three are enough to show the spread")
    if not (options.size or options.record or options.test or options.mode):
        return make_plan(Preset(options.preset), options.repeat)
    base = make_plan(Preset.QUICK)
    return custom_plan(
        tuple(parse_kb(word) for word in options.size) or tuple(kb for kb, _ in base.rows),
        tuple(parse_kb(word) for word in options.record) or (base.rows[0][1],),
        tuple(IoTest(word) for word in options.test) or base.tests,
        tuple(Mode(word.upper()) for word in options.mode) or base.modes,
        options.repeat,
    )


def _cow(plan: Plan, options: Namespace) -> CowPlan:
    base = STANDARD if plan.preset is Preset.STANDARD else QUICK
    sizes = (parse_kb(word) for word in options.cow_size)
    return custom_cow(base, sizes, options.cow_depth, options.repeat)


def _announce(bench_run: BenchRun, options: Namespace) -> None:
    targets, space = count_of(len(bench_run.targets), "target"), human_size(bench_run.space)
    print_note(f"{targets}, about {_minutes(bench_run.seconds)}, needs {space} of free space")
    if bench_run.iozone and bench_run.plan.drops:
        print_note(cold_warning(bench_run.plan.drops * len(bench_run.targets)))
    if bench_run.seconds > _CONFIRM_AFTER and not options.yes:
        raise UsageError(f"this takes about {_minutes(bench_run.seconds)}", "confirm with --yes")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _measure(bench_run: BenchRun) -> Result:
    on_terminal = sys.stderr.isatty()
    last_phase = ""
    with _abortable(bench_run):
        for progress in bench_run:
            minutes_left = _minutes(progress.seconds_left)
            line = printable(f"{progress.done}/{progress.total} · {progress.phase} · {minutes_left} left")
            if on_terminal:
                print_note(f"\r\x1b[K{line}", end="")
            elif (phase_group := progress.phase.rpartition(" · ")[0] or progress.phase) != last_phase:
                print_note(line)
                last_phase = phase_group
    if on_terminal:
        print_note("")
    if bench_run.result is None:
        raise BenchError("the run ended without a result", "run it again")
    return bench_run.result


@contextmanager
def _abortable(bench_run: BenchRun) -> Iterator[None]:
    """Abort the run in an orderly way on SIGINT, SIGTERM and SIGHUP."""

    def abort(number: int, frame: FrameType | None) -> None:
        del number, frame
        threading.Thread(
            target=bench_run.abort, daemon=True
        ).start()  # aborting calls the Engine, and this thread may be in such a call

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    old_handlers = {number: signal.signal(number, abort) for number in numbers}
    try:
        yield
    finally:
        for number, handler in old_handlers.items():
            signal.signal(number, handler)


def show(result: Result) -> None:
    """Print a run: its settings, then a table per mode."""
    facts = result.facts
    when = f"{result.started:%Y-%m-%d %H:%M}"
    versions = f"iozone {facts.get('iozone', '?')} · Linux {facts.get('kernel', '?')}"
    print_line(printable(f"{result.name or result.plan.preset.value} · {when} · {versions}"))
    print_line(printable(f"  {host_words(result)}"))
    for name, target in result.targets.items():
        description = f"{target.get('driver', '')} on {target.get('backing') or '?'} · {target.get('engine', '')}"
        print_line(printable(f"  {name:<16} {description}" + (" · control" if target.get("control") else "")))
    if result.cow:
        print_line()
        print_line("copy-on-write, medians")
        _table(cow_rows(result))
    for mode in result.plan.modes if result.samples else ():
        print_line()
        print_line(printable(f"{mode_label(result, mode)} · GB/s, medians of {result.plan.repeats}, ratio to the host"))
        _table(comparison_rows(result, mode))
        print_line(spread_words(result, mode))
        print_line(LEGEND)
    if result.samples:
        print_line()
        for finding in findings(result):
            print_line(printable(f"{finding.claim}: {finding.outcome.value} ({finding.figures})"))
    for notice in result.notices:
        print_line(printable(f"note: {notice}"))


def draw_charts(result: Result) -> None:
    """Print the charts of each mode, as wide as the terminal."""
    from tui.render.chart_files import chart_text

    width = min(shutil.get_terminal_size().columns, 160)
    for mode in result.plan.modes:
        print_line(chart_text(result, mode, width, plain=not sys.stdout.isatty()))


def _table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print_line(printable("  ".join([row[0].ljust(widths[0]), *cells])))
