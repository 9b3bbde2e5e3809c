"""Wait for file descriptors of any number."""

from __future__ import annotations

import select


def is_readable(fd: int, seconds: float = 0) -> bool:
    """Wait at most ``seconds`` for a read not to block or the peer to hang up, and return whether it happened.

    Uses poll(2), because select(2) cannot take descriptors above 1023.
    """
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(max(0, seconds) * 1000))
