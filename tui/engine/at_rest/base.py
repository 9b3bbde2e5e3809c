"""What all directories read without their Engine have in common: no events, no acts, logs that do not follow."""

from __future__ import annotations

import json
import os
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from tui.core.errors import DtuiError, NotReachable
from tui.core.records import Container, Details, EngineFacts, Event, Proof, Trust
from tui.drivers.data_root import DataRoot, data_root_error
from tui.engine.endpoint import LogLine, Verb
from tui.engine.live import parse

_LOG_BYTES = 8 << 20
"""Bytes read from the end of a log."""

_LINE_BYTES = 1 << 20
"""Bytes of one line; Docker cuts lines at 16 KiB."""


ON_DISK = Proof(Trust.PROVEN, "a directory of this host, read without its Engine")


class NoEvents:
    """The event stream of what has none."""

    def __init__(self, closed: threading.Event) -> None:
        self._closed = closed

    def __iter__(self) -> Iterator[Event]:
        self._closed.wait()
        return iter(())

    def close(self) -> None:
        """End the wait."""
        self._closed.set()


class FileLog:
    """A log file on disk, its last ``tail`` lines or, for None, all; a subclass knows its lines."""

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
        """Return a line of the log; None for one that is cut, by the limit at the start or by a crash at the end."""

    def close(self) -> None:
        """Nothing to end."""


class JsonLog(FileLog):
    """Docker's json-file."""

    def parse(self, raw: bytes) -> LogLine | None:
        """Understand one JSON object."""
        try:
            body = json.loads(raw)
            text = os.fsencode(str(body["log"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        return LogLine(text.rstrip(b"\n"), parse.parse_time(body.get("time")), body.get("stream") == "stderr")


class K8sLog(FileLog):
    """podman's k8s-file: time, stream, F or P, then the text."""

    def parse(self, raw: bytes) -> LogLine | None:
        """Understand one line."""
        parts = raw.split(b" ", 3)
        if len(parts) < 4:
            return None
        time = parse.parse_time(parts[0].decode("ascii", "replace"))
        return LogLine(parts[3], time, parts[1] == b"stderr")


class UnreadableRoot:
    """A data-root that was named and cannot be opened, beside others that can. Fulfils the contract of an endpoint."""

    live = False

    def __init__(self, name: str, root: Path, error: DtuiError) -> None:
        self.name = name
        self.address = str(root)
        self._error = error

    def facts(self) -> EngineFacts:
        """Tell why not, as all else here."""
        raise self._error

    def snapshot(self) -> tuple[Container, ...]:
        """Tell why not."""
        raise self._error

    def inspect(self, container_id: str) -> Details:
        """Tell why not."""
        raise self._error

    def size(self, container_id: str) -> int | None:
        """Tell why not."""
        raise self._error

    def events(self) -> NoEvents:
        """Tell why not."""
        raise self._error

    def logs(self, container_id: str, *, follow: bool, tail: int | None) -> FileLog:
        """Tell why not."""
        raise self._error

    def act(self, container_id: str, verb: Verb) -> None:
        """Tell why not."""
        raise self._error

    def close(self) -> None:
        """Nothing is held."""


class AtRest:
    """The part of an endpoint that is the same for every directory read without its Engine."""

    live = False

    def __init__(self, name: str, root: Path | DataRoot) -> None:
        self.name = name
        self.root = root if isinstance(root, DataRoot) else DataRoot(root)
        self._closed = threading.Event()

    @property
    def address(self) -> str:
        """The directory."""
        return str(self.root.path)

    def close(self) -> None:
        """Nothing is held but streams."""
        self._closed.set()

    def size(self, container_id: str) -> int | None:
        """Not recorded on disk."""
        del container_id
        return None

    def events(self) -> NoEvents:
        """Nothing announces anything here: wait until closed."""
        return NoEvents(self._closed)

    def act(self, container_id: str, verb: Verb) -> None:
        """Refuse: there is no Engine here."""
        raise NotReachable(
            f"{verb} {container_id[:12]}: a data-root is read without its Engine", "start the Engine and use dtui on it"
        )
