"""Arguments: the global options, and which module does which verb."""

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
    "path": "the writable layer's directory on the host",
    "changes": "what the container changed",
    "tree": "the tree of a layer, or of what the container sees",
    "cat": "a file's bytes",
    "write": "replace a file with standard input, safely",
    "rm": "delete a file or directory inside a container; undo brings it back",
    "mv": "rename inside a container",
    "mkdir": "make a directory inside a container",
    "chmod": "change permission bits inside a container",
    "chown": "change owner and group inside a container",
    "cp": "copy between this host and a container",
    "revert": "back to what the image has: edited, deleted or added",
    "undo": "take back the last thing dtui changed",
    "backups": "what dtui changed and can take back",
    "edit": "open a file in the app's editor",
    "bench": "measure storage drivers with IOzone, and look at what was measured",
    "drivers": "which storage drivers can be measured here, and what the others lack",
    "which": "whose a directory of a data-root is: a container's, an image's, the build cache's, nobody's",
    "doctor": "what is there, what is missing, how to mend it",
    "demo": "the app, or any verb, over a sample data-root",
}
"""Every verb and its help; the module of the same name does it."""


_STATE_VERBS = ("write", "rm", "mv", "mkdir", "chmod", "chown", "cp", "revert", "undo", "backups", "edit", "app")
"""Verbs that keep what they replace, or put it back: where it is kept is looked at before anything else."""

_GLOBAL_OPTIONS = ("-H", "--host", "--context", "--root", "--config")
"""Options that a verb does not take, for they say where everything is looked for."""


class _Parser(argparse.ArgumentParser):
    """Wrong usage is one line with exit code 2, as everything else that goes wrong."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"{self.prog} --help tells how")


def _run_verb(verb: str) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        if verb in _STATE_VERBS:
            state_base()
        result = importlib.import_module(f"tui.cli.{verb}").run(options)
        return int(result)

    return run


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; ``run`` among them does the verb. Raises UsageError."""
    parser = _Parser(prog="dtui", description="Open, fix and restart Docker containers by their writable layers.")
    parser.add_argument("--version", action="version", version=f"dtui {__version__}")
    parser.add_argument("-H", "--host", action="append", default=[], metavar="URL", help="a Docker Engine")
    parser.add_argument("--context", action="append", default=[], metavar="NAME", help="a docker context")
    parser.add_argument(
        "--root", action="append", default=[], type=Path, metavar="DIR", help="a data-root, read without a daemon"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML)")
    parser.set_defaults(run=_run_verb("app"), verb="", sample=None)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    arguments = list(sys.argv[1:] if argv is None else argv)
    for verb, text in VERBS.items():
        sub = verbs.add_parser(verb, help=text, description=text)
        sub.set_defaults(run=_run_verb(verb), verb=verb)
        _ARGUMENTS[verb](sub)
    _purge(verbs.add_parser(_PURGE, prog="dtui backups purge", description="delete what is kept for undo, for good"))
    options, unrecognized = parser.parse_known_args(_with_purge(arguments))
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
    """Make one word of ``backups purge``, for a REF may stand where the second one does."""
    for index in range(len(arguments) - 1):
        if arguments[index : index + 2] == _PURGE.split():
            return [*arguments[:index], _PURGE, *arguments[index + 2 :]]
    return arguments


def _purge(sub: argparse.ArgumentParser) -> None:
    def run(options: argparse.Namespace) -> int:
        state_base()
        return int(importlib.import_module("tui.cli.backups").purge(options))

    sub.set_defaults(run=run, verb="backups")
    sub.add_argument("ref", metavar="REF", nargs="?", type=_container, help="only of this container, there or gone")
    text = "only what was done so long ago: 7d, 12h, 30m"
    sub.add_argument("--older-than", type=_age, metavar="AGE", help=text)
    sub.add_argument("-f", "--force", action="store_true", help="ask nothing on a terminal")
    _json(sub)


def _container(text: str) -> str:
    """Refuse an empty name, as of a variable that is not set: without one, all containers are meant."""
    if not text:
        raise argparse.ArgumentTypeError("an empty REF names no container")
    return text


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def _age(text: str) -> timedelta:
    if not re.fullmatch(f"[0-9]{{1,6}}[{''.join(_UNITS)}]", text):
        raise argparse.ArgumentTypeError(f"{printable(text)} is no age, such as 7d, 12h or 30m")
    return timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])


