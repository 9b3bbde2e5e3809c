"""What stopping, killing, restarting or removing a container really does, as text for the question before it."""

from __future__ import annotations

from rich.text import Text

from tui.core.lifecycle import keep_commands, shortened
from tui.core.records import Details, State
from tui.core.text import printable
from tui.engine.endpoint import Verb

_ENDS = {
    Verb.STOP: "it has 10 s to exit, then it is killed",
    Verb.RESTART: "it has 10 s to exit, then it is killed and started again",
    Verb.KILL: "its main process is killed at once",
}
"""What a verb does to a running container; none of it can be undone."""


def is_ending(verb: Verb) -> bool:
    """Return whether a verb ends a running container."""
    return verb in _ENDS


def removes(verb: Verb, details: Details | None) -> bool:
    """Return whether a verb also removes the container, because it was started with ``--rm``."""
    return verb in (Verb.STOP, Verb.KILL) and details is not None and bool(details.lifecycle.auto_remove)


def ending_text(verb: Verb, state: State, details: Details) -> Text:
    """Say what a verb does to a container in a state, and what its settings make of that."""
    if state is State.RESTARTING:
        effect = (
            "this ends it and starts it once more" if verb is Verb.RESTART else "this ends that until it is started"
        )
        text = Text(f"It keeps restarting: {effect}. Its restart policy stays as it is.")
    else:
        text = Text(f"It is {state}: {_ENDS[verb]}.")
    for warning in ending_warnings(verb, details):
        text.append(f"\n! {warning}", style="yellow")
    return text


def ending_warnings(verb: Verb, details: Details) -> tuple[str, ...]:
    """Return what the container's settings make of a verb, a sentence each."""
    container, lifecycle = details.container, details.lifecycle
    policy = lifecycle.restart_policy.partition(":")[0]
    warnings = []
    if lifecycle.auto_remove and verb is not Verb.REMOVE:
        kept = f"To keep its changes first: {keep_commands(container.name, container.command_line)}."
        if verb is Verb.RESTART:
            warnings.append(
                "It was started with --rm: a restart keeps it, but if it fails to start or exits again, it is removed "
                f"with its layer and all changes in it. {kept}"
            )
        else:
            warnings.append(
                "It was started with --rm: once it ends, it is removed with its layer and all changes in it, and that "
                f"cannot be undone. {kept}"
            )
    if policy in ("always", "on-failure") and verb in (Verb.STOP, Verb.KILL):
        name = shortened(lifecycle.restart_policy)
        warnings.append(f"Its restart policy is {name}: when the engine itself starts again, it may start it.")
    if lifecycle.group.swarm_service:
        warnings.append(
            f"It is a task of {lifecycle.owner}: Swarm starts another container in its place, without its changes."
        )
    if lifecycle.group.systemd_unit:
        unit = shortened(lifecycle.group.systemd_unit)
        warnings.append(
            f"systemd unit {unit} may start it again, or make it anew without its changes: systemctl stop {unit}"
        )
    if verb is Verb.REMOVE and lifecycle.group.compose_project:
        warnings.append(f"It belongs to {lifecycle.owner}: docker compose up makes it anew from its image.")
    elif lifecycle.group.pod:
        warnings.append(f"It belongs to {lifecycle.owner}, which may start another container in its place.")
    return tuple(warnings)


def ending_question(verb: Verb, details: Details | None, name: str) -> tuple[str, str]:
    """Return the question before a verb, and what its answer yes does."""
    if removes(verb, details):
        return f"{verb.capitalize()} {printable(name)}? This removes it with all its changes.", f"{verb} and remove it"
    return f"{verb.capitalize()} {printable(name)}?", f"{verb} it"
