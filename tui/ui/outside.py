"""The user's own editor, on a private copy of a file: how it is run, how it may end, and what it may leave."""

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
from pathlib import Path

from tui.core.errors import DtuiError, EditRefused
from tui.editing.document import EDIT_LIMIT
from tui.editing.state import text_dir
from tui.ui.terminal import lent_terminal

_LIMIT = 8 * EDIT_LIMIT
"""Bytes that an editor may leave, which is what it can be given."""

_AT_ONCE = 2.0
"""Seconds in which hardly anybody opens a file, looks at it and leaves: an editor back by then may still be open."""

_STOPS = 100
"""How often an editor that stops is let go on; one that stops for ever is not waited for."""

_SIGNALS_OF_EDITOR = (signal.SIGINT, signal.SIGQUIT)
"""What ^C and ^\\ send to everybody at the terminal, and means the editor alone."""

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}


def editor_command() -> list[str]:
    """Return the words of $VISUAL or $EDITOR, else an editor that is installed, with the program's absolute path.

    As in a shell ``~`` and variables stand for what they mean; a path with spaces needs no quotes when it is all there
    is. Raises EditRefused for what cannot be run.
    """
    name = "VISUAL" if os.environ.get("VISUAL", "").strip() else "EDITOR"
    words = _words(name, os.environ.get(name, "").strip())
    program = shutil.which(words[0])
    if program is None:
        place = shutil.which(words[0], os.F_OK) or words[0]
        why = (
            "is a directory" if os.path.isdir(place) else "may not be run" if os.path.exists(place) else "is not found"
        )
        raise EditRefused(f"{words[0]} {why}", "set EDITOR to an editor that is installed")
    return [os.path.abspath(program), *words[1:]]


def _words(name: str, value: str) -> list[str]:
    if not value:
        return [next((editor for editor in ("vi", "nano", "editor") if shutil.which(editor)), "vi")]
    whole = os.path.expanduser(value)
    if os.path.isabs(whole) and os.path.isfile(whole):
        return [whole]
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise EditRefused(
            f"{name} cannot be understood: {str(error).lower()}: {value}", "quote it as in a shell"
        ) from error
    if not words:
        raise EditRefused(f"{name} names no program: {value}", "set it to an editor that is installed")
    return [os.path.expanduser(os.path.expandvars(word)) for word in words]


class PrivateCopy:
    """A file for an editor in a directory that only this user can enter.

    Its name keeps the ending, by which editors choose their colours, and nothing else that a stranger chose. What is
    read back is read below the directory's descriptor, and must be a file like the one that was put there.
    """

    def __init__(self, data: bytes, path: bytes) -> None:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", os.fsdecode(path.rsplit(b"/", 1)[-1]))[-64:].lstrip("-.") or "file"
        self.folder = _private_folder()
        self.path = self.folder / name
        self.data = data
        self._directory = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, 0o600, dir_fd=self._directory), "wb") as copy:
                copy.write(data)
            self._state = self._look()
        except OSError:
            self.remove()
            raise

    def read(self) -> bytes:
        """Return what the editor left; raises EditRefused for anything but a file of this user's within the limit."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        self._state = state = self._look()
        if state is None:
            raise EditRefused("the file was deleted")
        if not stat.S_ISREG(state.st_mode):
            raise EditRefused(f"the file is {_KINDS.get(stat.S_IFMT(state.st_mode), 'no regular file')} now")
        try:
            descriptor = os.open(self.path.name, flags, dir_fd=self._directory)
        except OSError as error:
            raise EditRefused(f"the file cannot be read: {(error.strerror or '').lower()}") from error
        with os.fdopen(descriptor, "rb") as copy:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise EditRefused("the file is no regular file now")
            if found.st_nlink != 1:
                raise EditRefused("the file is a hard link now")
            if found.st_uid != os.geteuid():
                raise EditRefused("the file belongs to another user now")
            data = copy.read(_LIMIT + 1)
        if len(data) > _LIMIT:
            raise EditRefused(f"the file is larger than {_LIMIT >> 20} MiB now")
        return data

    def touched(self) -> bool:
        """Say whether something was written since the last look: a file saved in place or replaced, as editors do."""
        state = self._look()
        if state is None or self._state is None:
            return state is not self._state
        new, old = ((s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in (state, self._state))
        return new != old

    def left(self) -> Path | None:
        """Return where there is more than the text that was put there: the file, or the directory for an editor's own.

        That may be a swap file, with which the editor recovers what was typed into it.
        """
        try:
            others = os.listdir(self._directory)
            changed = self.path.name in others and self.read() != self.data
        except (OSError, EditRefused):
            return self.path
        if changed:
            return self.path
        return self.folder if others not in ([self.path.name], []) else None

    def _look(self) -> os.stat_result | None:
        try:
            return os.stat(self.path.name, dir_fd=self._directory, follow_symlinks=False)
        except OSError:
            return None

    def close(self) -> None:
        """Leave the directory where it is."""
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def remove(self) -> None:
        """Remove the directory with all that is in it."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _private_folder() -> Path:
    """Make a directory for this user alone, where it outlives a restart of the host if it can."""
    with suppress(DtuiError, OSError):
        return Path(tempfile.mkdtemp(prefix="dtui-edit-", dir=text_dir("edit")))
    return Path(tempfile.mkdtemp(prefix="dtui-edit-"))


