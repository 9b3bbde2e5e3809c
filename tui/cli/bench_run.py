"""``dtui bench``: IOzone on storage drivers, without the screen."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from tui.bench.contract import Target
from tui.bench.cow_suite import QUICK, STANDARD, CowPlan, custom_cow
from tui.bench.findings import findings
from tui.bench.lock import only_one
from tui.bench.plan import IoTest, Mode, Plan, Preset, custom_plan, kilobytes, make_plan
from tui.bench.results import Result
from tui.bench.runner import BenchRun, remove_leftovers, sweep_runs
from tui.bench.store import Store
from tui.bench.tables import LEGEND, cold_warning, comparison_rows, cow_rows, host_words, label_of, spread_words
from tui.cli.output import note, put_json, say
from tui.cli.session import discovery, session
from tui.core.errors import BenchError, NotReachable, UsageError
from tui.core.state import state_dir
from tui.core.text import count_of, human_size, printable
from tui.engine.endpoint import Endpoint
from tui.engine.live.endpoint import LiveEndpoint
from tui.lab import engines
from tui.lab.engine_host import EngineBenchHost
from tui.services.bench_targets import engine_targets, lab_home, lab_targets

_LONG = 600
"""Seconds from which a run has to be asked for by --yes."""


def run(options: Namespace) -> int:
    """Run, or clean up; progress goes to standard error."""
    for line in engines.sweep_labs(lab_home()):
        note(printable(f"dtui: {line}"))
    return _clean(options) if options.what == "clean" else _run(options)


def _clean(options: Namespace) -> int:
    with session(options) as open_session:
        removed = [remove_leftovers(EngineBenchHost(e)) for e in open_session.endpoints if isinstance(e, LiveEndpoint)]
    containers, images = (
        sum(container_count for container_count, _ in removed),
        sum(image_count for _, image_count in removed),
    )
    if options.json:
        put_json({"containers": containers, "images": images})
    else:
        say(f"removed {count_of(containers, 'container')} and {count_of(images, 'image')} of benchmarks")
    return 0


def _run(options: Namespace) -> int:
    plan = _plan(options)
    discovered = None
    try:
        targets: tuple[Target, ...]
        if options.driver:
            targets = lab_targets(options.driver, controls=options.controls)
        else:
            discovered = discovery(options)
            targets = engine_targets(_live(discovered.endpoints, options.engine), controls=options.controls)
        cow = _cow(plan, options) if options.suite != "iozone" else None
        recorder = Store(state_dir("bench") / "runs.sqlite").record(options.name)
        work = BenchRun(plan, targets, recorder, cow=cow, iozone=options.suite != "cow", scratch=lab_home())
        _ask_first(work, options)
        with only_one(state_dir("bench")):
            result = _measure(work)
    finally:
        if discovered:
            discovered.close()
    if options.json:
        put_json(result.as_json())
    else:
        if options.charts:
            draw_charts(result)
        show(result)
    if result.problem:
        raise BenchError(result.problem, "the numbers that were finished are kept: dtui bench show last")
    return 0


def _live(endpoints: Iterable[Endpoint], engine_names: list[str]) -> list[LiveEndpoint]:
    live_endpoints = [e for e in endpoints if isinstance(e, LiveEndpoint)]
    if missing := [name for name in engine_names if name not in [e.name for e in live_endpoints]]:
        raise UsageError(
            f"there is no engine {missing[0]}", f"there are {', '.join(e.name for e in live_endpoints) or 'none'}"
        )
    chosen = [e for e in live_endpoints if not engine_names or e.name in engine_names]
    if not chosen:
        raise NotReachable("a benchmark needs a running Engine", "start dockerd, or name storage drivers with --driver")
    for endpoint in chosen:
        sweep_runs(EngineBenchHost(endpoint))
    return chosen


def _plan(options: Namespace) -> Plan:
    if options.repeat is not None and not 1 <= options.repeat <= 100:
        raise UsageError("--repeat takes 1 to 100", "three are enough to see the spread")
    if not (options.size or options.record or options.test or options.mode):
        return make_plan(Preset(options.preset), options.repeat)
    base = make_plan(Preset.QUICK)
    return custom_plan(
        tuple(kilobytes(word) for word in options.size) or tuple(kb for kb, _ in base.rows),
        tuple(kilobytes(word) for word in options.record) or (base.rows[0][1],),
        tuple(IoTest(word) for word in options.test) or base.tests,
        tuple(Mode(word.upper()) for word in options.mode) or base.modes,
        options.repeat,
    )


def _cow(plan: Plan, options: Namespace) -> CowPlan:
    base = STANDARD if plan.preset is Preset.STANDARD else QUICK
    sizes = (kilobytes(word) for word in options.cow_size)
    return custom_cow(base, sizes, options.cow_depth, options.repeat)


def _ask_first(work: BenchRun, options: Namespace) -> None:
    targets, space = count_of(len(work.targets), "target"), human_size(work.space)
    note(f"{targets}, about {_minutes(work.seconds)}, {space} free are needed")
    if work.iozone and work.plan.drops:
        note(cold_warning(work.plan.drops * len(work.targets)))
    if work.seconds > _LONG and not options.yes:
        raise UsageError(f"this takes about {_minutes(work.seconds)}", "--yes runs it all the same")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _measure(work: BenchRun) -> Result:
    live = sys.stderr.isatty()
    last = ""
    with _abortable(work):
        for progress in work:
            minutes_left = _minutes(progress.seconds_left)
            line = printable(f"{progress.done}/{progress.total} · {progress.phase} · {minutes_left} left")
            if live:
                note(f"\r\x1b[K{line}", end="")
            elif (phase_group := progress.phase.rpartition(" · ")[0] or progress.phase) != last:
                note(line)
                last = phase_group
    if live:
        note("")
    if work.result is None:
        raise BenchError("the run ended without a result", "run it again")
    return work.result


@contextmanager
def _abortable(work: BenchRun) -> Iterator[None]:
    """End a run in order at an interrupt, a request to end, and when the line drops."""

    def abort(number: int, frame: FrameType | None) -> None:
        del number, frame
        threading.Thread(target=work.abort, daemon=True).start()  # it asks the Engine, which this thread may be doing

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, abort) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def show(result: Result) -> None:
    """Print a run: what it was made with, then a table a mode."""
    facts = result.facts
    when = f"{result.started:%Y-%m-%d %H:%M}"
    versions = f"iozone {facts.get('iozone', '?')} · Linux {facts.get('kernel', '?')}"
    say(printable(f"{result.name or result.plan.preset.value} · {when} · {versions}"))
    say(printable(f"  {host_words(result)}"))
    for name, target in result.targets.items():
        description = f"{target.get('driver', '')} on {target.get('backing') or '?'} · {target.get('engine', '')}"
        say(printable(f"  {name:<16} {description}" + (" · control" if target.get("control") else "")))
    if result.cow:
        say()
        say("copy-on-write, medians")
        _table(cow_rows(result))
    for mode in result.plan.modes if result.samples else ():
        say()
        say(printable(f"{label_of(result, mode)} · GB/s, medians of {result.plan.repeats}, ratio to the host"))
        _table(comparison_rows(result, mode))
        say(spread_words(result, mode))
        say(LEGEND)
    if result.samples:
        say()
        for finding in findings(result):
            say(printable(f"{finding.claim}: {finding.outcome.value} ({finding.figures})"))
    for notice in result.notices:
        say(printable(f"note: {notice}"))


def draw_charts(result: Result) -> None:
    """Print the charts of each mode as wide as the terminal."""
    from tui.render.chart_files import chart_text

    width = min(shutil.get_terminal_size().columns, 160)
    for mode in result.plan.modes:
        say(chart_text(result, mode, width, plain=not sys.stdout.isatty()))


def _table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        say(printable("  ".join([row[0].ljust(widths[0]), *cells])))
