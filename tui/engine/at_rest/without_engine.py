"""What all endpoints without an Engine share: no events, no commands, logs that cannot be followed."""

from __future__ import annotations

import json
import os
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from tui.core.errors import DtuiError, NotReachable
from tui.core.records import Container, Details, EngineFacts, Event, Proof, Trust
from tui.drivers.data_root import DataRoot, data_root_error
from tui.engine.endpoint import LogLine, Verb
from tui.engine.live import parse

_LOG_BYTES = 8 << 20
"""Bytes to read from the end of a log."""

_LINE_BYTES = 1 << 20
"""Longest line of a log in bytes; Docker splits lines at 16 KiB."""


ON_DISK = Proof(Trust.PROVEN, "a directory of this host, read without its Engine")


class NoEvents:
    """An event stream that never yields anything."""

    def __init__(self, closed: threading.Event) -> None:
        self._closed = closed
        self.on_skipped: Callable[[], object] = lambda: None

    def __iter__(self) -> Iterator[Event]:
        self._closed.wait()
        return iter(())

    def close(self) -> None:
        """End the wait."""
        self._closed.set()


class FileLog:
    """A log file on disk: its last ``tail`` lines, or all for None. Subclasses know the format of a line."""

    def __init__(self, root: DataRoot, name: str, tail: int | None) -> None:
        self._root = root
        self._name = name
        self._tail = tail

    def __iter__(self) -> Iterator[LogLine]:
        try:
            with self._root.open_file(self._name) as file:
                if self._tail is None:
                    for raw in iter(lambda: file.readline(_LINE_BYTES), b""):
                        if line := self.parse(raw.rstrip(b"\n")):
                            yield line
                    return
                start = max(0, os.fstat(file.fileno()).st_size - _LOG_BYTES)
                file.seek(start)
                lines = deque(file.read(_LOG_BYTES).split(b"\n"), maxlen=self._tail + 1)
        except FileNotFoundError:
            return
        except OSError as error:
            raise data_root_error(self._root.display_path(self._name), error) from error
        for raw in filter(None, lines):
            line = self.parse(raw)
            if line:
                yield line

    @abstractmethod
    def parse(self, raw: bytes) -> LogLine | None:
        """Parse a line; None if it is cut off, by the limit at the start or by a crash at the end."""

    def close(self) -> None:
        """Nothing to end."""


class JsonLog(FileLog):
    """Docker's json-file log."""

    def parse(self, raw: bytes) -> LogLine | None:
        try:
            body = json.loads(raw)
            text = os.fsencode(str(body["log"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        return LogLine(text.rstrip(b"\n"), parse.parse_time(body.get("time")), body.get("stream") == "stderr")


class K8sLog(FileLog):
    """podman's k8s-file log: time, stream, F or P, then the text."""

    def parse(self, raw: bytes) -> LogLine | None:
        parts = raw.split(b" ", 3)
        if len(parts) < 4:
            return None
        time = parse.parse_time(parts[0].decode("ascii", "replace"))
        return LogLine(parts[3], time, parts[1] == b"stderr")


class UnreadableRoot:
    """A data-root that was named but cannot be opened, listed next to others that can. Fulfils the Endpoint protocol.

    Every method raises the error with which opening it failed.
    """

    live = False

    def __init__(self, name: str, root: Path, error: DtuiError) -> None:
        self.name = name
        self.address = str(root)
        self._error = error

    def facts(self) -> EngineFacts:
        raise self._error

    def snapshot(self) -> tuple[Container, ...]:
        raise self._error

    def inspect(self, container_id: str) -> Details:
        raise self._error

    def size(self, container_id: str) -> int | None:
        raise self._error

    def events(self) -> NoEvents:
        raise self._error

    def logs(self, container_id: str, *, follow: bool, tail: int | None) -> FileLog:
        raise self._error

    def act(self, container_id: str, verb: Verb) -> None:
        raise self._error

    def close(self) -> None:
        """Nothing is held."""


class AtRest:
    """The part of an endpoint that is the same for every data-root without an Engine."""

    live = False

    def __init__(self, name: str, root: Path | DataRoot) -> None:
        self.name = name
        self.root = root if isinstance(root, DataRoot) else DataRoot(root)
        self._closed = threading.Event()

    @property
    def address(self) -> str:
        return str(self.root.path)

    def close(self) -> None:
        """End event streams; nothing else is held."""
        self._closed.set()

    def size(self, container_id: str) -> int | None:
        """Return None: the size is not recorded on disk."""
        del container_id
        return None

    def events(self) -> NoEvents:
        """Return a stream that blocks until the endpoint is closed, since nothing announces events here."""
        return NoEvents(self._closed)

    def act(self, container_id: str, verb: Verb) -> None:
        """Raise NotReachable: there is no Engine to do it."""
        raise NotReachable(
            f"cannot {verb} {container_id[:12]}: no Engine runs on this data-root",
            "start the Engine and use dtui with it",
        )
