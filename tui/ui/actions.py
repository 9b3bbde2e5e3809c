"""The table of all actions, from which key bindings, footer, help and command palette are built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True)
class Action:
    """An action that a key runs.

    ``id`` names the method ``action_<id>`` of the scope's commands, screen or widget, ``keys`` are Textual key names,
    ``label`` is the word in the footer, ``help`` a sentence, and ``scopes`` lists where the action exists. ``footer``
    shows it in the footer. ``priority`` handles the key before the focused widget sees it, so that keys typed right
    after an action that moves the focus reach the newly focused widget.
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
    """False for a key that the widget itself binds; it is listed only for the help."""
    passes_key: bool = False
    """True if the action takes the pressed key as its argument."""
    instead_of: str = ""
    """The action with the same key; the screen hides one of the two (``hides``)."""


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
"""Scopes in the order in which the help shows them."""

TABLE: tuple[Action, ...] = (
    Action("cursor_up", "up,k", "Up", "Move one line up", ("move",), palette=False),
    Action("cursor_down", "down,j", "Down", "Move one line down", ("move",), palette=False),
    Action("page_up", "pageup,ctrl+u", "Page up", "Move one page up", ("move",), palette=False),
    Action("page_down", "pagedown,ctrl+d", "Page down", "Move one page down", ("move",), palette=False),
    Action("first", "home", "First", "Go to the first line", ("move",), palette=False),
    Action("last", "end,G", "Last", "Go to the last line", ("move",), palette=False),
    Action("choose", "enter", "Open", "Open the selected line", ("move",), palette=False),
    # containers
    Action("open_layer", "enter", "layer", "Open the container's writable layer", ("containers",), footer=True),
    Action("start", "s", "start", "Start the container", ("containers", "logs"), footer=True),
    Action(
        "start_again",
        "s",
        "restart",
        "Restart the running container (asks first)",
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
        "Restart the running container (asks first)",
        ("layer",),
        footer=True,
        palette=False,
        instead_of="start",
    ),
    Action("stop", "S", "stop", "Stop the container (asks first)", ("containers", "layer", "logs")),
    Action(
        "stop_loop",
        "S",
        "stop",
        "Stop the container from restarting again and again (asks first)",
        ("containers", "layer", "logs"),
        footer=True,
        palette=False,
        instead_of="stop",
    ),
    Action("restart", "R", "restart", "Restart the container (asks first)", ("containers", "layer", "logs")),
    Action("pause", "p", "pause", "Pause or unpause the container", ("containers", "layer", "logs")),
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
        "Choose another host or data-root while no engine answers",
        ("containers",),
        key_display="h",
        instead_of="clear_filter",
    ),
    Action("group", "g", "group", "Group by state or by storage driver", ("containers",), footer=True),
    Action("next_group", "tab,right_square_bracket", "next group", "Go to the next group", ("containers",)),
    Action(
        "previous_group", "shift+tab,left_square_bracket", "previous group", "Go to the previous group", ("containers",)
    ),
    Action("sort", "o", "sort", "Sort by age, name, state or image", ("containers",)),
    Action("inspect", "i", "inspect", "Show all details of the container", ("containers", "layer")),
    Action("refresh", "f5,ctrl+l", "refresh", "Reload everything", ("containers", "layer"), key_display="f5"),
    Action("bench", "b", "bench", "Benchmark the storage driver with IOzone", ("containers",), footer=True),
    Action("disk", "D", "disk", "Show what fills the data-root, and whose it is", ("containers",)),
    # layer
    Action("open_entry", "enter", "open", "Open the directory, or edit the file", ("layer",), footer=True),
    Action("edit", "e", "edit", "Edit the file in place", ("layer",), footer=True),
    Action("view", "m", "merged", "Show all files that the container sees", ("layer",), True),
    Action("view_changes", "m", "changes", "Show only what the container changed", ("layer",), True, instead_of="view"),
    Action("external", "o", "$EDITOR", "Edit the file in $EDITOR; saving is just as safe", ("layer",)),
    Action("revert_entry", "u", "revert", "Revert the entry to the image's version (asks first)", ("layer",), True),
    Action("undo_act", "z", "undo", "Undo the last change to this container (asks first)", ("layer",), footer=True),
    Action("delete_entry", "d", "delete", "Delete the file or directory (asks first)", ("layer",), footer=True),
    Action("rename_entry", "r", "rename", "Rename or move the entry", ("layer",)),
    Action("new_entry", "plus", "new", "Create a file, or a directory if the name ends in /", ("layer",)),
    Action("mode_entry", "c", "mode", "Change the permission bits", ("layer",)),
    Action("owner_entry", "C", "owner", "Change owner and group", ("layer",)),
    Action("copy_out", "x", "copy out", "Copy the file or directory to this host", ("layer",)),
    Action("copy_in", "a", "copy in", "Copy a file or directory from this host into the container", ("layer",)),
    Action("find_path", "slash", "find", "Find a name in the whole tree, or go to a /path", ("layer",), False, True),
    Action("find_next", "n", "next", "Go to the next match", ("layer", "logs")),
    Action("find_previous", "N", "previous", "Go to the previous match", ("layer", "logs")),
    Action("expand", "right,space", "expand", "Open the directory in the tree", ("layer",)),
    Action("collapse", "left,h", "collapse", "Close the directory in the tree, or go to its parent", ("layer",)),
    Action("switch_pane", "tab", "pane", "Switch between tree, file and logs", ("layer",)),
    # editor
    Action("save", "ctrl+s", "save", "Show the difference, then save", ("editor",), True),
    Action("leave", "escape", "back", "Leave the editor (asks if there is unsaved text)", ("editor",), True),
    Action("find", "ctrl+f", "find", "Find text in the file, also without editing it", ("editor",), True),
    Action("find_again", "f3", "find next", "Go to the next match", ("editor",)),
    Action("goto_line", "ctrl+g", "line", "Go to a line", ("editor",), True),
    Action("external", "ctrl+o", "$EDITOR", "Continue in $EDITOR; saving is just as safe", ("editor",), True),
    Action("undo", "ctrl+z", "undo", "Undo the last edit", ("editor",), palette=False, own=False),
    Action("redo", "ctrl+y", "redo", "Redo the edit", ("editor",), palette=False, own=False),
    Action("start", "ctrl+r", "start+logs", "Start the container and follow its logs", ("editor",), True),
    Action(
        "start_again",
        "ctrl+r",
        "restart+logs",
        "Restart the running container (asks first)",
        ("editor",),
        footer=True,
        palette=False,
        instead_of="start",
    ),
    Action("help", "f1", "help", "Show all keys (? types a question mark)", ("editor",), footer=True, palette=False),
    # logs
    Action("follow", "f", "follow", "Follow the log, or stop following", ("logs",), footer=True),
    Action("search", "slash", "search", "Search in the log", ("logs",), True, True),
    Action("wrap", "w", "wrap", "Wrap long lines, or scroll sideways", ("logs",), footer=True),
    # bench
    Action("run", "enter", "run", "Start the benchmark", ("bench",), footer=True),
    Action("targets", "d", "drivers", "Choose the storage drivers and engines to compare", ("bench",), True),
    Action("preset", "p", "preset", "Next preset: quick, standard, the article's command", ("bench",), footer=True),
    Action("own_plan", "P", "own plan", "Write your own plan: file sizes, records, tests, modes", ("bench",)),
    Action("suite", "c", "suite", "Measure with IOzone, the copy-on-write suite, or both", ("bench",)),
    Action("abort", "escape", "back", "Abort the run; go back if none is running", ("bench",), footer=True),
    Action("next_chart", "tab,right", "chart", "Show the next test", ("bench",), footer=True),
    Action("previous_chart", "shift+tab,left", "previous chart", "Show the previous test", ("bench",)),
    Action("zoom", "z,space", "zoom", "Show one large chart, or all six", ("bench",), key_display="z"),
    Action("table", "v", "table", "Show only the tables, with the copy-on-write suite", ("bench",), footer=True),
    Action("relative", "m", "ratio", "Show absolute numbers, or ratios to the host's", ("bench",)),
    Action("mode", "o", "mode", "Show the next mode: cached, flushed, direct, cold", ("bench",)),
    Action(
        "pick",
        "1,2,3,4,5,6,7,8,9,0",
        "pick",
        "Hide or show a driver in the charts and tables; 0 shows all",
        ("bench",),
        key_display="1-9 0",
        palette=False,
        passes_key=True,
    ),
    Action("history", "h", "history", "Open, compare, rename or delete earlier runs", ("bench",), footer=True),
    Action("export", "x", "export", "Write the run to a file: CSV, JSON, XLSX, SVG or PNG", ("bench",)),
    # disk
    Action("filter", "slash", "filter", "Filter by owner, name, id or path", ("disk",), True, True),
    Action("clear_filter", "escape", "clear", "Clear the filter", ("disk",), footer=True, instead_of="back"),
    Action("sort", "o", "sort", "Sort by size or by owner", ("disk",), footer=True),
    Action("open_owner", "enter", "layer", "Open the layer of the container that owns it", ("disk",), footer=True),
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
    Action("change_theme", "t", "theme", "Choose the colour theme", ("app",)),
    Action("help", "question_mark,f1", "help", "Show all keys", ("app",), footer=True, key_display="?"),
    Action("help_typing", "f1", "help", "Show all keys", ("app",), True, palette=False, instead_of="help"),
    Action("command_palette", "ctrl+p", "commands", "Find any action by name", ("app",), True, palette=False),
    Action("leave_app", "q", "quit", "Quit (asks if there is unsaved text)", ("app",), footer=True),
    Action("quit_safely", "ctrl+c", "quit", "Quit, even while typing", ("app",), palette=False),
    Action(
        "quit_safely",
        "ctrl+q",
        "quit",
        "Quit, even while typing or answering a question",
        ("app",),
        False,
        True,
        palette=False,
    ),
)


