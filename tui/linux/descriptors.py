"""Waiting for descriptors of any number."""

from __future__ import annotations

import select


def is_readable(fd: int, seconds: float = 0) -> bool:
    """Wait until a read would not block, or the peer hung up, for at most ``seconds``; say whether that happened.

    poll(2), for select(2) takes no descriptor over 1,023.
    """
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(max(0, seconds) * 1000))
