"""Text that is safe to show."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.core.text import human_age, human_size, mode_text, printable, time_text
from tui.engine.live.sdk import innermost


@given(st.text() | st.binary())
def test_printable_leaves_no_control_codes(value: str | bytes) -> None:
    shown = printable(value)
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Co", "Zl", "Zp") for c in shown)
    assert not set(shown) & set("\u034f\u115f\u1160\u3164\uffa0\ufe0f\ufffe\U000e0100\U0001ffff")
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200e\u200f\ufeff")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"\x1b]52;c;aGk=\x07", "\\e]52;c;aGk=\\x07"),
        (b"a\nb\tc\r", "a\\nb\\tc\\r"),
        (b"\xff", "\\xff"),
        ("a\u202egnp.exe", "a\\u202egnp.exe"),
        ("żółć 😀", "żółć 😀"),
        ("\u0600\u115f\u034f\ufe0f\ufdd0", "\\u0600\\u115f\\u034f\\ufe0f\\ufdd0"),
        ("\U000110bd\U0001d173\U000e0041", "\\U000110bd\\U0001d173\\U000e0041"),
    ],
)
def test_escapes_are_readable(value: str | bytes, shown: str) -> None:
    assert printable(value) == shown


@pytest.mark.parametrize(
    ("size", "shown"),
    [(None, "—"), (0, "0 B"), (999, "999 B"), (18_200, "18.2 kB"), (999_960, "1.0 MB"), (2_100_000_000, "2.1 GB")],
)
def test_sizes_match_docker_format(size: int | None, shown: str) -> None:
    assert human_size(size) == shown


def test_ages_use_their_largest_unit() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert [human_age(now - timedelta(seconds=s), now) for s in (-5, 3, 120, 7200, 86400 * 3)] == [
        "now", "3 s", "2 min", "2 h", "3 d",
    ]  # fmt: skip


def test_modes_are_written_as_ls_writes_them() -> None:
    assert mode_text(0o6755) == "rwsr-sr-x"


@pytest.mark.parametrize(
    ("told", "cause"),
    [
        (
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container "
            'process: exec: "/nope": stat /nope: no such file or directory: unknown',
            'exec: "/nope": stat /nope: no such file or directory',
        ),
        (
            "failed to create task for container: failed to create shim task: OCI runtime create failed: "
            "container_linux.go:380: starting container process caused: exec: permission denied: unknown",
            "exec: permission denied",
        ),
        (
            "Bind for 0.0.0.0:80 failed: port is already allocated",
            "Bind for 0.0.0.0:80 failed: port is already allocated",
        ),
    ],
)
def test_engine_refusal_is_cut_to_its_cause(told: str, cause: str) -> None:
    assert innermost(told) == cause


@pytest.mark.parametrize("seconds", [-(10**12), 10**12, 2**62, -(2**62)])
def test_time_beyond_the_calendar_is_a_dash(seconds: int) -> None:
    assert time_text(seconds * 10**9) == "—"


def test_time_is_shown_in_utc() -> None:
    assert time_text(1_700_000_000 * 10**9) == "2023-11-14 22:13:20 UTC"
