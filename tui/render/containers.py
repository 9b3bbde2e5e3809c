"""Containers as styled text. Pure; everything untrusted passes printable()."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from rich.cells import set_cell_size
from rich.text import Text

from tui.core.records import AccessKind, Container, Details, LayerRole, Port, State, Trust
from tui.core.text import count_of, human_age, human_size, printable

_LONG_ID = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}")

STATE_MARKS = {
    State.RUNNING: ("●", "green"),
    State.PAUSED: ("◐", "yellow"),
    State.RESTARTING: ("↻", "yellow"),
    State.CREATED: ("○", "cyan"),
    State.EXITED: ("✗", "red"),
    State.REMOVING: ("…", "magenta"),
    State.DEAD: ("†", "red"),
    State.UNKNOWN: ("?", "magenta"),
}
"""A sign and a colour for each state. The sign alone is enough to read it."""


REMOVED = Text("∅ removed", style="magenta")
"""Shown instead of the state of a container that no longer exists."""


def state_style(container: Container) -> str:
    """Return the colour of a container's state; exit code 0 is nothing to worry about, an unhealthy one is."""
    if container.health == "unhealthy":
        return "yellow"
    if container.state is State.EXITED and container.exit_code == 0:
        return "dim"
    return STATE_MARKS[container.state][1]


def state_words(container: Container) -> str:
    """Return state and exit code, ``exited (127)``; of a running container its health, if it has a health check."""
    if container.health:
        return container.health
    if container.state in (State.EXITED, State.DEAD) and container.exit_code is not None:
        return f"{container.state} ({container.exit_code})"
    return str(container.state)


def count_words(containers: Collection[Container]) -> str:
    """Count containers for a title: ``12 containers · 8 running · 1 paused · 2 unhealthy``."""
    states = [container.state for container in containers]
    parts = [count_of(len(states), "container"), f"{states.count(State.RUNNING):,} running"]
    if paused := states.count(State.PAUSED):
        parts.append(f"{paused:,} paused")
    if unhealthy := sum(container.health == "unhealthy" for container in containers):
        parts.append(f"{unhealthy:,} unhealthy")
    return " · ".join(parts)


def state_text(container: Container) -> Text:
    """Return sign, state and exit code in the state's colour."""
    mark = STATE_MARKS[container.state][0]
    return Text(f"{mark} {state_words(container)}", style=state_style(container))


def port_text(port: Port) -> str:
    """Return a port as Docker shows it, shortened: ``8080→80/tcp``."""
    inside = f"{port.container}/{port.protocol}"
    return f"{port.host}→{inside}" if port.host else inside


def driver_text(container: Container) -> str:
    """Return the storage driver's name, marked if the daemon hides the container."""
    return printable(container.driver.name) + (" (hidden)" if container.hidden else "")


