"""Arguments: the global options, and which module does which verb."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from tui import __version__
from tui.core.errors import UsageError

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
    "bench": "run IOzone on an engine's storage driver",
    "which": "whose a directory of a data-root is: a container's, an image's, the build cache's, nobody's",
    "doctor": "what is there, what is missing, how to mend it",
    "demo": "the app, or any verb, over a sample data-root",
}
"""Every verb and its help; the module of the same name does it."""


class _Parser(argparse.ArgumentParser):
    """Wrong usage is one line with exit code 2, as everything else that goes wrong."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"{self.prog} --help tells how")


def _late(verb: str) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
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
    parser.set_defaults(run=_late("app"), verb="", sample=None)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    words = list(sys.argv[1:] if argv is None else argv)
    for verb, text in VERBS.items():
        sub = verbs.add_parser(verb, help=text, description=text)
        sub.set_defaults(run=_late(verb), verb=verb)
        _ARGUMENTS[verb](sub)
    return parser.parse_args(words)


def _ls(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--state", help="only those in this state")
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
    sub.add_argument("--depth", type=int, default=0, help="levels; 0 for all")
    _json(sub)


def _cat(sub: argparse.ArgumentParser) -> None:
    _file(sub)


def _write(sub: argparse.ArgumentParser) -> None:
    _file(sub)
    sub.add_argument("--create", action="store_true", help="make a new file")
    sub.add_argument("--in-place", action="store_true", help="overwrite the file itself, for who has it open")
    sub.add_argument("--mode", type=lambda text: int(text, 8), metavar="0644", help="permission bits, octal")
    _json(sub)


def _rm(sub: argparse.ArgumentParser) -> None:
    _file(sub)
    sub.add_argument("-r", "--recursive", action="store_true", help="a directory and all below it")
    sub.add_argument("--no-backup", action="store_true", help="for good, without a way back")
    _json(sub)


def _mv(sub: argparse.ArgumentParser) -> None:
    _file(sub)
    sub.add_argument("new", metavar="NEWPATH", help="the new path in the same container, or a directory to move into")
    _json(sub)


def _mkdir(sub: argparse.ArgumentParser) -> None:
    _file(sub)
    sub.add_argument("-p", "--parents", action="store_true", help="make those above too")
    sub.add_argument("--mode", type=lambda text: int(text, 8), metavar="0755", help="permission bits, octal")
    _json(sub)


def _chmod(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("-R", "--recursive", action="store_true", help="a directory and all below it")
    sub.add_argument("mode", metavar="MODE", help="0644, or u+x,go-w")
    _file(sub)
    _json(sub)


def _chown(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("-R", "--recursive", action="store_true", help="a directory and all below it")
    sub.add_argument("owner", metavar="USER[:GROUP]", help="numbers, or names that the container knows")
    _file(sub)
    _json(sub)


def _cp(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("source", metavar="SOURCE", help="a path of this host, or REF:PATH")
    sub.add_argument("target", metavar="TARGET", help="REF:PATH, or a path of this host")
    sub.add_argument("--force", action="store_true", help="replace a file of this host")
    _json(sub)


def _revert(sub: argparse.ArgumentParser) -> None:
    _file(sub)
    _json(sub)


def _undo(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("ref", metavar="REF", nargs="?", help="only what was done to this container")
    sub.add_argument("--id", help="the one of dtui backups, by its id or the beginning of it")
    sub.add_argument("--force", action="store_true", help="even if the file was changed since")
    _json(sub)


def _backups(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("ref", metavar="REF", nargs="?", help="only of this container")
    _json(sub)


def _edit(sub: argparse.ArgumentParser) -> None:
    _file(sub)


def _bench(sub: argparse.ArgumentParser) -> None:
    does = sub.add_subparsers(title="what", metavar="WHAT", required=True, dest="what")
    run = does.add_parser("run", help="run IOzone and print the table")
    run.add_argument("--preset", choices=("quick", "article"), default="quick")
    run.add_argument("--repeat", type=int, metavar="N", help="runs of each cell")
    run.add_argument("--driver", action="append", default=[], help="only engines on this storage driver")
    _json(run)
    clean = does.add_parser("clean", help="remove what dtui put into the engine for benchmarks")
    _json(clean)


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
    "which": _which,
    "doctor": _doctor,
    "demo": _demo,
}
