"""Write docs/safety-contract.md from the markers of the tests.

``python -m tests.support.contract`` writes it; ``--check`` exits with 1 if it is out of date.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.support.cases import CASES
from tests.support.promises import PROMISES

TESTS = Path(__file__).parents[1]
DOCUMENT = TESTS.parent / "docs" / "safety-contract.md"

_HEAD = """# Safety contract

What dtui promises about the files, the host and the text of whoever uses it, with the tests that hold each promise.
This page is made from the tests' markers by `python -m tests.support.contract`; CI compares them.

A test carries `@pytest.mark.promise("id")` for a promise, whose sentence is in `tests/support/promises.py`, and
`@pytest.mark.case(number)` for one of the forty cases in `tests/support/cases.py`.
"""

Holders = dict[str | int, list[str]]


def holders(marker: str) -> Holders:
    """Return, for each argument of a marker, the tests that carry it as ``path::name``."""
    held: Holders = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        tree = ast.parse(path.read_text())
        named = {
            ast.unparse(target): list(_arguments(node, marker))
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
        }
        everywhere = named.get("pytestmark", [])
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                own = [
                    mark
                    for decorator in node.decorator_list
                    for mark in (*_arguments(decorator, marker), *named.get(ast.unparse(decorator), []))
                ]
                for mark in dict.fromkeys([*own, *everywhere]):
                    held[mark].append(f"{path.relative_to(TESTS.parent)}::{node.name}")
    return held


def _arguments(node: ast.AST, marker: str) -> Iterator[str | int]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == f"pytest.mark.{marker}":
            yield from (argument.value for argument in call.args if isinstance(argument, ast.Constant))


def written() -> str:
    """Return the document for the current markers."""
    lines = [_HEAD, "## Promises", ""]
    promised, cases = holders("promise"), holders("case")
    for promise, sentence in sorted(PROMISES.items()):
        lines += [f"### {promise}", "", sentence, "", *_listed(promised[promise])]
    lines += ["## The forty cases", ""]
    for number, sentence in CASES.items():
        lines += [f"### {number}. {sentence}", "", *_listed(cases[number])]
    return "\n".join(lines).rstrip("\n") + "\n"


def _listed(tests: list[str]) -> list[str]:
    return [*(f"- `{test}`" for test in tests), ""]


def main(arguments: list[str]) -> int:
    document = written()
    if "--check" not in arguments:
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(document)
        return 0
    if DOCUMENT.exists() and DOCUMENT.read_text() == document:
        return 0
    print(f"{DOCUMENT} is out of date: python -m tests.support.contract writes it", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