def ports_text(ports: Iterable[Port]) -> str:
    """Return published ports once each (IPv4 and IPv6 are published separately), then the others."""
    return " ".join(dict.fromkeys(port_text(port) for port in ports))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the container list: title, width (0: takes the rest) and content.

    If the content does not fit, ``keeps_end`` keeps its end, for instance of an image, whose end tells two apart.
    """

    title: str
    width: int
    cell: Callable[[Container, datetime], Text]
    keeps_end: bool = False

    def fitted(self, container: Container, current_time: datetime) -> Text:
        """Return the content of the column for a container, cut to its width."""
        text = self.cell(container, current_time)
        if self.keeps_end and text.cell_len > self.width:
            text = Text("…" + set_cell_size(text.plain[::-1], self.width - 1)[::-1], style=text.style)
        return text


def _plain(get: Callable[[Container], str]) -> Callable[[Container, datetime], Text]:
    return lambda container, _current_time: Text(get(container))


_NAME = Column("NAME", 0, _plain(lambda c: printable(c.name)))
_STATE = Column("STATE", 15, lambda c, _current_time: state_text(c))
_DRIVER = Column("DRIVER", 10, _plain(driver_text))
_IMAGE = Column("IMAGE", 18, _plain(lambda c: printable(c.image)), keeps_end=True)
_MAX_IMAGE = 70
_LAYER = Column("LAYER", 9, _plain(lambda c: human_size(c.size_rw)))
_PORTS = Column("PORTS", 13, _plain(lambda c: ports_text(c.ports)))
_AGE = Column("AGE", 7, lambda c, current_time: Text(human_age(c.created, current_time)))
_ENDPOINT = Column("ENDPOINT", 14, _plain(lambda c: printable(c.endpoint)))


def columns(width: int, *, several_endpoints: bool) -> tuple[Column, ...]:
    """Choose the columns that fit. A narrow screen keeps name, state, image and age."""
    if width < 64:
        return (_NAME, _STATE, replace(_IMAGE, width=14), _AGE)
    if width < 84:
        return (_NAME, _STATE, _DRIVER, replace(_IMAGE, width=16), _AGE)
    ports = (_PORTS,) if width >= 104 else ()
    endpoint = (_ENDPOINT,) if several_endpoints else ()
    other_columns = (_STATE, _DRIVER, _LAYER, *ports, _AGE, *endpoint)
    image_room = width - sum(column.width + 1 for column in other_columns) - 3
    image = replace(_IMAGE, width=max(_IMAGE.width, min(image_room // 2, _MAX_IMAGE)))
    return (_NAME, _STATE, _DRIVER, image, _LAYER, *ports, _AGE, *endpoint)


def table_line(cells: Iterable[tuple[Text, int]], width: int) -> Text:
    """Put cells of given widths (0: the rest) next to each other, separated by a blank."""
    pairs = list(cells)
    fixed = sum(size + 1 for _, size in pairs if size)
    flexible_width = max(8, width - fixed - 2)
    line = Text(" ", no_wrap=True, end="")
    for cell, size in pairs:
        cell.truncate(size or flexible_width, overflow="ellipsis", pad=True)
        line.append_text(cell)
        line.append(" ")
    return line


def container_line(container: Container, layout: tuple[Column, ...], width: int, current_time: datetime) -> Text:
    """Draw one row of the container list."""
    return table_line(((column.fitted(container, current_time), column.width) for column in layout), width)


def header_line(layout: tuple[Column, ...], width: int, sort: str) -> Text:
    """Draw the column titles, with a mark on the sorted one."""
    return table_line(
        ((Text(c.title + (" ▾" if c.title.lower() == sort else ""), style="bold"), c.width) for c in layout), width
    )


SORTS: dict[str, Callable[[Container], tuple[object, ...]]] = {
    "age": lambda c: (-c.created.timestamp(), c.name),
    "name": lambda c: (c.name,),
    "state": lambda c: (list(State).index(c.state), c.exit_code or 0, c.name),
    "image": lambda c: (c.image, c.name),
}
"""Sort keys of the container list, by the name of their column."""


def matches(container: Container, filter_text: str) -> bool:
    """Return whether every word occurs in name, image, id or status (``exited (127)`` is one status)."""
    haystack = " ".join(
        (container.name, container.image, container.id, container.status, state_words(container))
    ).lower()
    needle = filter_text.lower().strip()
    return needle in haystack or all(word in haystack for word in needle.split())


@dataclass(frozen=True, slots=True)
class Group:
    """A line of the group pane: its key, sign, title, colour, and number of containers."""

    key: str
    mark: str
    title: str
    style: str
    size: int


def groups(containers: Iterable[Container], by: str, chosen: str = "") -> tuple[Group, ...]:
    """Count the containers by ``state`` or ``driver``, after a group with all. The chosen group is kept even if
    empty."""
    all_containers = list(containers)
    result = [Group("", " ", "all", "", len(all_containers))]
    if by == "state":
        for state in State:
            size = sum(c.state is state for c in all_containers)
            if size or state.value == chosen:
                mark, style = STATE_MARKS[state]
                result.append(Group(state.value, mark, state.value, style, size))
        return tuple(result)
    titles = {group_key(c, by): driver_text(c) for c in all_containers}
    if chosen and chosen not in titles:
        titles[chosen] = printable(chosen.split(":")[1])
    keys = [group_key(c, by) for c in all_containers]
    result += [Group(key, "▤", titles[key], "", keys.count(key)) for key in sorted(titles)]
    return tuple(result)


def group_key(container: Container, by: str) -> str:
    """Return the key of a container's group."""
    if by == "state":
        return container.state.value
    return f"{container.driver.kind}:{container.driver.name}:{container.hidden}"


def _run_time(details: Details) -> str:
    if not details.started_at or not details.finished_at or details.finished_at < details.started_at:
        return ""
    return f" · ran {(details.finished_at - details.started_at).total_seconds():.1f} s"


def _state_age(details: Details, current_time: datetime) -> str:
    container = details.container
    if container.state.alive and details.started_at:
        return f" for {human_age(details.started_at, current_time)}".replace(" for now", " just now")
    if container.state is State.EXITED and details.finished_at:
        return f" {human_age(details.finished_at, current_time)} ago".replace("now ago", "just now")
    return ""


_MAX_COMMAND = 80
"""Width in cells of a command line in the detail pane; the inspect dialog shows all of it."""


