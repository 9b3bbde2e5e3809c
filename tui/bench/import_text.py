"""Turn IOzone's text output from another host into a run, for comparison with this one."""

from __future__ import annotations

from datetime import UTC, datetime

from tui.bench.iozone import Parser
from tui.bench.plan import MODE_OPTIONS, TESTS, IoTest, Mode, Plan, Preset, Trial
from tui.bench.results import Output, Result, Sample
from tui.core.errors import BenchError


def parse_iozone_run(data: bytes, target: str, name: str) -> Result:
    """Return a run of one repeat; raises BenchError if the text is not an IOzone table in kB/s.

    The command line that IOzone prints tells which tests the columns are.
    """
    text = data.decode("ascii", "replace")
    argv = _command(text)
    parser = Parser(_tests(argv))
    cells = parser.feed(data if data.endswith(b"\n") else data + b"\n")
    if parser.unit != "kB/s" or not cells:
        raise BenchError("this is not IOzone output in kB/s", "save the text that iozone prints on standard output")
    mode = _mode(argv)
    rows = tuple(dict.fromkeys((cell.file_kb, cell.record_kb) for cell in cells))
    plan = Plan(Preset.CUSTOM, tuple(argv[1:]), rows, 1, (mode,), parser.tests)
    problem = "" if parser.complete else "IOzone did not finish"
    return Result(
        plan=plan,
        started=datetime.now(UTC),
        facts={"iozone": parser.version, "imported": "yes"},
        targets={target: {"driver": target, "backing": "", "engine": "another host"}},
        samples=tuple(Sample(1, cell, target, mode) for cell in cells),
        outputs=(Output(Trial(1, target, mode), tuple(argv), text, 0.0, problem),),
        problem=problem,
        notices=tuple(parser.notices),
        name=name,
    )


def _command(text: str) -> list[str]:
    for line in text.splitlines():
        if "Command line used:" in line:
            return line.partition("Command line used:")[2].split()
    return ["iozone"]


def _tests(argv: list[str]) -> tuple[IoTest, ...]:
    requested = {argv[index + 1] for index, word in enumerate(argv[:-1]) if word == "-i"}
    requested |= {word[2:] for word in argv if word.startswith("-i") and len(word) > 2}
    families = {"0": TESTS[0:2], "1": TESTS[2:4], "2": TESTS[4:6]}
    if unknown := requested - families.keys():
        raise BenchError(f"IOzone's test {min(unknown)} is not supported", "dtui supports -i 0, -i 1 and -i 2")
    return tuple(test for number in sorted(requested) for test in families[number]) or TESTS


def _mode(argv: list[str]) -> Mode:
    if "-I" in argv:
        return Mode.DIRECT
    return Mode.FLUSHED if set(MODE_OPTIONS[Mode.FLUSHED]) & set(argv) else Mode.CACHED
