"""Which storage drivers dtui can open, and how a container's layer can be had."""

from __future__ import annotations

import os

from tui.core.errors import DtuiError
from tui.core.model import Driver, LayerStack, Reach, ReachKind
from tui.core.text import printable
from tui.drivers.base import StorageDriver
from tui.drivers.overlay2 import Overlay2

DRIVERS: dict[Driver, StorageDriver] = {known.driver: known for known in (Overlay2(),)}
"""Every storage driver that dtui reads, by kind and name."""


def driver_for(driver: Driver) -> StorageDriver | None:
    """Return the implementation of a driver, None where there is none."""
    return DRIVERS.get(driver)


def reach_of(driver: Driver, stack: LayerStack | None, *, local: bool, problem: DtuiError | None = None) -> Reach:
    """Say how a container's writable layer can be had by this process on this host, and why."""
    if problem is not None:
        return Reach(ReachKind.NONE, str(problem))
    if driver_for(driver) is None:
        readable = ", ".join(known.name for known in DRIVERS)
        return Reach(ReachKind.NONE, f"dtui reads layers of {readable}; this container uses {printable(driver.name)}")
    if stack is None:
        return Reach(ReachKind.NONE, "the Engine does not say where the layer is")
    if not local:
        there = printable(str(stack.writable.path))
        return Reach(ReachKind.ENGINE, f"the Engine runs on another host; there it is {there}")
    return _directory_reach(stack)


def _directory_reach(stack: LayerStack) -> Reach:
    path = stack.writable.path
    try:
        os.listdir(path)
    except PermissionError:
        return Reach(ReachKind.NONE, f"{printable(str(path))}: permission denied; run dtui as root, or use sudo")
    except OSError as error:
        return Reach(ReachKind.NONE, f"{printable(str(path))}: {error.strerror}; does the Engine run in a container?")
    return Reach(ReachKind.DIRECT, f"by {stack.how}", path)