def _levels(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{printable(text)} is no number of levels")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise argparse.ArgumentTypeError(f"{printable(text)} is no number of seconds, such as 30")
    return float(text)


def _permissions(text: str) -> int:
    if not re.fullmatch("[0-7]{1,4}", text):
        raise argparse.ArgumentTypeError(f"{printable(text)} are no permission bits in octal, such as 0644")
    return int(text, 8)


def _ls(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--state", choices=[state.value for state in State], help="only those in this state")
    sub.add_argument("--driver", help="only those on this storage driver")
    sub.add_argument("--size", action="store_true", help="count the writable layers, which takes time")
    _json(sub)


def _path(sub: argparse.ArgumentParser) -> None:
    _ref(sub)
    sub.add_argument("--merged", action="store_true", help="the directory that shows what the container sees")
    sub.add_argument("-v", "--verbose", action="store_true", help="which way gave the answer, and the command for it")


def _changes(sub: argparse.ArgumentParser) -> None:
    _ref(sub)
    _json(sub)


def _tree(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("ref", metavar="REF[:PATH]")
    sub.add_argument("--view", choices=("layer", "merged"), default="layer")
    sub.add_argument("--depth", type=_levels, default=0, help="levels; 0 for all")
    _json(sub)


def _cat(sub: argparse.ArgumentParser) -> None:
    _file(sub)


def _write(sub: argparse.ArgumentParser) -> None:
    _file(sub)
    sub.add_argument("--create", action="store_true", help="make a new file")
    sub.add_argument("--in-place", action="store_true", help="overwrite the file itself, for who has it open")
    _backup_options(sub)
    sub.add_argument("--mode", type=_permissions, metavar="0644", help="permission bits, octal")
    _wait(sub)
    _json(sub)


def _rm(sub: argparse.ArgumentParser) -> None:
    _file(sub)
    sub.add_argument("-r", "--recursive", action="store_true", help="a directory and all below it")
    _backup_options(sub)
    _wait(sub)
    _json(sub)


def _mv(sub: argparse.ArgumentParser) -> None:
    _file(sub)
    sub.add_argument("new", metavar="NEWPATH", help="the new path in the same container, or a directory to move into")
    _keep_option(sub)
    _wait(sub)
    _json(sub)


def _mkdir(sub: argparse.ArgumentParser) -> None:
    _file(sub)
    sub.add_argument("-p", "--parents", action="store_true", help="make those above too")
    sub.add_argument("--mode", type=_permissions, metavar="0755", help="permission bits, octal")
    _wait(sub)
    _json(sub)


def _chmod(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("-R", "--recursive", action="store_true", help="a directory and all below it")
    sub.add_argument("mode", metavar="MODE", help="0644, or u+x,go-w")
    _file(sub)
    _wait(sub)
    _json(sub)


def _chown(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("-R", "--recursive", action="store_true", help="a directory and all below it")
    sub.add_argument("owner", metavar="USER[:GROUP]", help="numbers, or names that the container knows")
    _file(sub)
    _wait(sub)
    _json(sub)


def _cp(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("source", metavar="SOURCE", help="a path of this host, or REF:PATH")
    sub.add_argument("target", metavar="TARGET", help="REF:PATH, or a path of this host")
    sub.add_argument("--force", action="store_true", help="replace a file of this host")
    _backup_options(sub, nothing=False)
    _wait(sub)
    _json(sub)


def _revert(sub: argparse.ArgumentParser) -> None:
    _file(sub)
    _backup_options(sub)
    _wait(sub)
    _json(sub)


def _undo(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("ref", metavar="REF", nargs="?", type=_container, help="only what was done to this container")
    sub.add_argument("--id", help="the one of dtui backups, by its id or the beginning of it")
    sub.add_argument("--force", action="store_true", help="even if the file was changed since")
    _backup_options(sub)
    _wait(sub)
    _json(sub)


def _backups(sub: argparse.ArgumentParser) -> None:
    text = "only of this container, there or gone; purge in its place deletes what is kept for good"
    sub.add_argument("ref", metavar="REF", nargs="?", type=_container, help=text)
    _json(sub)


def _edit(sub: argparse.ArgumentParser) -> None:
    _file(sub)


def _bench(sub: argparse.ArgumentParser) -> None:
    does = sub.add_subparsers(title="what", metavar="WHAT", required=True, dest="what")
    _bench_run(does.add_parser("run", help="measure, and print the tables"))
    _json(does.add_parser("list", help="the runs that were made here"))
    show = does.add_parser("show", help="a run as it was printed when it was made")
    _json(_run_of(show))
    show.add_argument("--charts", action="store_true", help="six charts before the tables")
    compare = _run_of(does.add_parser("compare", help="what two runs differ by, with a verdict for each number"))
    compare.add_argument("other", metavar="RUN", help="the run that is laid beside it")
    compare.add_argument("--target", action="append", default=[], help="only this target; two lay one beside the other")
    _json(compare)
    export = _run_of(does.add_parser("export", help="write a run to a file"))
    export.add_argument("--format", required=True, choices=("csv", "json", "xlsx", "svg", "png"))
    export.add_argument("file", metavar="FILE")
    export.add_argument("--force", action="store_true", help="replace a file that is there")
    foreign = does.add_parser("import", help="keep IOzone's own text output of another host as a run")
    foreign.add_argument("file", metavar="FILE", help="the text, - for standard input")
    foreign.add_argument("--target", required=True, help="what it was measured on")
    foreign.add_argument("--name", default="", help="what the run is called")
    rename = _run_of(does.add_parser("rename", help="give a run a name"))
    rename.add_argument("name", metavar="NAME")
    _run_of(does.add_parser("delete", help="remove a run"))
    clean = does.add_parser("clean", help="remove what dtui put into the engine for benchmarks")
    _json(clean)


def _run_of(sub: argparse.ArgumentParser) -> argparse.ArgumentParser:
    sub.add_argument("ref", metavar="RUN", help="its number or name; last is the newest")
    return sub


def _bench_run(sub: argparse.ArgumentParser) -> None:
    repeatable: dict[str, Any] = {"action": "append", "default": []}
    sub.add_argument("--driver", **repeatable, help="a storage driver, by an engine of its own; also host and volume")
    sub.add_argument("--engine", **repeatable, help="a running engine, by its endpoint's name")
    sub.add_argument("--preset", choices=("quick", "standard", "article"), default="quick")
    sub.add_argument("--repeat", type=int, metavar="N", help="runs of each cell")
    sub.add_argument("--size", **repeatable, help="a file size of your own, such as 16m")
    sub.add_argument("--record", **repeatable, help="a record size of your own, such as 4k")
    tests = ("write", "rewrite", "read", "reread", "random read", "random write")
    sub.add_argument("--test", **repeatable, choices=tests, help="only these tests, and what they need before them")
    modes = ("cached", "flushed", "direct", "cold")
    sub.add_argument(
        "--mode", **repeatable, choices=modes, help="of the cache, with fsync, past it, or after emptying it"
    )
    sub.add_argument("--name", default="", help="what the run is called")
    suites = ("iozone", "cow", "all")
    sub.add_argument("--suite", choices=suites, default="iozone", help="IOzone, what copy-on-write costs, or both")
    sub.add_argument("--cow-size", **repeatable, help="a file size of the copy-on-write suite, such as 16m")
    sub.add_argument(
        "--cow-depth", **repeatable, type=int, metavar="N", help="a number of layers of the copy-on-write suite"
    )
    sub.add_argument(
        "--no-controls", dest="controls", action="store_false", help="without the host and the second look"
    )
    sub.add_argument("--charts", action="store_true", help="six charts before the tables")
    sub.add_argument("--yes", action="store_true", help="also when it takes long")
    _json(sub)


def _which(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("hostpath", metavar="HOSTPATH", type=Path, help="a path of this host below a data-root")
    _json(sub)


def _doctor(sub: argparse.ArgumentParser) -> None:
    _json(sub)


def _demo(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("words", nargs=argparse.REMAINDER, metavar="VERB ...", help="a verb to do on the sample")


def _ref(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("ref", metavar="REF", help="name, id or unique prefix; ENDPOINT/ may lead")


def _file(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("ref", metavar="REF:PATH", help="a container and a path inside it")


def _wait(sub: argparse.ArgumentParser) -> None:
    text = "wait for another dtui that writes into the container; without it the change is refused"
    sub.add_argument("--wait", type=_seconds, default=0.0, metavar="SECONDS", help=text)


def _keep_option(sub: argparse._ActionsContainer) -> None:
    sub.add_argument("--keep", action="store_true", help="copy what is replaced, whatever its size, if there is room")


def _backup_options(sub: argparse.ArgumentParser, *, nothing: bool = True) -> None:
    """Add what may become of what is replaced."""
    exclusive_group = sub.add_mutually_exclusive_group()
    _keep_option(exclusive_group)
    exclusive_group.add_argument(
        "--set-aside", action="store_true", help="move it out of the layer instead of copying it"
    )
    if nothing:
        exclusive_group.add_argument("--no-backup", action="store_true", help="keep nothing: this cannot be undone")


def _json(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--json", action="store_true", help="one JSON value on standard output")


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
    "doctor": _doctor,
    "demo": _demo,
}
