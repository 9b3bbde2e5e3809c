"""What dtui promises about safety, one sentence a promise; the tests that hold one carry its id as a marker."""

from __future__ import annotations

PROMISES: dict[str, str] = {}
