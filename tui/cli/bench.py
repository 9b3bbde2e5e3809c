"""``dtui bench``: IOzone on an engine's storage driver, without the screen."""

from __future__ import annotations

import sys
from argparse import Namespace

from tui.bench.charts import shown_record, table
from tui.bench.plan import Preset, make_plan
from tui.bench.runner import Result, Run, clean, sweep
from tui.bench.stats import summarise
from tui.cli.session import Session, note, put_json, say, session
from tui.core.errors import BenchError, NotReachable, UsageError
from tui.core.text import count_of, printable
from tui.engine.live import LiveEndpoint
from tui.engine.workshop import EngineWorkshop


def run(options: Namespace) -> int:
    """Run or clean up; progress goes to standard error."""
    with session(options) as open_session:
        endpoints = _live(open_session)
        if options.what == "clean":
            return _clean(endpoints, options)
        wanted = [e for e in endpoints if not options.driver or e.facts().driver.name in options.driver]
        if not wanted:
            raise NotReachable(f"no engine here runs {', '.join(options.driver)}", "dtui doctor tells what they run")
        if options.repeat is not None and not 1 <= options.repeat <= 100:
            raise UsageError("--repeat takes 1 to 100", "three are enough to see the spread")
        results = [_one(endpoint, options) for endpoint in wanted]
    if options.json:
        put_json([result.as_json() for result in results])
    else:
        for result in results:
            _print(result)
    problems = [result.problem for result in results if result.problem]
    if problems:
        raise BenchError(problems[0], "the numbers that were finished are shown")
    return 0


def _live(open_session: Session) -> list[LiveEndpoint]:
    found = [e for e in open_session.endpoints if isinstance(e, LiveEndpoint)]
    if not found:
        raise NotReachable("a benchmark needs a running Engine", "start dockerd; a data-root alone cannot run anything")
    return found


def _clean(endpoints: list[LiveEndpoint], options: Namespace) -> int:
    containers = images = 0
    for endpoint in endpoints:
        more = clean(EngineWorkshop(endpoint))
        containers, images = containers + more[0], images + more[1]
    if options.json:
        put_json({"containers": containers, "images": images})
    else:
        say(f"removed {count_of(containers, 'container')} and {count_of(images, 'image')} of benchmarks")
    return 0


def _one(endpoint: LiveEndpoint, options: Namespace) -> Result:
    workshop = EngineWorkshop(endpoint)
    sweep(workshop)
    work = Run(make_plan(Preset(options.preset), options.repeat), workshop)
    live = sys.stderr.isatty()
    try:
        for progress in work:
            left = f" · {progress.seconds_left:.0f} s left" if progress.seconds_left is not None else ""
            line = f"{endpoint.name}: {progress.done}/{progress.total} · {progress.phase}{left}"
            if live:
                sys.stderr.write(f"\r\x1b[K{printable(line)}")
                sys.stderr.flush()
            elif progress.sample is None or progress.done % 24 == 0:
                note(printable(line))
    finally:
        if live:
            sys.stderr.write("\n")
    if work.result is None:
        raise BenchError("the run ended without a result", "run it again")
    return work.result


def _print(result: Result) -> None:
    facts = result.facts
    say(
        printable(
            f"{facts.get('endpoint', '?')} · {facts.get('engine', '')} · {facts.get('driver', '')} on "
            f"{facts.get('backing') or '?'} · iozone {facts.get('iozone', '?')} · CACHED · GB/s, medians"
        )
    )
    summaries = summarise(result.samples)
    rows = table(summaries, shown_record(summaries))
    say(f"{shown_record(summaries)} KiB records; ~ is too short to compare (under 100 µs)")
    for row in rows:
        say("  ".join(cell.rjust(12) for cell in row))
