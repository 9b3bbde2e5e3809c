"""``dtui undo``: undo the last change, or the one named."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.change_verbs import ContainerPath, change, print_result, recover_and_report, with_backup_choice
from tui.cli.changed_containers import ChangedContainer, find_changed_in, require_single
from tui.cli.lookup import ContainerFinder, open_finder
from tui.core.errors import ChangedMeanwhile, EngineLost, NotFound, UsageError
from tui.core.text import printable
from tui.engine.endpoint import Endpoint
from tui.files import UndoRecord, find, last_to_undo, undo_records
from tui.services.files_of import files_of


def run(options: Namespace) -> int:
    """Restore what a change replaced. What it finds there now is backed up in turn."""
    if options.id == "":
        raise UsageError("--id names no backup", "dtui backups lists them")
    with open_finder(options) as finder:
        cut_off = _cut_off()
        recover_and_report(*finder.endpoints)
        if cut_off - _cut_off() and not options.id:
            raise ChangedMeanwhile(
                "an unfinished change has just been recovered", "run dtui undo again to undo the last change"
            )
        record, endpoint = _record_to_undo(finder, options.ref, options.id)
        details = endpoint.inspect(record.container)
        target = ContainerPath(endpoint, details, record.path, files_of(endpoint, details))
        outcome = with_backup_choice(
            options,
            lambda step, keep: change(
                options,
                target,
                step,
                lambda changeable: changeable.files.undo(record, force=options.force, keep=keep, step=step),
            ),
        )
    redo_hint = f"; dtui undo --id {outcome.act.id} redoes it" if outcome.act else ""
    return print_result(options, outcome, f"undid the {record.kind} of {record.time:%Y-%m-%d %H:%M:%S} UTC{redo_hint}")


def _cut_off() -> set[str]:
    return {record.id for record in undo_records() if record.cut_off}


def _record_to_undo(finder: ContainerFinder, ref: str | None, record_id: str | None) -> tuple[UndoRecord, Endpoint]:
    """Return the change to undo and the endpoint of its container; raises NotFound, UsageError."""
    if not ref:
        record = find(record_id) if record_id else last_to_undo()
        return record, _endpoint_of(
            finder.endpoints, record, "dtui undo REF undoes the last change to another container"
        )
    changed = find_changed_in(finder, ref)
    if record_id:
        record = find(record_id)
        if record.container not in {container.id for container in changed.changed}:
            raise NotFound(f"{record.id} is not a change to {printable(ref)}", "dtui backups lists its changes")
    else:
        record = _last_record(changed, ref)
    return record, _endpoint_of(finder.endpoints, record, f"dtui backups {printable(ref)} lists its changes")


def _last_record(changed: ChangedContainer, ref: str) -> UndoRecord:
    """Return the last change of the existing container, else of a removed one with that name."""
    if changed.present is None:
        return last_to_undo(require_single(changed.changed, ref).id)
    try:
        return last_to_undo(changed.present.id)
    except NotFound as error:
        if not changed.former:
            raise
        ids = ", ".join(container.id[:12] for container in changed.former)
        message = f"there is no change to {printable(ref)} ({changed.present.short_id}) to undo"
        hint = f"the backups under its name belong to {ids}: dtui backups {printable(ref)} lists them"
        raise NotFound(message, hint) from error


def _endpoint_of(endpoints: tuple[Endpoint, ...], record: UndoRecord, hint: str) -> Endpoint:
    """Return the endpoint with a change's container; raises NotFound, which says where the backup is."""
    unanswered = []
    for endpoint in endpoints:
        try:
            endpoint.inspect(record.container)
        except NotFound:
            continue
        except EngineLost as error:
            unanswered.append(error)
            continue
        return endpoint
    if unanswered:
        raise unanswered[0]
    backup_hint = f"its backup is in {record.data}; " if record.size else ""
    message = f"{printable(record.name)} ({record.container[:12]}) no longer exists, so its {record.kind} of"
    raise NotFound(f"{message} {printable(record.path)} cannot be undone", backup_hint + hint)