class WorkLeft(EditRefused):
    """The editor did not end well; what it wrote is in ``place``."""

    def __init__(self, message: str, place: Path) -> None:
        super().__init__(message, f"the text is as it was, what it wrote is in {place}")
        self.place = place


class StillOpen(EditRefused):
    """The editor came back and changed nothing; its window may be open, and save into ``copy`` later."""

    def __init__(self, name: str, copy: PrivateCopy, *, at_once: bool) -> None:
        hint = f"if it is still open, o takes what it saves, and EDITOR='{name} --wait' waits for it"
        super().__init__(f"nothing changed: {name} ended at once", hint)
        self.at_once = at_once
        """Whether it came back too soon for somebody to have looked at the file."""
        self.name = name
        self.copy = copy


class OpenCopies:
    """The copies whose editors may be open still: what is saved into them is noticed, and is not lost at the end."""

    def __init__(self) -> None:
        self._open: dict[str, StillOpen] = {}
        self._told: set[str] = set()

    def follow(self, whose: str, still: StillOpen) -> None:
        """Follow an editor's copy of a file; the file's earlier one is left where it is."""
        before = self._open.pop(whose, None)
        if before is not None and before.copy.touched():
            before.copy.close()
        elif before is not None:
            before.copy.remove()
        self._open[whose] = still

    def take(self, whose: str) -> bytes | None:
        """Return what was saved for a file since the last time, None for nothing; raises EditRefused as ``read``."""
        still = self._open.get(whose)
        if still is None or not still.copy.touched():
            return None
        self._told.discard(whose)
        try:
            return still.copy.read()
        except EditRefused as error:
            raise EditRefused(
                f"what {still.name} left is not taken: {error.message}", "the text is as it was"
            ) from error

    def news(self) -> tuple[str, ...]:
        """Return a line for each file that was saved since it was last taken or told of."""
        saved = {whose for whose, still in self._open.items() if still.copy.touched()}
        new, self._told = saved - self._told, saved
        return tuple(f"{self._open[whose].name} saved {whose}: o takes it" for whose in sorted(new))

    def close(self) -> tuple[str, ...]:
        """Remove the copies into which nothing was saved; return a line for each of the others."""
        lines = []
        for whose, still in self._open.items():
            if still.copy.touched():
                lines.append(f"what {still.name} saved of {whose} is in {still.copy.path}")
                still.copy.close()
            else:
                still.copy.remove()
        self._open.clear()
        return tuple(lines)


def edit_outside(data: bytes, path: bytes) -> bytes:
    """Let a person edit bytes in their editor on a private copy; return what they left there.

    Raises EditRefused when the editor cannot be run or fails, or when what it left cannot be taken. What it wrote then
    stays on this host, and the error names the place. Raises StillOpen for one that changed nothing yet.
    """
    command = editor_command()
    name = os.path.basename(command[0])
    try:
        copy = PrivateCopy(data, path)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise EditRefused(f"there is no room for {name}'s copy: {reason}", "TMPDIR may name another place") from error
    begun = time.monotonic()
    try:
        code = _run([*command, str(copy.path)])
    except OSError as error:
        copy.remove()
        hint = "has it a #! line?" if error.errno == 8 else "set EDITOR to an editor that is installed"  # ENOEXEC
        raise EditRefused(f"{name} cannot be run: {(error.strerror or '').lower()}", hint) from error
    except BaseException:
        copy.close()
        raise
    if code:
        raise _given_up(copy, f"{name} {_how(code)}")
    try:
        edited = copy.read()
    except EditRefused as error:
        raise _given_up(copy, f"what {name} left is not taken: {error.message}") from error
    if edited == data and not copy.touched():
        raise StillOpen(name, copy, at_once=time.monotonic() - begun < _AT_ONCE)
    copy.remove()
    return edited


def _given_up(copy: PrivateCopy, what: str) -> EditRefused:
    """Return the error for an editor that did not end well, with where its work is."""
    place = copy.left()
    if place is not None:
        copy.close()
        return WorkLeft(what, place)
    copy.remove()
    return EditRefused(what, "the text is as it was")


def _how(code: int) -> str:
    if code > 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


# running ------------------------------------------------------------------------------------------------------

_running: list[subprocess.Popen[bytes]] = []


def end_editor() -> None:
    """Ask an editor that is open to end, and force it to the second time; called from a signal's handler."""
    for process in _running:
        process.send_signal(signal.SIGKILL if getattr(process, "asked", False) else signal.SIGHUP)
        process.asked = True  # type: ignore[attr-defined]


def _run(command: list[str]) -> int:
    """Run an editor at this terminal; return its code, or minus the signal that ended it."""
    with lent_terminal(), _for_the_editor_alone():
        process = subprocess.Popen(command)  # noqa: S603 - the user's own editor
        _running.append(process)
        try:
            return _ended(process)
        finally:
            _running.remove(process)


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for an editor. One that stops is let go on, for there is no shell here to do that.

    With ^Z it stops this process as well, and the shell lets both go on.
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
def _for_the_editor_alone() -> Iterator[None]:
    """Let this process not end by what is typed for the editor; the editor itself gets it as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS_OF_EDITOR}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
