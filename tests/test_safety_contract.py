"""The safety contract: every promise and every case is held by a test that names it, and the document says which."""

from __future__ import annotations

from tests.support.cases import CASES
from tests.support.contract import DOCUMENT, holders, written
from tests.support.promises import PROMISES


def test_every_case_is_held_by_a_test() -> None:
    assert set(CASES) == set(range(1, 41))
    assert set(holders("case")) == set(CASES)


def test_every_promise_is_held_by_a_test() -> None:
    assert set(holders("promise")) == set(PROMISES)


def test_promises_are_sorted_sentences() -> None:
    assert list(PROMISES) == sorted(PROMISES)
    assert all(sentence.endswith(".") for sentence in PROMISES.values())


def test_contract_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == written(), "python -m tests.support.contract writes it"
