"""The forty cases of the safety contract."""

from __future__ import annotations

import ast
from pathlib import Path


def test_each_of_the_forty_cases_is_proven_by_a_test_that_names_it() -> None:
    named: set[int] = set()
    for path in Path(__file__).parents[1].rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.case":
                named |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    assert named == set(range(1, 41))
