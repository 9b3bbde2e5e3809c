"""Documents name files that exist, so that a newcomer never follows a path to nowhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("CONTRIBUTING.md", "docs/ARCHITECTURE.md", "docs/GLOSSARY.md", "README.md")
PATH = re.compile(r"`((?:[\w.]+/)+[\w.]*)`")
OUTSIDE = ("diff/", "snapshots/", "ENDPOINT/")
"""No paths of this repository."""


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_in_documents_exist(document: str) -> None:
    names = {name for name in PATH.findall((ROOT / document).read_text()) if not name.startswith(OUTSIDE)}
    missing = sorted(name for name in names if not any((top / name).exists() for top in (ROOT, ROOT / "tui")))
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_in_documents_lead_somewhere(document: str) -> None:
    path = ROOT / document
    links = {link for link in re.findall(r"\]\(([^)#]+)\)", path.read_text()) if "://" not in link}
    assert sorted(link for link in links if not (path.parent / link).exists()) == []
