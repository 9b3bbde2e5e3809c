"""Who starts, replaces or removes a container besides the person at the keyboard, and what that means for changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tui.core.text import printable

_RESTARTING_POLICIES = ("always", "unless-stopped", "on-failure")

_SHOWN = 48
"""Longest name from a label in a sentence, in characters; labels may have many kilobytes."""


@dataclass(frozen=True, slots=True)
class Group:
    """What a container belongs to, by its labels; empty strings where it belongs to none."""

    compose_project: str = ""
    compose_service: str = ""
    swarm_service: str = ""
    pod: str = ""
    namespace: str = ""
    systemd_unit: str = ""


NO_GROUP = Group()


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The settings that change what stopping, removing or changing a container really does."""

    auto_remove: bool | None = None
    """Whether the engine removes the container when it stops (``--rm``); None if unknown."""
    restart_policy: str = ""
    """As ``docker run --restart`` takes it: ``no``, ``always``, ``on-failure:3``; empty if unknown."""
    group: Group = field(default_factory=Group)

    @property
    def restarts(self) -> bool:
        """Whether the engine itself starts the container again when it exits."""
        return self.restart_policy.partition(":")[0] in _RESTARTING_POLICIES

    @property
    def owner(self) -> str:
        """Who replaces the container by a new one, in words; empty if nobody is known to."""
        group = self.group
        if group.swarm_service:
            return f"Swarm service {shortened(group.swarm_service)}"
        if group.compose_project:
            service = f"service {shortened(group.compose_service)} of " if group.compose_service else ""
            return f"{service}Compose project {shortened(group.compose_project)}"
        if group.pod:
            namespace = f"{shortened(group.namespace)}/" if group.namespace else ""
            return f"pod {namespace}{shortened(group.pod)}"
        if group.systemd_unit:
            return f"systemd unit {shortened(group.systemd_unit)}"
        return ""

    @property
    def words(self) -> str:
        """All of it in one line for the details: ``--rm · restart always · Swarm service web``."""
        parts = ["removed when it stops (--rm)"] if self.auto_remove else []
        if self.restart_policy not in ("", "no"):
            parts.append(f"restart {shortened(self.restart_policy)}")
        if self.owner:
            parts.append(f"belongs to {self.owner}")
        return " · ".join(parts)


UNKNOWN_LIFECYCLE = Lifecycle()


def group_of(labels: Mapping[str, str]) -> Group:
    """Return what a container belongs to according to its labels."""
    return Group(
        compose_project=labels.get("com.docker.compose.project") or labels.get("io.podman.compose.project", ""),
        compose_service=labels.get("com.docker.compose.service", ""),
        swarm_service=labels.get("com.docker.swarm.service.name", "") or labels.get("com.docker.swarm.service.id", ""),
        pod=labels.get("io.kubernetes.pod.name", ""),
        namespace=labels.get("io.kubernetes.pod.namespace", ""),
        systemd_unit=labels.get("PODMAN_SYSTEMD_UNIT", ""),
    )


def shortened(text: str) -> str:
    """Return untrusted text for a sentence: printable and not too long."""
    shown = printable(text[: _SHOWN + 1])
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"


def keep_commands(name: str, command: str) -> str:
    """Return the commands that keep what a container changed; ``command`` is docker or podman."""
    shown = printable(name)
    return f"{command} commit {shown} IMAGE, or dtui cp {shown}:/PATH DIRECTORY"


def change_notes(lifecycle: Lifecycle, name: str, command: str) -> tuple[str, ...]:
    """Return what will undo a change to a container sooner or later, for its result and the question before it."""
    notes = []
    if lifecycle.auto_remove:
        kept = keep_commands(name, command)
        notes.append(f"it was started with --rm: when it stops it is removed, and this change with it; {kept} keeps it")
    if lifecycle.group.swarm_service:
        notes.append(f"it is a task of {lifecycle.owner}: the next replacement drops this change")
    elif lifecycle.owner:
        notes.append(f"it belongs to {lifecycle.owner}: the next replacement drops this change")
    return tuple(notes)
