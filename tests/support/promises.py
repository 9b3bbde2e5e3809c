"""What dtui promises about safety, one sentence a promise; the tests that hold one carry its id as a marker."""

from __future__ import annotations

PROMISES: dict[str, str] = {
    "held-key-never-answers": "Neither Enter nor the key that asked answers a question; y confirms it.",
    "ids-checked-at-border": "An id of a container or layer is checked where it comes in, before it can name a file.",
    "log-search-whole": "A search in the log covers the whole log, or says which part of it was searched.",
    "state-directory-private": "What dtui keeps lies in one absolute directory that only its user can change.",
    "undo-order-is-a-counter": "Changes are ordered by a counter that only grows, never by the clock.",
    "wait-for-the-lock": "With --wait a change waits for the one that another dtui makes in the same container.",
}
