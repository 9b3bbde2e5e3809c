"""The one table of what a person can do: bindings, footer, help and palette are derived from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True)
class Action:
    """Something a key does.

    ``id`` names the method ``action_<id>`` of the scope's commands, screen or widget, ``keys`` are Textual key names,
    ``label`` is the footer's word, ``help`` a sentence, ``scopes`` where it exists. ``footer`` shows it there.
    ``priority`` takes the key before a focused widget sees it; what is typed right after an action that moves the
    focus then goes where it should.
    """

    id: str
    keys: str
    label: str
    help: str
    scopes: tuple[str, ...]
    footer: bool = False
    priority: bool = False
    key_display: str | None = None
    palette: bool = True
    own: bool = True
    """False for a key that the widget brings along; it stands here for the help alone."""
    passes_key: bool = False
    """True where the action is told which of its keys was pressed."""
    instead_of: str = ""
    """The action that has the same key; the screen hides one of the two (``hides``)."""


SCOPE_TITLES = {
    "move": "Moving",
    "containers": "Containers",
    "layer": "Layer",
    "editor": "Editor",
    "logs": "Logs",
    "bench": "Benchmark",
    "disk": "Disk",
    "welcome": "No Docker here",
    "app": "Everywhere",
}
"""Scopes in the order help shows them."""

TABLE: tuple[Action, ...] = (
    Action("cursor_up", "up,k", "Up", "One line up", ("move",), palette=False),
    Action("cursor_down", "down,j", "Down", "One line down", ("move",), palette=False),
    Action("page_up", "pageup,ctrl+u", "Page up", "One page up", ("move",), palette=False),
    Action("page_down", "pagedown,ctrl+d", "Page down", "One page down", ("move",), palette=False),
    Action("first", "home", "First", "To the first line", ("move",), palette=False),
    Action("last", "end,G", "Last", "To the last line", ("move",), palette=False),
    Action("choose", "enter", "Open", "Open what the cursor is on", ("move",), palette=False),
    # containers
    Action("open_layer", "enter", "layer", "Open the container's writable layer", ("containers",), footer=True),
    Action("start", "s", "start", "Start the container", ("containers", "logs"), footer=True),
    Action(
        "start_again",
        "s",
        "restart",
        "Restart the container that runs (asks first)",
        ("containers", "logs"),
        footer=True,
        palette=False,
        instead_of="start",
    ),
    Action("start", "s", "start+logs", "Start the container and follow its logs", ("layer",), footer=True),
    Action(
        "start_again",
        "s",
        "restart+logs",
        "Restart the container that runs (asks first)",
        ("layer",),
        footer=True,
        palette=False,
        instead_of="start",
    ),
    Action("stop", "S", "stop", "Stop the container (asks first)", ("containers", "layer", "logs")),
    Action("restart", "R", "restart", "Restart the container (asks first)", ("containers", "layer", "logs")),
    Action("pause", "p", "pause", "Pause the container, or let it go on", ("containers", "layer", "logs")),
    Action("kill", "K", "kill", "Kill the container's main process (asks first)", ("containers", "layer", "logs")),
    Action("remove", "delete,X", "remove", "Remove the container (asks first)", ("containers",), key_display="X"),
    Action("logs", "l", "logs", "Show and follow the container's logs", ("containers",), footer=True),
    Action("logs", "l", "logs", "Show and follow the container's logs", ("layer",)),
    Action("filter", "slash", "filter", "Filter by name, image, id or status", ("containers",), True, True),
    Action("clear_filter", "escape", "clear", "Clear the filter", ("containers",), footer=True),
    Action(
        "elsewhere",
        "h,escape",
        "other hosts",
        "Go to the other ways in, while no Engine has answered",
        ("containers",),
        key_display="h",
        instead_of="clear_filter",
    ),
    Action("group", "g", "group", "Group by state or by storage driver", ("containers",), footer=True),
    Action("next_group", "tab,right_square_bracket", "next group", "Go to the next group", ("containers",)),
    Action("previous_group", "shift+tab,left_square_bracket", "previous group", "To the group before", ("containers",)),
    Action("sort", "o", "sort", "Sort by age, name, state or image", ("containers",)),
    Action("inspect", "i", "inspect", "Show all that is known about the container", ("containers", "layer")),
    Action("refresh", "f5,ctrl+l", "refresh", "List everything again", ("containers", "layer"), key_display="f5"),
    Action("bench", "b", "bench", "Benchmark the storage driver with IOzone", ("containers",), footer=True),
    Action("disk", "D", "disk", "Show whose each layer directory of the data-root is, and its size", ("containers",)),
    # layer
    Action("open_entry", "enter", "open", "Open the directory, or edit the file", ("layer",), footer=True),
    Action("edit", "e", "edit", "Edit the file in place", ("layer",), footer=True),
    Action("view", "m", "merged", "Switch between what changed and what the container sees", ("layer",), True),
    Action(
        "view_changes", "m", "changes", "Switch back to what the container changed", ("layer",), True, instead_of="view"
    ),
    Action("external", "o", "$EDITOR", "Edit the file in $EDITOR; it is saved the same safe way", ("layer",)),
    Action("revert_entry", "u", "revert", "Back to what the image has: edited, deleted or added", ("layer",), True),
    Action("undo_act", "z", "undo", "Take the last change to this container back", ("layer",), footer=True),
    Action("delete_entry", "d", "delete", "Delete the file or directory (asks first)", ("layer",), footer=True),
    Action("rename_entry", "r", "rename", "Give the entry another name or place", ("layer",)),
    Action("new_entry", "plus", "new", "A new file, or with / at its end a new directory", ("layer",)),
    Action("mode_entry", "c", "mode", "Change the permission bits", ("layer",)),
    Action("owner_entry", "C", "owner", "Change owner and group", ("layer",)),
    Action("copy_out", "x", "copy out", "Copy the file or directory to this host", ("layer",)),
    Action("copy_in", "a", "copy in", "Copy a file or directory of this host to here", ("layer",)),
    Action("find_path", "slash", "find", "Find a name in the whole tree, or go to a /path", ("layer",), False, True),
    Action("find_next", "n", "next", "To the next match", ("layer", "logs")),
    Action("find_previous", "N", "previous", "To the match before", ("layer", "logs")),
    Action("expand", "right,space", "expand", "Open the directory in the tree", ("layer",)),
    Action("collapse", "left,h", "collapse", "Close the directory in the tree, or go to its parent", ("layer",)),
    Action("switch_pane", "tab", "pane", "Go between tree, file and logs", ("layer",)),
    # editor
    Action("save", "ctrl+s", "save", "Show the difference, then save", ("editor",), True),
    Action("leave", "escape", "back", "Leave the editor; asks when there is unsaved text", ("editor",), True),
    Action("find", "ctrl+f", "find", "Find text in the file, also in one that is only looked at", ("editor",), True),
    Action("find_again", "f3", "find next", "To the next match", ("editor",)),
    Action("goto_line", "ctrl+g", "line", "Go to a line", ("editor",), True),
    Action("external", "ctrl+o", "$EDITOR", "Go on in $EDITOR; it is saved the same safe way", ("editor",), True),
    Action("undo", "ctrl+z", "undo", "Take the last edit back", ("editor",), palette=False, own=False),
    Action("redo", "ctrl+y", "redo", "Do the edit again", ("editor",), palette=False, own=False),
    Action("start", "ctrl+r", "start+logs", "Start the container and follow its logs", ("editor",), True),
    Action(
        "start_again",
        "ctrl+r",
        "restart+logs",
        "Restart the container that runs (asks first)",
        ("editor",),
        footer=True,
        palette=False,
        instead_of="start",
    ),
    Action("help", "f1", "help", "Show all keys; ? is a letter here", ("editor",), footer=True, palette=False),
    # logs
    Action("follow", "f", "follow", "Follow the log, or hold it still", ("logs",), footer=True),
    Action("search", "slash", "search", "Search in the log", ("logs",), True, True),
    Action("wrap", "w", "wrap", "Break long lines, or leave them whole and scroll sideways", ("logs",), footer=True),
    # bench
    Action("run", "enter", "run", "Start the benchmark", ("bench",), footer=True),
    Action("targets", "d", "drivers", "Choose the storage drivers and engines that are compared", ("bench",), True),
    Action("preset", "p", "preset", "The next preset: quick, standard, the article's command", ("bench",), footer=True),
    Action("own_plan", "P", "own plan", "A plan of your own: file sizes, records, tests, modes", ("bench",)),
    Action("suite", "c", "suite", "IOzone, what copy-on-write costs, or both", ("bench",)),
    Action("abort", "escape", "back", "Abort the run cleanly; without one, go back", ("bench",), footer=True),
    Action("next_chart", "tab,right", "chart", "Show the next test", ("bench",), footer=True),
    Action("previous_chart", "shift+tab,left", "previous chart", "Show the test before", ("bench",)),
    Action("zoom", "z,space", "zoom", "One chart large, or all six", ("bench",), key_display="z"),
    Action("table", "v", "table", "The tables alone, with the copy-on-write suite", ("bench",), footer=True),
    Action("relative", "m", "ratio", "Numbers as they are, or beside the host's", ("bench",)),
    Action("mode", "o", "mode", "The next mode measured: cached, flushed, direct, cold", ("bench",)),
    Action(
        "pick",
        "1,2,3,4,5,6,7,8,9,0",
        "pick",
        "Take a driver out of the charts and tables, or put it back; 0 puts all back",
        ("bench",),
        key_display="1-9 0",
        palette=False,
        passes_key=True,
    ),
    Action("history", "h", "history", "Open, compare, rename or delete runs that were made", ("bench",), footer=True),
    Action("export", "x", "export", "Write the run to a file: CSV, JSON, XLSX, SVG or PNG", ("bench",)),
    # disk
    Action("sort", "o", "sort", "Sort by size or by owner", ("disk",), footer=True),
    Action("open_owner", "enter", "layer", "Open the layer of the container it belongs to", ("disk",), footer=True),
    Action("refresh", "f5,ctrl+l", "refresh", "Read the data-root again", ("disk",), True, key_display="f5"),
    # welcome
    Action("demo", "d", "demo", "Open the sample containers", ("welcome",), footer=True),
    Action("data_root", "r", "data-root", "Read a data-root without a daemon", ("welcome",), footer=True),
    Action("host", "h", "host", "Connect to another Docker host", ("welcome",), footer=True),
    Action("retry", "f5,enter", "try again", "Look for a Docker Engine again", ("welcome",), True, key_display="f5"),
    # everywhere
    Action(
        "back", "escape,backspace", "back", "Go back; never quits, never loses text", ("layer", "logs", "disk"), True
    ),
    Action("change_theme", "t", "theme", "Choose the colours", ("app",)),
    Action("help", "question_mark,f1", "help", "Show all keys", ("app",), footer=True, key_display="?"),
    Action("help_typing", "f1", "help", "Show all keys", ("app",), True, palette=False, instead_of="help"),
    Action("command_palette", "ctrl+p", "commands", "Find any action by name", ("app",), True, palette=False),
    Action("leave_app", "q", "quit", "Quit; asks when there is unsaved text", ("app",), footer=True),
    Action("quit_safely", "ctrl+c", "quit", "Quit from a line too", ("app",), palette=False),
    Action("quit_safely", "ctrl+q", "quit", "Quit from a line or question", ("app",), False, True, palette=False),
)


def actions_of(scope: str) -> Iterator[Action]:
    """Yield the actions of one scope in table order."""
    return (action for action in TABLE if scope in action.scopes)


def is_letter(action: str, scope: str) -> bool:
    """Say whether what a person presses for an action of a scope, or everywhere, is typed into a line instead."""
    return action in _TYPED[scope] or action in _TYPED["app"]


def bindings(scope: str, only: tuple[str, ...] = ()) -> list[BindingType]:
    """Return the Textual bindings of one scope, or of ``only`` some of its actions, for who has their methods."""
    return [
        _binding(action, scope, action.keys, action.id) for action in _bound(scope) if not only or action.id in only
    ]


def screen_bindings(
    scope: str, prefix: str = "", only: tuple[str, ...] = (), *, below: bool = False, footer: bool = True
) -> list[BindingType]:
    """Return the bindings of one scope that a screen hands to its commands, each by the name ``prefix`` and id.

    ``below`` is for a widget whose keys act on its screen. Without ``footer`` none of them is shown there.
    """
    do = "screen.do" if below else "do"
    return [
        _binding(
            action,
            scope,
            keys,
            f"{do}('{prefix}{action.id}'" + (f", '{keys}')" if action.passes_key else ")"),
            footer=footer,
        )
        for action in _bound(scope)
        if not only or action.id in only
        for keys in (action.keys.split(",") if action.passes_key else (action.keys,))
    ]


def _bound(scope: str) -> Iterator[Action]:
    return (action for action in actions_of(scope) if action.own)


def _binding(action: Action, scope: str, keys: str, call: str, *, footer: bool = True) -> Binding:
    return Binding(
        keys,
        call,
        action.label,
        show=action.footer and footer,
        priority=action.priority,
        key_display=action.key_display,
        tooltip=action.help,
        id=f"{scope}.{action.id}" + (f".{keys}" if action.passes_key else ""),
    )


_SIGNS = {
    "slash": "/",
    "plus": "+",
    "question_mark": "?",
    "right_square_bracket": "]",
    "left_square_bracket": "[",
}
_KEY_NAMES = {**_SIGNS, "pageup": "pgup", "pagedown": "pgdn", "escape": "esc"}


_TYPED = {  # by the first key: the others, such as f5 or an arrow, are not what the footer names
    scope: frozenset(
        action.id
        for action in actions_of(scope)
        if (first := action.keys.partition(",")[0]) in _SIGNS or len(first) == 1
    )
    for scope in SCOPE_TITLES
}


def key_text(keys: str) -> str:
    """Return Textual key names as people write them: ``ctrl+s,f2`` becomes ``^s f2``."""
    names = (_KEY_NAMES.get(key, key) for key in keys.split(","))
    return " ".join(key.replace("ctrl+", "^").replace("shift+", "⇧") for key in names)
