"""IOzone's text, whole, in pieces and broken."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.bench.charts import ChartStyle, chart, table
from tui.bench.iozone import Cell, Parser
from tui.bench.plan import TESTS, IoTest, Preset, make_plan
from tui.bench.results import Sample
from tui.bench.stats import summarise

FIXTURES = Path(__file__).parents[1] / "fixtures" / "iozone"
MULTI = (FIXTURES / "s-r4-multi.txt").read_bytes()


def parsed(data: bytes, tests: tuple[IoTest, ...] = TESTS) -> tuple[Parser, list[Cell]]:
    parser = Parser(tests)
    return parser, parser.feed(data)


def test_every_number_of_a_table_is_read() -> None:
    parser, cells = parsed(MULTI)
    assert (parser.version, parser.unit, parser.complete, parser.rows) == ("3.489", "kB/s", True, 4)
    assert len(cells) == 24
    assert cells[0] == Cell(4, 4, IoTest.WRITE, 401314)
    assert cells[-1] == Cell(16384, 4, IoTest.RANDOM_WRITE, 5261503)
    assert parser.failure(0, 4) == ""
    assert "Sizes 4 kBytes" in " ".join(parser.notices)


@given(st.lists(st.integers(min_value=1, max_value=len(MULTI)), max_size=200))
def test_chunks_may_split_anywhere(cuts: list[int]) -> None:
    places = sorted({0, *cuts, len(MULTI)})
    parser, cells = Parser(), []
    for start, end in itertools.pairwise(places):
        cells += parser.feed(MULTI[start:end])
    assert cells == parsed(MULTI)[1]
    assert parser.rows == 4


def test_cell_is_parsed_before_its_row_ends() -> None:
    end = MULTI.index(b" 4000000  4000000")
    _, cells = parsed(MULTI[: end + 1])
    assert [cell.test for cell in cells] == [IoTest.WRITE]


@given(st.binary(max_size=3000))
def test_garbage_is_reported_as_failure(data: bytes) -> None:
    parser, _ = parsed(MULTI[:1400] + data)
    assert parser.failure(0, 99)


@pytest.mark.parametrize(
    ("name", "tests", "values"),
    [
        ("v510-1-i02.txt", (IoTest.WRITE, IoTest.REWRITE, IoTest.RANDOM_READ, IoTest.RANDOM_WRITE), 4),
        ("w-i1.txt", (IoTest.READ, IoTest.REREAD), 2),
        ("badsize.txt", (IoTest.WRITE, IoTest.REWRITE), 0),
    ],
)
def test_values_belong_to_requested_tests(name: str, tests: tuple[IoTest, ...], values: int) -> None:
    _, cells = parsed((FIXTURES / name).read_bytes(), tests)
    assert [cell.test for cell in cells] == list(tests)[:values]


def test_interrupted_run_is_a_failure() -> None:
    parser, cells = parsed((FIXTURES / "interrupted-INT.txt").read_bytes())
    assert cells
    assert "before it had finished" in parser.failure(0, 145)


def test_a_full_disk_is_named() -> None:
    parser, _ = parsed((FIXTURES / "enospc.txt").read_bytes())
    assert "interrupted" in parser.failure(74, 145)


def test_another_unit_is_refused() -> None:
    parser, _ = parsed((FIXTURES / "s16m-r4-O.txt").read_bytes())
    assert "unit" in parser.failure(0, 1)


def test_article_command_gives_expected_rows() -> None:
    plan = make_plan(Preset.ARTICLE)
    parser, cells = parsed((FIXTURES / "host-article-4k-1g.txt").read_bytes())
    assert parser.failure(0, len(plan.rows)) == ""
    assert {(c.file_kb, c.record_kb) for c in cells} == set(plan.rows)
    assert plan.argv("/root/test.rar")[:12] == ("iozone", "-a", "-n", "4k", "-g", "1g", "-i", "0", "-i", "1", "-i", "2")


def test_chart_marks_too_short_medians() -> None:
    samples = [
        Sample(n, Cell(size, 64, IoTest.READ, value)) for n, value in enumerate((1, 5, 3)) for size in (64, 65536)
    ]
    fast = Sample(1, Cell(1024, 64, IoTest.READ, 50_000_000))
    summaries = summarise([*samples, fast])
    assert summaries[IoTest.READ, 64, 64].median == 3
    assert summaries[IoTest.READ, 64, 64].n == 3
    spec = chart(IoTest.READ, {"overlay2": summaries}, 64, ChartStyle(("overlay2",)))
    assert [x for x, _ in spec.series[0].points] == [6.0, 10.0, 16.0]
    assert [x for x, _ in spec.series[0].unsure] == [10.0]
    rows = table(summaries, 64)
    assert rows[2][3].startswith("~")
    assert rows[1][1] == "–"
