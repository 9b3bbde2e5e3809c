"""The command line: a thin module per verb. The app is imported only to run it."""

from __future__ import annotations

import atexit
import errno
import io
import os
import sys
import threading
import traceback
from collections.abc import Sequence

from tui.cli.hanging import ended_by_second_interrupt
from tui.cli.output import OutputLost, flush, print_note
from tui.core.errors import DtuiError, TooManyOpen
from tui.core.state import release_locks
from tui.core.text import printable
from tui.linux.supervise import can_give_up, continue_in_child, give_up, is_stuck

_INTERRUPTED = 130
_OWN_SIGNALS = ("", "edit", "demo", "bench")
"""Verbs that handle signals themselves: the app, and a benchmark that removes its engines."""
_MAX_MESSAGE = 300
"""Characters shown of an unexpected error, which may contain a stranger's bytes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run dtui with these arguments and return the exit code.

    Without ``argv`` it uses the process' own arguments and runs in a child, which it can leave behind if a file
    system does not answer.
    """
    for name in ("stdout", "stderr"):  # started with them closed: the next file opened would receive our output
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - until the process ends
    if argv is None:
        continue_in_child()
    code = _run(argv)
    try:
        flush()
    except OutputLost as lost:
        code = code or _exit_code_after(lost, "; the command itself succeeded")
    if is_stuck() or (can_give_up() and threading.active_count() > 1):  # Python's end would wait for a call that hangs
        release_locks()
        if not is_stuck():
            atexit._run_exitfuncs()
        give_up(code)
    return code


def _exit_code_after(lost: OutputLost, suffix: str = "") -> int:
    """Return the exit code after output was lost. A reader that left (``| head``) is not an error."""
    if lost.reader_left:
        return 0
    _print_error(f"the output could not be written: {lost}{suffix}")
    return 1


def _run(argv: Sequence[str] | None) -> int:
    from tui.cli.parser import parse

    if isinstance(sys.stdout, io.TextIOWrapper):  # the locale may not be able to encode a name
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options = parse(argv)
        if getattr(options, "verb", "") in _OWN_SIGNALS:
            return int(options.run(options))
        with ended_by_second_interrupt():
            return int(options.run(options))
    except SystemExit as exit_request:  # --help or --version
        return int(exit_request.code or 0)
    except DtuiError as error:
        _print_error(str(error))
        if error.__cause__ is not None and os.environ.get("DTUI_TRACEBACK"):
            print_note("".join(traceback.format_exception(error.__cause__)), end="")
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OutputLost as lost:
        return _exit_code_after(lost)
    except (OSError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENOMEM:
            _print_error(str(TooManyOpen.of(error) or f"{error}; dtui doctor may show why"))
            return 1
        outcome = _notes_of(error) or "the next start completes or rolls back an unfinished change"
        _print_error(f"there is not enough memory; {outcome}")
        return 1
    except Exception as error:
        if os.environ.get("DTUI_TRACEBACK"):
            raise
        description = "; ".join(filter(None, [f"{type(error).__name__}: {error}"[:_MAX_MESSAGE], _notes_of(error)]))
        _print_error(f"{description}; this should not happen: DTUI_TRACEBACK=1 shows where")
        return 1


def _notes_of(error: BaseException) -> str:
    """Return how the change ended during which an error occurred, as the transaction noted on the exception."""
    return "; ".join(getattr(error, "__notes__", ()))


def _print_error(text: str) -> None:
    print_note(f"dtui: {printable(text)}")
