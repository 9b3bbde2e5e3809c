"""Generates the README's table of storage drivers from the results of the tests.

``python -m tests.support.matrix CELLS`` writes the rows of a test run into the README and keeps the others;
``--check`` changes nothing and exits with 1 if the README's rows differ from those of the run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- made by tests.support.matrix -->", "<!-- end -->"
COLUMNS = ("list", "tree", "changes", "edit stopped", "edit running", "revert", "offline")
YES, NO = "yes", "–"

Rows = dict[str, list[str]]
"""The cells of each storage driver: the engine, then one for each column."""


def rows_of(lines: Iterable[str]) -> Rows:
    """Summarise the outcomes of a run; a cell is "yes" if at least one test passed and none failed."""
    outcomes: dict[str, dict[str, bool]] = {}
    engines: dict[str, str] = {}
    for line in lines:
        cell = json.loads(line)
        engines[cell["row"]] = cell["engine"]
        row = outcomes.setdefault(cell["row"], {})
        row[cell["column"]] = row.get(cell["column"], True) and cell["passed"]
    return {name: [engines[name], *(YES if row.get(c) else NO for c in COLUMNS)] for name, row in outcomes.items()}


def rows_in(readme: str) -> Rows:
    """Return the rows of the README's table."""
    table = readme.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {row[0]: row[1:] for row in cells}


def written(readme: str, rows: Rows) -> str:
    """Return the README with these rows as its table."""
    head = ("driver", "proven on", *COLUMNS)
    lines = [head, ("---",) * len(head), *((name, *cells) for name, cells in rows.items())]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    before, _, rest = readme.partition(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}"


def main(words: list[str]) -> int:
    measured = rows_of(Path(words[-1]).read_text().splitlines())
    readme = README.read_text()
    told = rows_in(readme)
    if "--check" in words:
        # the engine's version depends on the machine, so it is not compared
        wrong = [name for name, cells in measured.items() if told.get(name, [""])[1:] != cells[1:]]
        for name in wrong:
            print(f"README says of {name}: {told.get(name)}, the tests: {measured[name]}")
        return 1 if wrong else 0
    README.write_text(written(readme, told | measured))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
