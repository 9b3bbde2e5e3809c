"""Which targets a run compares, put together from names. Knows no terminal: the command line asks it too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tui.bench.controls import HostTarget, RepeatedTarget
from tui.bench.protocols import Target
from tui.core.errors import NotReachable, UsageError
from tui.core.state import state_dir
from tui.engine.live.endpoint import LiveEndpoint
from tui.lab.abilities import Ability, abilities
from tui.lab.engine_host import EndpointTarget
from tui.lab.engines import LAB_DRIVERS, LabDriver, LabTarget, VolumeTarget
from tui.linux.process_marks import owned_name

HOST, VOLUME = "host", "volume"
DRIVERS = tuple(driver.name for driver in LAB_DRIVERS)


def lab_home() -> Path:
    """Return where labs lie while they last."""
    return state_dir("lab")


def lab_targets(names: Sequence[str], *, controls: bool = True) -> tuple[Target, ...]:
    """Return targets for storage drivers, ``host`` and ``volume``; with controls the host, and the first driver twice.

    Raises UsageError for a name that is none, NotReachable for a driver that does not run here, with what it lacks.
    """
    by_name = {ability.driver.name: ability for ability in abilities()}
    labs = {name: LabTarget(_driver(name, by_name), lab_home()) for name in dict.fromkeys(names) if name in DRIVERS}
    targets: list[Target] = []
    for name in dict.fromkeys(names):
        if name in labs:
            targets.append(labs[name])
        elif name == VOLUME:
            targets.append(VolumeTarget(_base(labs, by_name), _folder()))
        elif name == HOST:
            targets.append(HostTarget(_folder()))
        else:
            raise UsageError(f"{name} is no target", f"there are {', '.join((*DRIVERS, VOLUME, HOST))}")
    return with_controls(targets) if controls else tuple(targets)


def _driver(name: str, by_name: dict[str, Ability]) -> LabDriver:
    ability = by_name[name]
    if not ability.runs:
        raise NotReachable(f"{name} does not run here: {ability.missing}", ability.fix)
    return ability.driver


def _base(labs: dict[str, LabTarget], by_name: dict[str, Ability]) -> LabTarget:
    """Return the engine that a volume is mounted by: one that takes part anyway, else one of its own."""
    if labs:
        return next(iter(labs.values()))
    runs = next((ability for ability in by_name.values() if ability.runs), None)
    if runs is None:
        raise NotReachable("no storage driver runs here", "dtui drivers tells what is missing")
    return LabTarget(runs.driver, lab_home())


def engine_targets(endpoints: Iterable[LiveEndpoint], *, controls: bool = False) -> tuple[Target, ...]:
    """Return running Engines as targets, each under its endpoint's name."""
    chosen = tuple(endpoints)
    targets: list[Target] = [EndpointTarget(endpoint) for endpoint in chosen]
    all_local = all(endpoint.local for endpoint in chosen)
    return with_controls(targets, host=all_local) if controls else tuple(targets)


def with_controls(targets: Sequence[Target], *, host: bool = True) -> tuple[Target, ...]:
    """Add the first target once more, and this host if it is the targets' own, unless they are there."""
    names = {target.name for target in targets}
    first = next((target for target in targets if not target.control), None)
    more: list[Target] = []
    if first is not None and f"{first.name} again" not in names:
        more.append(RepeatedTarget(first))
    if host and HOST not in names:
        more.append(HostTarget(_folder()))
    return (*targets, *more)


def _folder() -> Path:
    return lab_home() / owned_name()
