"""Several endpoints asked at once."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest

from tui.cli import ask_endpoints
from tui.cli.lookup import ContainerFinder
from tui.core.errors import DtuiError, EngineLost
from tui.engine.endpoint import Endpoint


class Answering:
    """An endpoint that lists what it was given, raises it, or waits for ever."""

    def __init__(self, name: str, answer: Any) -> None:
        self.name = name
        self._answer = answer

    def snapshot(self) -> Any:
        if isinstance(self._answer, threading.Event):
            self._answer.wait()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def session(*answers: Any) -> ContainerFinder:
    return ContainerFinder(tuple(cast("Endpoint", Answering(str(number), one)) for number, one in enumerate(answers)))


@pytest.mark.parametrize("others", [(), ((),)], ids=["alone", "beside another"])
def test_unexpected_error_is_raised_not_hung(others: tuple[Any, ...]) -> None:
    with pytest.raises(ZeroDivisionError):
        session(ZeroDivisionError("none of ours"), *others).listing()


def test_failed_endpoint_hides_no_other() -> None:
    listing = session(("row",), DtuiError("it is ill")).listing()
    assert listing.containers == ("row",)
    assert [(name, str(error)) for name, error in listing.failures] == [("1", "it is ill")]


def test_silent_endpoint_gets_limited_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ask_endpoints, "OTHERS_TIMEOUT", 0.05)
    never = threading.Event()
    listing = session(("row",), never).listing()
    never.set()
    assert listing.containers == ("row",)
    ((name, error),) = listing.failures
    assert name == "1"
    assert isinstance(error, EngineLost)
    assert "of the first" in str(error)