def status_line(details: Details, current_time: datetime) -> Text:
    """Draw state, age, OOM, restarts and command of a container."""
    container = details.container
    line = Text.assemble(state_text(container), _state_age(details, current_time) + _run_time(details))
    if details.oom_killed:
        line.append(" · killed: out of memory", style="bold red")
    line.append(f" · restarts {details.restart_count}")
    command = Text(printable(" ".join(details.argv)))
    command.truncate(_MAX_COMMAND, overflow="ellipsis")
    return line.append(f" · {command.plain}", style="dim")


def stack_words(details: Details) -> str:
    """Describe the layer stack: ``writable ▸ init ▸ 3 image layers``."""
    if details.shown_stack is None:
        return "unknown"
    parts = ["writable"]
    parts += ["init" for layer in details.shown_stack.layers if layer.role is LayerRole.INIT]
    return " ▸ ".join([*parts, count_of(len(details.shown_stack.images), "image layer")])


def short_ids(text: str) -> str:
    """Return the text with 64-digit ids cut to the twelve digits that Docker shows."""
    return _LONG_ID.sub(r"\1…", text)


def access_line(details: Details) -> Text:
    """Draw how the writable layer can be reached, and why."""
    access = details.access
    style = {AccessKind.DIRECT: "green", AccessKind.NONE: "red"}.get(access.kind, "yellow")
    line = Text.assemble((str(access.kind), style))
    if access.path:
        line.append(f"  {short_ids(printable(str(access.path)))}")
    return line.append(f"  {printable(access.reason)}", style="dim")


def trust_line(details: Details) -> Text:
    """Draw whether the container's paths and process are trusted, and why."""
    proof = details.proof
    style = {Trust.PROVEN: "green", Trust.REMOTE: "yellow"}.get(proof.trust, "red")
    reason = "" if details.access.reason.startswith(proof.reason) else f"  {short_ids(printable(proof.reason))}"
    return Text.assemble((str(proof.trust), style), (reason, "dim"))


def mount_words(details: Details) -> str:
    """List the mounts over the container's files, without the Engine's own."""
    shown_mounts = [m for m in details.mounts if m.kind != "engine"]
    mounts = [
        f"{printable(m.destination)} ← {m.kind} {printable(m.name or m.source)}{'' if m.writable else ' (ro)'}"
        for m in shown_mounts
    ]
    return "   ".join(mounts) or "none"


def detail_lines(details: Details, current_time: datetime, changes: str = "") -> Text:
    """Draw the detail pane: state, error, what ends or replaces it, layer and access, stack, mounts, trust."""
    lines = [status_line(details, current_time)]
    if details.error:
        lines.append(Text.assemble(("error   ", "bold red"), printable(details.error)))
    if details.lifecycle.words:
        lines.append(Text.assemble(("policy  ", "bold"), (details.lifecycle.words, "yellow")))
    lines.append(Text.assemble(("layer   ", "bold"), access_line(details)))
    stack = f"{stack_words(details)}   {changes}".rstrip()
    lines.append(Text.assemble(("stack   ", "bold"), stack))
    lines.append(Text.assemble(("mounts  ", "bold"), mount_words(details)))
    lines.append(Text.assemble(("trust   ", "bold"), trust_line(details)))
    return Text("\n").join(lines)


def inspect_lines(details: Details, current_time: datetime) -> Text:
    """Draw everything known about a container, for the inspect dialog."""
    container, stack = details.container, details.shown_stack
    pairs = [
        ("id", container.id),
        ("image", f"{container.image}  {container.image_id}"),
        ("created", f"{container.created:%Y-%m-%d %H:%M:%S} UTC · {human_age(container.created, current_time)}"),
        ("pid", str(details.pid or "—")),
        ("command", " ".join(details.argv)),
        ("workdir", details.working_dir or "/"),
        ("ports", ports_text(container.ports) or "none"),
        ("driver", f"{container.driver.name} ({container.driver.kind})"),
        ("log", details.log_path or "—"),
    ]
    if stack:
        pairs += [("found by", stack.located_by), ("by hand", stack.command)]
        pairs += [(str(layer.role), str(layer.path)) for layer in stack.layers]
    pairs += [
        (f"mount {m.kind}", f"{m.destination} ← {m.name or m.source}{'' if m.writable else ' (ro)'}")
        for m in details.mounts
    ]
    pairs += details.settings
    text = detail_lines(details, current_time)
    for name, value in pairs:
        text.append_text(Text.assemble(("\n" + printable(name).ljust(14) + " ", "bold"), printable(value)))
    return text
