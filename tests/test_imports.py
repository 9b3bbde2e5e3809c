"""The layers: contracts on the import graph, and what a process really loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("textual", "rich", "plotext", "docker", "requests")


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint()\nprint(*(m for m in {HEAVY!r} if m in sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(result.stdout.splitlines()[-1].split())


def test_imports_point_down() -> None:
    result = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("package", ["core", "linux", "drivers", "layers", "inventory", "files", "bench"])
def test_headless_package_loads_no_ui_or_sdk(package: str) -> None:
    paths = sorted((ROOT / "tui" / package).rglob("*.py"))
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    assert len(modules) > 1
    assert loaded_by("\n".join(f"import {module}" for module in modules)) == set()


def test_a_data_root_is_read_without_the_sdk() -> None:
    assert loaded_by("import tui.engine.at_rest.docker, tui.services.discover, tui.services.resolve") == set()


def test_cli_parser_loads_no_ui_or_sdk() -> None:
    assert loaded_by("import tui.cli.parser; tui.cli.parser.parse(['ls'])") == set()


def test_verb_on_sample_loads_no_ui_or_sdk() -> None:
    assert loaded_by("import tui.cli; tui.cli.main(['demo', 'ls'])") & {"textual", "plotext", "docker"} == set()
