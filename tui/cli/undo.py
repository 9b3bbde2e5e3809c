"""``dtui undo``: take the last act back, or the one that is named."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.acting import put_right, tell, to_the_end
from tui.cli.session import session
from tui.core.errors import ChangedMeanwhile, NotFound, UsageError
from tui.core.text import printable
from tui.editing.backups import Act, acts, find, last_to_undo
from tui.editing.undo import undo
from tui.engine.endpoint import Endpoint
from tui.ui.reach import files_of


def run(options: Namespace) -> int:
    """Put back what an act replaced; what stands there now is kept in its turn."""
    if options.id == "":
        raise UsageError("--id names no backup", "dtui backups lists them")
    with session(options) as open_session:
        cut_off = _cut_off()
        put_right(*open_session.endpoints)
        if cut_off - _cut_off() and not options.id:
            raise ChangedMeanwhile(
                "what was cut off has just been put right", "dtui undo again takes the last act back"
            )
        if options.ref:
            endpoint, details = open_session.find(options.ref)
            act = find(options.id) if options.id else last_to_undo(details.container.id)
            if act.container != details.container.id:
                raise NotFound(f"{act.id} was not done to {options.ref}", "dtui backups lists what was")
        else:
            act = find(options.id) if options.id else last_to_undo()
            endpoint = _where(open_session.endpoints, act)
        files = files_of(endpoint, endpoint.inspect(act.container))
        with to_the_end(options.wait) as step:
            outcome = undo(act, inspect=endpoint.inspect, save=files.save, force=options.force, step=step)
    again = f"; dtui undo --id {outcome.act.id} does it again" if outcome.act else ""
    return tell(options, outcome, f"{act.kind} of {act.time:%Y-%m-%d %H:%M:%S} UTC taken back{again}")


def _cut_off() -> set[str]:
    return {act.id for act in acts() if act.cut_off}


def _where(endpoints: tuple[Endpoint, ...], act: Act) -> Endpoint:
    for endpoint in endpoints:
        try:
            endpoint.inspect(act.container)
        except NotFound:
            continue
        return endpoint
    hint = f"its old bytes are in {act.data}; dtui undo REF takes back what was done to another container"
    raise NotFound(f"{printable(act.name)}, to which the last change was made, is not here", hint)
