"""What dtui promises about safety, one sentence a promise; the tests that hold one carry its id as a marker."""

from __future__ import annotations

PROMISES: dict[str, str] = {
    "held-key-never-answers": "Neither Enter nor the key that asked answers a question; y confirms it.",
    "ids-checked-at-border": "An id of a container or layer is checked where it comes in, before it can name a file.",
    "log-search-whole": "A search in the log covers the whole log, or says which part of it was searched.",
}
