"""Facts about this host that may affect the numbers of a run, before and after it."""

from __future__ import annotations

import os
import platform
from contextlib import suppress

from tui.core.text import human_size

_BUSY_PERCENT = 5.0
"""Percentage of time waiting for the disk, or taken by the hypervisor, that is too much."""

Ticks = tuple[int, int]
"""Clock ticks since boot of all processors: those taken by the hypervisor (steal), and all."""


def host_facts() -> dict[str, str]:
    """Return facts that do not change during a run."""
    facts = {"kernel": platform.release(), "cpus": str(os.cpu_count()), "memory": human_size(_memory("MemTotal:"))}
    with suppress(OSError), open("/proc/sys/vm/dirty_ratio", encoding="ascii") as file:
        facts["dirty_ratio"] = file.read().strip()
    return facts


def busy_facts() -> dict[str, str]:
    """Return how busy the host is: load, available memory, and percentage of time waiting for the disk.

    The latter covers the last ten seconds (kernel doc: accounting/psi).
    """
    facts = {"load": f"{os.getloadavg()[0]:.2f}", "available": human_size(_memory("MemAvailable:"))}
    with suppress(OSError, IndexError), open("/proc/pressure/io", encoding="ascii") as file:
        facts["io_pressure"] = file.readline().split()[1].partition("=")[2]
    return facts


def facts_after(ticks_before: Ticks) -> dict[str, str]:
    """Return how busy the host is after a run, and the percentage of it that the hypervisor took."""
    stolen_ticks, total_ticks = (
        end_ticks - start_ticks for end_ticks, start_ticks in zip(processor_ticks(), ticks_before, strict=True)
    )
    facts = {f"{name}_after": value for name, value in busy_facts().items()}
    return facts | {"steal": f"{100 * stolen_ticks / max(1, total_ticks):.1f}"}


def _memory(name: str) -> int:
    """Return a value of /proc/meminfo in bytes."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return next((int(line.split()[1]) * 1024 for line in file if line.startswith(name)), 0)


def processor_ticks() -> Ticks:
    """Return the processors' ticks since boot (proc(5), stat: the eighth number of the first line is steal)."""
    with open("/proc/stat", encoding="ascii") as file:
        numbers = [int(word) for word in file.readline().split()[1:9]]
    return numbers[7] if len(numbers) > 7 else 0, sum(numbers)


def warnings_of(facts: dict[str, str]) -> tuple[str, ...]:
    """Return warnings about what on this host makes the numbers vary."""
    warnings = []
    if float(facts.get("load", "0")) > int(facts.get("cpus", "1")):
        warnings.append(f"the load was {facts['load']} on {facts['cpus']} cores when the run began")
    if float(facts.get("io_pressure", "0")) > _BUSY_PERCENT:
        warnings.append(f"processes waited for the disk {facts['io_pressure']} % of the time when the run began")
    if float(facts.get("steal", "0")) > _BUSY_PERCENT:
        warnings.append(f"the hypervisor gave {facts['steal']} % of the processors' time to other machines")
    return tuple(warnings)
