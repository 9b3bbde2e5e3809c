"""System calls that change a file system are made where a reader looks for them, and nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

WRITERS = ("tui/linux/", "tui/files/write/")
"""Where a container's files may be changed."""

EXEMPT = {
    "tui/core/state.py": "makes dtui's own state directory, its locks and its spare room",
    "tui/core/state_files.py": "writes dtui's own records, through which all of backups, journal and texts go",
    "tui/layers/device_mounts.py": "removes the mount point that dtui itself made",
    "tui/layers/private_mounts.py": "takes off the mark that a trial mount of dtui left",
    "tui/engine/live/ssh.py": "removes the directory of its own sockets",
    "tui/engine/sample.py": "builds the demo's data-root in a directory of its own",
    "tui/bench/": "writes runs, the lock of the benchmark, and its load on this host",
    "tui/lab/": "makes throwaway engines and disks in a directory of their own",
    "tui/render/export_run.py": "writes the file that the user named",
    "tui/ui/": "makes the demo's directory and the private copy that $EDITOR gets, opens /dev/null",
    "tui/cli/": "makes the demo's directory, takes standard input into a file without a name, opens /dev/null",
}
"""What else writes on this host, by file or directory, and what that is; none of it is a container's."""

_NAMES = ("rename", "renames", "replace", "link", "symlink", "unlink", "remove", "removedirs", "rmdir", "mkdir")
_METADATA = ("chmod", "fchmod", "lchmod", "chown", "fchown", "lchown", "utime", "setxattr", "removexattr")
OF_OS = frozenset((*_NAMES, *_METADATA, "makedirs", "mknod", "mkfifo", "truncate", "ftruncate", "posix_fallocate"))
OF_SHUTIL = frozenset(("rmtree", "copy", "copy2", "copyfile", "copymode", "copystat", "copytree", "move", "chown"))
OF_PATHS = {
    **dict.fromkeys(("unlink", "rmdir", "mkdir", "touch"), (0,)),
    **dict.fromkeys(("rename", "chmod", "lchmod", "symlink_to", "hardlink_to", "write_text", "write_bytes"), (1,)),
}
"""Methods of pathlib.Path, and with how many arguments: a container's files and names take more."""
OF_OURS = frozenset(("renameat2", "punch_hole"))
FLAGS = frozenset(("O_WRONLY", "O_RDWR", "O_CREAT", "O_TMPFILE", "O_APPEND", "O_TRUNC"))


def changing(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each call, or flag of a call, that changes a file system."""
    modules, bare = _imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in FLAGS:
            yield node.lineno, node.attr
        elif isinstance(node, ast.Call):
            name = _changing_call(node, modules, bare)
            if name:
                yield node.lineno, name


def _imported(tree: ast.Module) -> tuple[dict[str, str], dict[str, str]]:
    """Return by which names a file knows os and shutil, and functions of theirs."""
    modules = {"os": "os", "shutil": "shutil"}
    bare: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module in ("os", "shutil"):
            bare |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return modules, bare


def _changing_call(call: ast.Call, modules: dict[str, str], bare: dict[str, str]) -> str:
    """Return the name of a call that changes a file system, nothing for any other."""
    if isinstance(call.func, ast.Name):
        module, _, name = bare.get(call.func.id, f".{call.func.id}").partition(".")
        is_ours = name in OF_OURS
    elif isinstance(call.func, ast.Attribute):
        name = call.func.attr
        module = modules.get(call.func.value.id, "") if isinstance(call.func.value, ast.Name) else ""
        is_ours = not module and len(call.args) in OF_PATHS.get(name, ())
    else:
        return ""
    is_theirs = name in {"os": OF_OS, "shutil": OF_SHUTIL}.get(module, ())
    if is_ours or is_theirs or (name == "open" and module != "os" and _opens_to_write(call)):
        return f"{module}.{name}"
    return ""


def _opens_to_write(call: ast.Call) -> bool:
    if any(word.arg == "fileobj" for word in call.keywords):  # an archive in memory
        return False
    mode = [word.value for word in call.keywords if word.arg == "mode"] or call.args[:2]
    return any(
        isinstance(one, ast.Constant)
        and isinstance(one.value, str)
        and one.value[:1] in ("w", "a", "x", "r")
        and len(one.value) <= 3
        and set(one.value) & set("wax+")
        for one in mode
    )


def test_only_writers_change_file_systems() -> None:
    found = {
        str(path.relative_to(ROOT)): list(changing(ast.parse(path.read_text())))
        for path in (ROOT / "tui").rglob("*.py")
        if not str(path.relative_to(ROOT)).startswith(WRITERS)
    }
    found = {path: calls for path, calls in found.items() if calls}
    assert {path: calls for path, calls in found.items() if not path.startswith(tuple(EXEMPT))} == {}
    assert [place for place in EXEMPT if not any(path.startswith(place) for path in found)] == []


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.rename(a, b)",
        "from os import unlink as away\naway(a)",
        "import os as system\nsystem.chmod(a, 1)",
        "Path(a).unlink(missing_ok=True)",
        "path.rename(new)",
        "open(a, 'wb')",
        "path.open(mode='a')",
        "os.open(a, os.O_RDONLY | os.O_CREAT)",
        "open_child(fd, name, os.O_RDWR)",
        "shutil.rmtree(a)",
        "renameat2(a, b, c, d, 0)",
    ],
)
def test_changing_call_is_noticed(code: str) -> None:
    assert list(changing(ast.parse(code)))


@pytest.mark.parametrize(
    "code", ["text.replace('a', 'b')", "files.rename(a, b)", "names.unlink(fd, name)", "open(a, 'rb')", "open(path)"]
)
def test_harmless_call_is_no_change(code: str) -> None:
    assert not list(changing(ast.parse(code)))
