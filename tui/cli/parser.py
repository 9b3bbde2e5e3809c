"""The arguments: global options, verbs, and the module that runs each verb."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from tui import __version__
from tui.core.errors import UsageError
from tui.core.records import State
from tui.core.state import state_base
from tui.core.text import printable

VERBS = {
    "ls": "list containers of all endpoints",
    "path": "print the writable layer's directory on the host",
    "changes": "list what a container changed",
    "tree": "show the tree of a layer, or everything the container sees",
    "cat": "print a file",
    "write": "replace a file safely with standard input",
    "rm": "delete a file or directory inside a container (can be undone)",
    "mv": "rename a file or directory inside a container",
    "mkdir": "create a directory inside a container",
    "chmod": "change permission bits inside a container",
    "chown": "change owner and group inside a container",
    "cp": "copy between this host and a container",
    "revert": "restore the image's version of a file or directory",
    "undo": "undo the last change that dtui made",
    "backups": "list what dtui changed and can undo",
    "edit": "open a file in the app's editor",
    "bench": "measure storage drivers with IOzone, and show earlier runs",
    "drivers": "list which storage drivers can be measured here, and what the others need",
    "which": "show which container or image owns a path, or an id, of a data-root",
    "disk": "list everything in the data-roots by size, with its owner",
    "doctor": "check what is there, what is missing, and how to fix it",
    "demo": "run the app, or any verb, on a sample data-root",
    "completion": "print a completion script for a shell",
}
"""Every verb with its help text. The module of the same name runs it."""


_STATE_VERBS = ("write", "rm", "mv", "mkdir", "chmod", "chown", "cp", "revert", "undo", "backups", "edit", "app")
"""Verbs that write backups or read them: an unusable state directory is reported before anything else."""

_GLOBAL_OPTIONS = ("-H", "--host", "--context", "--root", "--config")
"""Options that must precede the verb, because they say which endpoints to use."""


class _Parser(argparse.ArgumentParser):
    """Raises UsageError on wrong usage, so that it is one line with exit code 2 like every other failure."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"see {self.prog} --help")


def _run_verb(verb: str) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        if verb in _STATE_VERBS:
            state_base()
        result = importlib.import_module(f"tui.cli.{verb}").run(options)
        return int(result)

    return run


