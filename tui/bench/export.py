"""A run as CSV, JSON or a workbook."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator

from tui.bench.results import Result
from tui.core.errors import BenchError

_TITLES = ("target", "repeat", "mode", "test", "file_kb", "record_kb", "layers", "value", "unit", "too_short")


def _rows(result: Result) -> Iterator[tuple[object, ...]]:
    """Yield a row per number: IOzone's, then those of the copy-on-write suite, which have neither mode nor record."""
    for sample in result.samples:
        cell = sample.cell
        size = (cell.file_kb, cell.record_kb, "")
        yield (
            sample.target,
            sample.repeat,
            sample.mode.value,
            cell.test.value,
            *size,
            cell.kb_per_s,
            "kB/s",
            int(cell.unsure),
        )
    for cow_sample in result.cow:
        axis = (
            cow_sample.x if cow_sample.test.axis == "file" else "",
            "",
            cow_sample.x if cow_sample.test.axis == "layers" else "",
        )
        yield (
            cow_sample.target,
            cow_sample.repeat,
            "",
            cow_sample.test.title,
            *axis,
            cow_sample.value,
            cow_sample.test.unit,
            0,
        )


def as_csv(result: Result) -> bytes:
    """Return every sample as a CSV row, after a row of titles."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(_TITLES)
    writer.writerows(_rows(result))
    return out.getvalue().encode()


def as_json(result: Result) -> bytes:
    """Return the whole run including the host's facts."""
    return json.dumps(result.as_json(), indent=2).encode()


def as_xlsx(result: Result) -> bytes:
    """Return a workbook with the samples and the facts; raises BenchError without xlsxwriter."""
    try:
        import xlsxwriter
    except ImportError as error:
        raise BenchError("xlsxwriter is not installed", "pip install 'dtui[xlsx]'") from error
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False}) as book:
        sheet = book.add_worksheet("samples")
        for number, row in enumerate([_TITLES, *_rows(result)]):
            sheet.write_row(number, 0, row)
        sheet.autofilter(0, 0, len(result.samples) + len(result.cow), len(_TITLES) - 1)
        facts = book.add_worksheet("facts")
        pairs = [*result.facts.items()]
        for target, target_facts in result.targets.items():
            pairs += [(f"{target}: {name}", value) for name, value in target_facts.items()]
        for number, pair in enumerate(pairs):
            facts.write_row(number, 0, pair)
    return out.getvalue()


WRITERS: dict[str, Callable[[Result], bytes]] = {"csv": as_csv, "json": as_json, "xlsx": as_xlsx}
"""The function that writes each format."""
