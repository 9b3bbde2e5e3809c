"""The targets of a benchmark run, from the names of drivers and engines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tui.bench.controls import HostTarget, RepeatedTarget
from tui.bench.protocols import Target
from tui.core.errors import NotReachable, UsageError
from tui.core.state import state_dir
from tui.engine.live.live_endpoint import LiveEndpoint
from tui.lab.abilities import Ability, abilities
from tui.lab.engine_host import EndpointTarget
from tui.lab.engines import LAB_DRIVERS, LabDriver, LabTarget, VolumeTarget
from tui.linux.process_marks import owned_name

HOST, VOLUME = "host", "volume"
DRIVERS = tuple(driver.name for driver in LAB_DRIVERS)


def lab_home() -> Path:
    """Return the directory for throwaway engines."""
    return state_dir("lab")


def lab_targets(names: Sequence[str], *, controls: bool = True) -> tuple[Target, ...]:
    """Return targets for storage drivers, ``host`` and ``volume``; with ``controls`` also the host, and the first
    driver twice.

    Raises UsageError for an unknown name, NotReachable for a driver that cannot run here, with what it needs.
    """
    by_name = {ability.driver.name: ability for ability in abilities()}
    labs = {name: LabTarget(_driver(name, by_name), lab_home()) for name in dict.fromkeys(names) if name in DRIVERS}
    targets: list[Target] = []
    for name in dict.fromkeys(names):
        if name in labs:
            targets.append(labs[name])
        elif name == VOLUME:
            targets.append(VolumeTarget(_volume_engine(labs, by_name), _new_directory()))
        elif name == HOST:
            targets.append(HostTarget(_new_directory()))
        else:
            raise UsageError(f"{name} is not a target", f"targets: {', '.join((*DRIVERS, VOLUME, HOST))}")
    return with_controls(targets) if controls else tuple(targets)


def _driver(name: str, by_name: dict[str, Ability]) -> LabDriver:
    ability = by_name[name]
    if not ability.can_run:
        raise NotReachable(f"{name} cannot run here: {ability.missing}", ability.fix)
    return ability.driver


def _volume_engine(labs: dict[str, LabTarget], by_name: dict[str, Ability]) -> LabTarget:
    """Return the engine that mounts a volume: one that takes part anyway, else one for this purpose."""
    if labs:
        return next(iter(labs.values()))
    available = next((ability for ability in by_name.values() if ability.can_run), None)
    if available is None:
        raise NotReachable("no storage driver can run here", "dtui drivers shows what is missing")
    return LabTarget(available.driver, lab_home())


def engine_targets(endpoints: Iterable[LiveEndpoint], *, controls: bool = False) -> tuple[Target, ...]:
    """Return running Engines as targets, named after their endpoints."""
    chosen = tuple(endpoints)
    targets: list[Target] = [EndpointTarget(endpoint) for endpoint in chosen]
    all_local = all(endpoint.local for endpoint in chosen)
    return with_controls(targets, host=all_local) if controls else tuple(targets)


def with_controls(targets: Sequence[Target], *, host: bool = True) -> tuple[Target, ...]:
    """Add the first target a second time and, if all targets are local, this host, unless already present."""
    names = {target.name for target in targets}
    first = next((target for target in targets if not target.control), None)
    controls: list[Target] = []
    if first is not None and f"{first.name} again" not in names:
        controls.append(RepeatedTarget(first))
    if host and HOST not in names:
        controls.append(HostTarget(_new_directory()))
    return (*targets, *controls)


def _new_directory() -> Path:
    return lab_home() / owned_name()
