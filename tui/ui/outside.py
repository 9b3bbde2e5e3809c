"""Runs the user's own editor on a private copy of a file and reads back what it saved."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tui.core.errors import DtuiError, EditRefused
from tui.core.state import text_dir
from tui.files import LIMIT, Unanswered, answered, lock, write_note
from tui.ui.terminal.driver import lent_terminal

_AT_ONCE = 2.0
"""An editor that returns within so many seconds has probably left its window open."""

_GRACE = 5.0
"""Seconds that an editor has to save its work when the app ends."""

_PATIENCE = 3.0
"""Seconds without progress after which a directory for copies, or an editor's file system, is given up."""

_STOPS = 100
"""How often a stopped editor is continued before dtui gives up on it."""

_SIGNALS_OF_EDITOR = (signal.SIGINT, signal.SIGQUIT)
"""The signals of ^C and ^\\, which reach dtui too although only the editor is meant."""

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}


def editor_command() -> list[str]:
    """Return the command of $VISUAL or $EDITOR, else of an installed editor, with the program's absolute path.

    ``~`` and variables are expanded as in a shell; a path with spaces needs no quotes if there are no arguments.
    Raises EditRefused if the command cannot be run.
    """
    name = "VISUAL" if os.environ.get("VISUAL", "").strip() else "EDITOR"
    command = _split_command(name, os.environ.get(name, "").strip())
    program = shutil.which(command[0])
    if program is None:
        path = shutil.which(command[0], os.F_OK) or command[0]
        why = (
            "is a directory"
            if os.path.isdir(path)
            else "is not executable"
            if os.path.exists(path)
            else "was not found"
        )
        raise EditRefused(f"{command[0]} {why}", "set EDITOR to an editor that is installed")
    return [os.path.abspath(program), *command[1:]]


def _split_command(name: str, value: str) -> list[str]:
    if not value:
        return [next((editor for editor in ("vi", "nano", "editor") if shutil.which(editor)), "vi")]
    expanded = os.path.expanduser(value)
    if os.path.isabs(expanded) and os.path.isfile(expanded):
        return [expanded]
    try:
        parts = shlex.split(value)
    except ValueError as error:
        raise EditRefused(
            f"{name} cannot be understood: {str(error).lower()}: {value}", "quote it as you would in a shell"
        ) from error
    if not parts:
        raise EditRefused(f"{name} names no program: {value}", "set it to an editor that is installed")
    return [os.path.expanduser(os.path.expandvars(word)) for word in parts]


@dataclass(frozen=True, slots=True)
class Origin:
    """The file that a copy was made of: its container, and its contents there."""

    container: str = ""
    container_id: str = ""
    data: bytes | None = None