def actions_of(scope: str) -> Iterator[Action]:
    """Yield the actions of one scope in table order."""
    return (action for action in TABLE if scope in action.scopes)


def is_letter(action: str, scope: str) -> bool:
    """Say whether the key of an action, in this scope or in every scope, is a printable character."""
    return action in _TYPED[scope] or action in _TYPED["app"]


def bindings(scope: str, only: tuple[str, ...] = ()) -> list[BindingType]:
    """Return Textual bindings that call ``action_<id>`` for the actions of a scope, or those named by ``only``."""
    return [
        _binding(action, scope, action.keys, action.id) for action in _bound(scope) if not only or action.id in only
    ]


def screen_bindings(
    scope: str, prefix: str = "", only: tuple[str, ...] = (), *, below: bool = False, footer: bool = True
) -> list[BindingType]:
    """Return bindings that run the actions of a scope through the screen's ``action_do``, by ``prefix`` and id.

    ``below`` binds the keys on a widget of the screen instead. Without ``footer``, the footer shows none of them.
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


_TYPED = {  # only the first key counts: the footer shows no other
    scope: frozenset(
        action.id
        for action in actions_of(scope)
        if (first := action.keys.partition(",")[0]) in _SIGNS or len(first) == 1
    )
    for scope in SCOPE_TITLES
}


def key_text(keys: str) -> str:
    """Return Textual key names in short notation: ``ctrl+s,f2`` becomes ``^s f2``."""
    names = (_KEY_NAMES.get(key, key) for key in keys.split(","))
    return " ".join(key.replace("ctrl+", "^").replace("shift+", "⇧") for key in names)
