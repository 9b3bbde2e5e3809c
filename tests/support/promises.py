"""What dtui promises about safety, one sentence a promise; the tests that hold one carry its id as a marker."""

from __future__ import annotations

PROMISES: dict[str, str] = {
    "answer-about-what-was-asked": "An answer about another container than the one asked for is an error.",
    "backups-purge": "dtui backups purge deletes what is kept for good, and never what a crash still needs.",
    "every-write-leaves-a-record": "Every way of writing leaves a record that undo takes back, the archive API of an engine too.",
    "held-key-never-answers": "Neither Enter nor the key that asked answers a question; y confirms it.",
    "ids-checked-at-border": "An id of a container or layer is checked where it comes in, before it can name a file.",
    "image-bytes-need-no-copy": "What only the image has is deleted without a copy, and comes back from the image.",
    "killed-anywhere-old-or-new": "A change, an undo or a recovery that is killed leaves the old or the new state.",
    "limit-asked-before": "A change beyond the backup limit is asked about, with its size, before anything is changed.",
    "log-search-whole": "A search in the log covers the whole log, or says which part of it was searched.",
    "one-contract-for-all-files": "Every implementation does the same changes with the same results, or refuses them with a reason.",
    "options-honoured-or-refused": "Each option of a change is honoured by every implementation, or refused in one line.",
    "progress-in-bytes": "What copies shows bytes, percent and time left, within one file too, and can be stopped until it changes things.",
    "set-aside-by-rename": "What is set aside is moved by a rename, killed anywhere it is in the one place or the other, and undo moves it back.",
    "size-refused-early": "What is too large to write is refused as soon as that is known, with little memory used.",
    "state-directory-private": "What dtui keeps lies in one absolute directory that only its user can change.",
    "trust-layer-record": "A layer is opened only where the Engine's own records on this host name it for that container.",
    "trust-mount-namespace": "An Engine in another mount or user namespace is believed only where its directories are proven to be ours.",
    "trust-owner": "A data-root and its records are believed only if they belong to the user who runs the Engine.",
    "trust-peer": "An Engine is believed about this host only if the kernel says that root, or we ourselves, listen at its socket.",
    "trust-remote-paths": "No path and no process that an unproven or remote Engine names is opened, looked at or used on this host.",
    "trust-shown": "Whether an Engine and a container are proven, unproven or remote, and why, is shown.",
    "undo-found-after-removal": "What is kept is found by name and id after its container is gone, and goes to no other container.",
    "undo-order-is-a-counter": "Changes are ordered by a counter that only grows, never by the clock.",
    "undo-without-room": "An undo goes without a copy when asked, for which a full disk of dtui's state has room.",
    "wait-for-the-lock": "With --wait a change waits for the one that another dtui makes in the same container.",
}