class PrivateCopy:
    """A copy of a file for an editor, in a directory that only this user can enter.

    Only the extension of the untrusted name is kept, by which editors choose their highlighting. The result is read
    relative to the directory's descriptor, and must be a regular file of this user's. A note next to the directory
    tells the next start what the copy is, if this process is killed.
    """

    def __init__(self, data: bytes, path: bytes, origin: Origin | None = None) -> None:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", os.fsdecode(path.rsplit(b"/", 1)[-1]))[-64:].lstrip("-.") or "file"
        self.folder = _private_folder()
        self.path = self.folder / name
        self.data = data
        self._directory = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._note: Path | None = None
        self.note_lock = -1
        """The descriptor of the note, for the editor to inherit; -1 without a note."""
        lock(self._directory)
        try:
            self._write_note(path, origin or Origin())
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, 0o600, dir_fd=self._directory), "wb") as copy:
                copy.write(data)
            self._state = self._stat()
        except OSError:
            self.remove()
            raise

    def _write_note(self, path: bytes, origin: Origin) -> None:
        if self.folder.parent.name != "edit":  # nobody looks for notes in a shared directory such as /tmp
            return
        with suppress(OSError):  # the copy is usable without the note
            self._note = write_note(
                self.folder, origin.container, origin.container_id, path, self.path, data=origin.data
            )
            self.note_lock = os.open(self._note, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            lock(self.note_lock)

    def let_editor_hold(self) -> None:
        """Release the note's lock in this process; the editor has inherited it."""
        if self.note_lock >= 0:
            os.close(self.note_lock)
            self.note_lock = -1

    def is_held(self) -> bool:
        """Say whether something that the editor started runs on: it has inherited the lock of the note."""
        if self._note is None or self.note_lock >= 0:
            return False
        try:
            descriptor = os.open(self._note, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return not lock(descriptor)
        finally:
            os.close(descriptor)

    def read(self) -> bytes:
        """Return what the editor saved; raises EditRefused unless it is this user's regular file within the limit."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        self._state = state = self._stat()
        if state is None:
            raise EditRefused("the file was deleted")
        if not stat.S_ISREG(state.st_mode):
            raise EditRefused(f"the file is {_KINDS.get(stat.S_IFMT(state.st_mode), 'no regular file')} now")
        try:
            descriptor = os.open(self.path.name, flags, dir_fd=self._directory)
        except OSError as error:
            raise EditRefused(f"the file cannot be read: {(error.strerror or '').lower()}") from error
        with os.fdopen(descriptor, "rb") as copy:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise EditRefused("the file is no regular file now")
            if status.st_nlink != 1:
                raise EditRefused("the file is a hard link now")
            if status.st_uid != os.geteuid():
                raise EditRefused("the file belongs to another user now")
            data = copy.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise EditRefused(f"the file is larger than {LIMIT >> 20} MiB now")
        return data

    def has_changed(self) -> bool:
        """Say whether the file was written or replaced since the last call."""
        state = self._stat()
        if state is None or self._state is None:
            return state is not self._state
        new, old = ((s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in (state, self._state))
        return new != old

    def leftover_path(self) -> Path | None:
        """Return the path of what the editor left: the file if its text changed, the directory if it holds other files.

        Such a file may be the editor's swap file, from which it recovers unsaved text.
        """
        try:
            names = os.listdir(self._directory)
            changed = self.path.name in names and self.read() != self.data
        except FileNotFoundError:  # the editor removed the directory
            return None
        except (OSError, EditRefused):
            return self.path
        if changed:
            return self.path
        return self.folder if names not in ([self.path.name], []) else None

    def _stat(self) -> os.stat_result | None:
        try:
            return os.stat(self.path.name, dir_fd=self._directory, follow_symlinks=False)
        except OSError:
            return None

    def leave(self) -> None:
        """Leave the directory in place, locked while this process runs; the next start reports it."""
        self.let_editor_hold()

    def remove(self) -> str:
        """Remove the directory and its contents; return an error line if something could not be removed."""
        self.let_editor_hold()
        failed: list[tuple[str, OSError]] = []

        def note_failure(_call: object, place: str, info: tuple[type, BaseException, object]) -> None:
            if isinstance(info[1], OSError):
                failed.append((place, info[1]))

        shutil.rmtree(self.folder, onerror=note_failure)
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1
        if not failed or not os.path.lexists(self.folder):
            if self._note is not None:
                self._note.unlink(missing_ok=True)
            return ""
        place, error = failed[0]
        return f"the copy {place} could not be removed: {(error.strerror or str(error)).lower()}"


def _private_folder() -> Path:
    """Make a directory that only this user can enter, if possible one that survives a reboot."""

    def make() -> Path:
        return Path(tempfile.mkdtemp(prefix="dtui-edit-", dir=text_dir("edit")))

    with suppress(DtuiError, OSError):
        return answered(make, _PATIENCE / 2, "the state directory")
    return Path(tempfile.mkdtemp(prefix="dtui-edit-"))


class WorkLeft(EditRefused):
    """The editor failed; what it wrote is in ``work_path``."""

    def __init__(self, message: str, work_path: Path) -> None:
        super().__init__(message, f"your text is unchanged; the editor's is in {work_path}")
        self.work_path = work_path


class StillOpen(EditRefused):
    """The editor returned without a change; its window may be open and save into ``copy`` later."""

    def __init__(self, name: str, copy: PrivateCopy, *, at_once: bool) -> None:
        hint = f"if it is still open, save there and press o; EDITOR='{name} --wait' waits for it"
        super().__init__(f"nothing changed: {name} ended at once", hint)
        self.at_once = at_once
        """Whether it returned too soon for anybody to have read the file."""
        self.name = name
        self.copy = copy


class OpenCopies:
    """The copies whose editors may still be open; what is saved into them is reported and never lost.

    Any thread may use it. Its methods read and remove files, during which no lock is held.
    """

    def __init__(self) -> None:
        self._open: dict[str, StillOpen] = {}
        self._announced: set[str] = set()
        self._stays: list[str] = []
        self._guard = threading.Lock()

    def __bool__(self) -> bool:
        """Return whether there is anything to report."""
        return bool(self._open or self._stays)

    def follow(self, whose: str, still: StillOpen) -> None:
        """Watch an editor's copy of a file; an earlier copy of the same file stays on disk."""
        with self._guard:
            before = self._open.pop(whose, None)
            self._open[whose] = still
        if before is None:
            return
        if before.copy.has_changed() or before.copy.is_held():
            before.copy.leave()
        elif stays := before.copy.remove():
            with self._guard:
                self._stays.append(stays)

    def take_saved(self, whose: str) -> bytes | None:
        """Return what was saved for a file since the last call, or None; raises EditRefused as ``read`` does."""
        still = self._open.get(whose)
        if still is None or not still.copy.has_changed():
            return None
        with self._guard:
            self._announced.discard(whose)
        try:
            return still.copy.read()
        except EditRefused as error:
            raise EditRefused(
                f"cannot use what {still.name} saved: {error.message}", "your text is unchanged"
            ) from error

    def saved_lines(self) -> tuple[str, ...]:
        """Return a line for each file saved since the last report, and for each copy that could not be removed."""
        with self._guard:
            stays, self._stays = self._stays, []
            still_open = dict(self._open)
        saved = {whose for whose, still in still_open.items() if still.copy.has_changed()}
        with self._guard:
            new, self._announced = saved - self._announced, saved
        return (*stays, *(f"{still_open[whose].name} saved {whose}: o loads it" for whose in sorted(new)))

    def close(self) -> tuple[str, ...]:
        """Remove the copies into which nothing was saved; return a line for each other copy."""
        with self._guard:
            lines, self._stays = self._stays, []
            still_open, self._open = self._open, {}
        for whose, still in still_open.items():
            if still.copy.has_changed():
                lines.append(f"what {still.name} saved for {whose} is in {still.copy.path}")
                still.copy.leave()
            elif still.copy.is_held():
                lines.append(f"{still.name} is still open: what it saves of {whose} is in {still.copy.path}")
                still.copy.leave()
            else:
                lines += filter(None, [still.copy.remove()])
        return tuple(lines)

    def close_in_time(self) -> tuple[str, ...]:
        """Close, unless the directory of the copies does not answer; return the lines to show."""
        folders = ", ".join(sorted({str(still.copy.folder.parent) for still in self._open.values()}))
        try:
            return answered(self.close, _PATIENCE, folders)
        except Unanswered as error:
            return (f"{error.message}; what your editor saves is there",)


@dataclass(frozen=True, slots=True)
class Edited:
    """The bytes that an editor saved, and notes about them."""

    data: bytes
    note: str = ""
    still: StillOpen | None = None
    """The editor that goes on after it saved and came back; what it saves later is noticed."""


def edit_outside(data: bytes, path: bytes, origin: Origin | None = None) -> Edited:
    """Open bytes in the user's editor as a private copy; return what was saved.

    Raises EditRefused if the editor cannot be run or fails, or if its result cannot be used. What it wrote then stays
    on this host, and the error names the place. Raises StillOpen if it returned without a change, and Unanswered if
    there is no place for the copy that answers. Files are read and written in threads of their own.
    """
    command, copy = answered(lambda: _prepare(data, path, origin), 2 * _PATIENCE, "the place for $EDITOR's copy")
    begun, failure, code = time.monotonic(), None, 0
    try:
        code = _run([*command, str(copy.path)], copy)
    except OSError as error:
        failure = error
    except BaseException:
        copy.leave()
        raise
    seconds = time.monotonic() - begun
    name = os.path.basename(command[0])
    try:
        return answered(lambda: _result(name, copy, code, failure, seconds), _PATIENCE, str(copy.folder))
    except Unanswered as error:
        raise WorkLeft(f"cannot read what {name} saved: {error.message}", copy.path) from error


def _prepare(data: bytes, path: bytes, origin: Origin | None) -> tuple[list[str], PrivateCopy]:
    """Return the editor's command and a copy of the file for it; raises EditRefused."""
    command = editor_command()
    with suppress(PermissionError), open(command[0], "rb") as program:
        program.read(1)  # running a program whose file system hangs would stop all threads of this process
    try:
        return command, PrivateCopy(data, path, origin)
    except OSError as error:
        name, reason = os.path.basename(command[0]), (error.strerror or "").lower()
        raise EditRefused(
            f"there is no room for {name}'s copy: {reason}", "set TMPDIR to a directory with room"
        ) from error


def _result(name: str, copy: PrivateCopy, code: int, failure: OSError | None, seconds: float) -> Edited:
    """Return what an editor saved; raises EditRefused, WorkLeft and StillOpen as :func:`edit_outside` does."""
    if failure is not None:
        stays = copy.remove()
        hint = (
            "does it have a #! line?" if failure.errno == 8 else "set EDITOR to an editor that is installed"
        )  # ENOEXEC
        message = "; ".join(filter(None, [f"{name} cannot be run: {(failure.strerror or '').lower()}", stays]))
        raise EditRefused(message, hint) from failure
    if code:
        raise _editor_error(copy, f"{name} {_exit_text(code)}")
    try:
        edited = copy.read()
    except EditRefused as error:
        raise _editor_error(copy, f"cannot use what {name} saved: {error.message}") from error
    if edited == copy.data and not copy.has_changed():
        raise StillOpen(name, copy, at_once=seconds < _AT_ONCE)
    if copy.is_held():
        note = f"{name} is still open: o takes what it saves later, and EDITOR='{name} --wait' waits for it"
        return Edited(edited, note, StillOpen(name, copy, at_once=False))
    return Edited(edited, copy.remove())


def _editor_error(copy: PrivateCopy, message: str) -> EditRefused:
    """Return the error for an editor that failed; it says where the editor's work is."""
    work_path = copy.leftover_path()
    if work_path is not None:
        copy.leave()
        return WorkLeft(message, work_path)
    return EditRefused("; ".join(filter(None, [message, copy.remove()])), "your text is unchanged")


def _exit_text(code: int) -> str:
    if code > 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


# running ------------------------------------------------------------------------------------------------------

_running: list[subprocess.Popen[bytes]] = []


def end_editor() -> None:
    """Ask an open editor to end; the second time, or if it does not react, kill it.

    Called from a signal handler.
    """
    for process in _running:
        asked = getattr(process, "asked", False)
        process.send_signal(signal.SIGKILL if asked else signal.SIGHUP)
        process.asked = True  # type: ignore[attr-defined]
        if not asked:
            force = threading.Timer(_GRACE, process.kill)
            force.daemon = True
            force.start()


def _run(command: list[str], copy: PrivateCopy) -> int:
    """Run an editor in this terminal; return its exit code, or minus the signal that killed it."""
    inherited = (copy.note_lock,) if copy.note_lock >= 0 else ()
    with lent_terminal(), _ignored_signals():
        process = subprocess.Popen(command, pass_fds=inherited)  # noqa: S603 - the user's own editor
        copy.let_editor_hold()
        _running.append(process)
        try:
            return _wait_for_editor(process)
        finally:
            _running.remove(process)


def _wait_for_editor(process: subprocess.Popen[bytes]) -> int:
    """Wait for an editor, and continue it if it stops, since no shell does.

    ^Z stops this process as well, and the shell continues both.
    """
    for stops in range(_STOPS + 1):
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            process.returncode = os.waitstatus_to_exitcode(status)
            break
        process.send_signal(signal.SIGCONT if stops < _STOPS else signal.SIGKILL)
        time.sleep(0.02)
    return process.wait()


@contextmanager
def _ignored_signals() -> Iterator[None]:
    """Ignore signals typed for the editor in this process; the editor still gets them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS_OF_EDITOR}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