def make_parser() -> argparse.ArgumentParser:
    """Return the parser with all verbs."""
    parser = _Parser(prog="dtui", description="Open, fix and restart Docker containers by their writable layers.")
    parser.add_argument("--version", action="version", version=f"dtui {__version__}")
    parser.add_argument("-H", "--host", action="append", default=[], metavar="URL", help="a Docker Engine")
    parser.add_argument("--context", action="append", default=[], metavar="NAME", help="a docker context")
    parser.add_argument(
        "--root", action="append", default=[], type=Path, metavar="DIR", help="a data-root, read without a daemon"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings file (TOML)")
    parser.set_defaults(run=_run_verb("app"), verb="", sample=None)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    for verb, text in VERBS.items():
        sub = verbs.add_parser(verb, help=text, description=text)
        sub.set_defaults(run=_run_verb(verb), verb=verb)
        _ARGUMENTS[verb](sub)
    _purge(verbs.add_parser(_PURGE, prog="dtui backups purge", description="delete backups permanently"))
    return parser


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the arguments. ``run`` of the result runs the verb. Raises UsageError."""
    parser = make_parser()
    options, unrecognized = parser.parse_known_args(_with_purge(list(sys.argv[1:] if argv is None else argv)))
    for word in unrecognized:
        if word.startswith(_GLOBAL_OPTIONS):
            raise UsageError(
                f"{printable(word)} goes before the verb", f"dtui {printable(word)} ... {options.verb} ..."
            )
    if unrecognized:
        parser.error(f"unrecognized arguments: {printable(' '.join(unrecognized))}")
    return options


_PURGE = "backups purge"


def _with_purge(arguments: list[str]) -> list[str]:
    """Join ``backups purge`` into one word, because a REF may stand where ``purge`` does."""
    for index in range(len(arguments) - 1):
        if arguments[index : index + 2] == _PURGE.split():
            return [*arguments[:index], _PURGE, *arguments[index + 2 :]]
    return arguments


def _purge(sub: argparse.ArgumentParser) -> None:
    def run(options: argparse.Namespace) -> int:
        state_base()
        return int(importlib.import_module("tui.cli.backups").purge(options))

    sub.set_defaults(run=run, verb="backups")
    sub.add_argument(
        "ref", metavar="REF", nargs="?", type=_container, help="only of this container, even if it was removed"
    )
    text = "only backups older than this: 7d, 12h, 30m"
    sub.add_argument("--older-than", type=_age, metavar="AGE", help=text)
    sub.add_argument("-f", "--force", action="store_true", help="do not ask for confirmation")
    _json(sub)


def _container(text: str) -> str:
    """Refuse an empty REF, for instance from an unset variable: without a REF, all containers are meant."""
    if not text:
        raise argparse.ArgumentTypeError("REF is empty")
    return text


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def _age(text: str) -> timedelta:
    if not re.fullmatch(f"[0-9]{{1,6}}[{''.join(_UNITS)}]", text):
        raise argparse.ArgumentTypeError(f"{printable(text)} is not an age such as 7d, 12h or 30m")
    return timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])


def _levels(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{printable(text)} is not a number of levels")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise argparse.ArgumentTypeError(f"{printable(text)} is not a number of seconds such as 30")
    return float(text)


def _permissions(text: str) -> int:
    if not re.fullmatch("[0-7]{1,4}", text):
        raise argparse.ArgumentTypeError(f"{printable(text)} is not an octal mode such as 0644")
    return int(text, 8)


def _ls(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--state", choices=[state.value for state in State], help="only containers in this state")
    sub.add_argument("--driver", help="only containers on this storage driver")
    sub.add_argument("--size", action="store_true", help="show the size of the writable layers, which takes time")
    _json(sub)


def _path(sub: argparse.ArgumentParser) -> None:
    _ref(sub)
    sub.add_argument("--merged", action="store_true", help="the directory that shows what the container sees")
    sub.add_argument(
        "-v", "--verbose", action="store_true", help="also print how it was found, and the command for that"
    )


def _changes(sub: argparse.ArgumentParser) -> None:
    _ref(sub)
    _json(sub)


def _tree(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("ref", metavar="REF[:PATH]")
    sub.add_argument("--view", choices=("layer", "merged"), default="layer")
    sub.add_argument("--depth", type=_levels, default=0, help="levels to show; 0 for all")
    _json(sub)


def _cat(sub: argparse.ArgumentParser) -> None:
    _file(sub)


def _write(sub: argparse.ArgumentParser) -> None:
    _file(sub)
    sub.add_argument("--create", action="store_true", help="create the file if it does not exist")
    sub.add_argument(
        "--in-place", action="store_true", help="overwrite the file itself, for processes that have it open"
    )
    _backup_options(sub)
    sub.add_argument("--mode", type=_permissions, metavar="0644", help="permission bits, octal")
    _restart(sub)
    _wait(sub)
    _json(sub)


def _rm(sub: argparse.ArgumentParser) -> None:
    _file(sub)
    sub.add_argument("-r", "--recursive", action="store_true", help="include everything below a directory")
    _backup_options(sub)
    _restart(sub)
    _wait(sub)
    _json(sub)


def _mv(sub: argparse.ArgumentParser) -> None:
    _file(sub)
    sub.add_argument("new", metavar="NEWPATH", help="the new path in the same container, or a directory to move into")
    _keep_option(sub)
    _restart(sub)
    _wait(sub)
    _json(sub)


def _mkdir(sub: argparse.ArgumentParser) -> None:
    _file(sub)
    sub.add_argument("-p", "--parents", action="store_true", help="create missing parents too")
    sub.add_argument("--mode", type=_permissions, metavar="0755", help="permission bits, octal")
    _restart(sub)
    _wait(sub)
    _json(sub)


def _chmod(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("-R", "--recursive", action="store_true", help="include everything below a directory")
    sub.add_argument("mode", metavar="MODE", help="0644, or u+x,go-w")
    _file(sub)
    _restart(sub)
    _wait(sub)
    _json(sub)


def _chown(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("-R", "--recursive", action="store_true", help="include everything below a directory")
    sub.add_argument(
        "owner", metavar="USER[:GROUP]", help="numbers, or names from the container's own /etc/passwd and /etc/group"
    )
    _file(sub)
    _restart(sub)
    _wait(sub)
    _json(sub)


def _cp(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("source", metavar="SOURCE", help="a path on this host, or REF:PATH")
    sub.add_argument("target", metavar="TARGET", help="REF:PATH, or a path on this host")
    sub.add_argument("--force", action="store_true", help="replace an existing file on this host")
    _backup_options(sub, nothing=False)
    _restart(sub)
    _wait(sub)
    _json(sub)


def _revert(sub: argparse.ArgumentParser) -> None:
    _file(sub)
    _backup_options(sub)
    _restart(sub)
    _wait(sub)
    _json(sub)


def _undo(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("ref", metavar="REF", nargs="?", type=_container, help="only changes to this container")
    sub.add_argument("--id", help="the change to undo: its id in dtui backups, or the beginning of it")
    sub.add_argument("--force", action="store_true", help="undo even if the file was changed since")
    _backup_options(sub)
    _restart(sub)
    _wait(sub)
    _json(sub)


def _backups(sub: argparse.ArgumentParser) -> None:
    text = "only of this container, even if it was removed; 'dtui backups purge' deletes backups"
    sub.add_argument("ref", metavar="REF", nargs="?", type=_container, help=text)
    _json(sub)


def _edit(sub: argparse.ArgumentParser) -> None:
    _file(sub)


def _bench(sub: argparse.ArgumentParser) -> None:
    does = sub.add_subparsers(title="subcommands", metavar="SUBCOMMAND", required=True, dest="what")
    _bench_run(does.add_parser("run", help="measure, and print the tables"))
    _json(does.add_parser("list", help="list the runs made on this host"))
    show = does.add_parser("show", help="print a run")
    _json(_run_of(show))
    show.add_argument("--charts", action="store_true", help="print six charts before the tables")
    compare = _run_of(does.add_parser("compare", help="compare two runs, with a verdict for each number"))
    compare.add_argument("other", metavar="RUN", help="the run to compare with")
    compare.add_argument(
        "--target", action="append", default=[], help="only this target; give two to compare one with the other"
    )
    _json(compare)
    export = _run_of(does.add_parser("export", help="write a run to a file"))
    export.add_argument("--format", required=True, choices=("csv", "json", "xlsx", "svg", "png"))
    export.add_argument("file", metavar="FILE")
    export.add_argument("--force", action="store_true", help="replace an existing file")
    foreign = does.add_parser("import", help="store IOzone's text output from another host as a run")
    foreign.add_argument("file", metavar="FILE", help="the text file, or - for standard input")
    foreign.add_argument("--target", required=True, help="the name of what was measured")
    foreign.add_argument("--name", default="", help="a name for the run")
    rename = _run_of(does.add_parser("rename", help="rename a run"))
    rename.add_argument("name", metavar="NAME")
    _run_of(does.add_parser("delete", help="delete a run"))
    clean = does.add_parser("clean", help="remove what benchmarks left in the engine")
    _json(clean)


def _run_of(sub: argparse.ArgumentParser) -> argparse.ArgumentParser:
    sub.add_argument("ref", metavar="RUN", help="number or name of a run; last is the newest")
    return sub


def _bench_run(sub: argparse.ArgumentParser) -> None:
    repeatable: dict[str, Any] = {"action": "append", "default": []}
    sub.add_argument(
        "--driver", **repeatable, help="a storage driver, measured in a throwaway engine; also host and volume"
    )
    sub.add_argument("--engine", **repeatable, help="a running engine, by the name of its endpoint")
    sub.add_argument("--preset", choices=("quick", "standard", "article"), default="quick")
    sub.add_argument("--repeat", type=int, metavar="N", help="how often to measure each number")
    sub.add_argument("--size", **repeatable, help="a file size of your own, such as 16m")
    sub.add_argument("--record", **repeatable, help="a record size of your own, such as 4k")
    tests = ("write", "rewrite", "read", "reread", "random read", "random write")
    sub.add_argument("--test", **repeatable, choices=tests, help="only these tests, and those they depend on")
    modes = ("cached", "flushed", "direct", "cold")
    sub.add_argument(
        "--mode",
        **repeatable,
        choices=modes,
        help="with the page cache, with fsync, bypassing the cache, or with emptied caches",
    )
    sub.add_argument("--name", default="", help="a name for the run")
    suites = ("iozone", "cow", "all")
    sub.add_argument("--suite", choices=suites, default="iozone", help="IOzone, the cost of copy-on-write, or both")
    sub.add_argument("--cow-size", **repeatable, help="a file size of the copy-on-write suite, such as 16m")
    sub.add_argument(
        "--cow-depth", **repeatable, type=int, metavar="N", help="a number of layers of the copy-on-write suite"
    )
    sub.add_argument(
        "--no-controls", dest="controls", action="store_false", help="do not measure the host and one target twice"
    )
    sub.add_argument("--charts", action="store_true", help="print six charts before the tables")
    sub.add_argument("--yes", action="store_true", help="run even if it takes long")
    _json(sub)


def _which(sub: argparse.ArgumentParser) -> None:
    text = "a path on this host, or the id of a layer or container"
    sub.add_argument("paths", metavar="PATH|ID", nargs="+", help=text)
    _json(sub)


def _disk(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--orphans", action="store_true", help="only what nothing refers to")
    _json(sub)


def _doctor(sub: argparse.ArgumentParser) -> None:
    _json(sub)


def _demo(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("words", nargs=argparse.REMAINDER, metavar="VERB ...", help="a verb to run on the sample")


def _completion(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("shell", choices=("bash", "zsh", "tcsh", "fish"), help="the shell to complete in")


def _ref(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("ref", metavar="REF", help="name, id or unique id prefix, optionally after ENDPOINT/")


def _file(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("ref", metavar="REF:PATH", help="a container and a path inside it")


def _wait(sub: argparse.ArgumentParser) -> None:
    text = "wait this long for another dtui that is changing the container (default: refuse)"
    sub.add_argument("--wait", type=_seconds, default=0.0, metavar="SECONDS", help=text)


def _restart(sub: argparse.ArgumentParser) -> None:
    text = "stop the container first, and start it again with its restart policy unchanged"
    sub.add_argument("--restart", action="store_true", help=text)


def _keep_option(sub: argparse._ActionsContainer) -> None:
    sub.add_argument(
        "--keep", action="store_true", help="back up what is replaced whatever its size, if there is space"
    )


def _backup_options(sub: argparse.ArgumentParser, *, nothing: bool = True) -> None:
    """Add the options that say what to do with what is replaced."""
    exclusive_group = sub.add_mutually_exclusive_group()
    _keep_option(exclusive_group)
    exclusive_group.add_argument("--set-aside", action="store_true", help="back up with a rename instead of a copy")
    if nothing:
        exclusive_group.add_argument("--no-backup", action="store_true", help="make no backup: this cannot be undone")


def _json(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--json", action="store_true", help="print one JSON value")


_ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "ls": _ls,
    "path": _path,
    "changes": _changes,
    "tree": _tree,
    "cat": _cat,
    "write": _write,
    "rm": _rm,
    "mv": _mv,
    "mkdir": _mkdir,
    "chmod": _chmod,
    "chown": _chown,
    "cp": _cp,
    "revert": _revert,
    "undo": _undo,
    "backups": _backups,
    "edit": _edit,
    "bench": _bench,
    "drivers": _json,
    "which": _which,
    "disk": _disk,
    "doctor": _doctor,
    "demo": _demo,
    "completion": _completion,
}
