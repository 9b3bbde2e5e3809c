"""The command line: one module a verb, thin; loads the screens only to run them."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from tui.core.errors import DtuiError
from tui.core.text import printable

_INTERRUPTED = 130
_LONGEST = 300
"""Characters of an error that nobody foresaw: it may hold a stranger's bytes, however many they are."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run dtui with these arguments (those of the process for None) and return the exit code."""
    for name in ("stdout", "stderr"):  # closed by who started us: a file opened next would get what is meant for it
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - until the process ends
    code = _run(argv)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
    except OSError as error:
        _tell(f"the output could not be written: {error.strerror}; what was asked for is done")
        _drop_output()
        return code or 1
    return code


def _run(argv: Sequence[str] | None) -> int:
    from tui.cli.parser import parse

    if isinstance(sys.stdout, io.TextIOWrapper):  # a locale may lack what a name is written with
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options = parse(argv)
        return int(options.run(options))
    except DtuiError as error:
        _tell(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # the reader has gone, as `| head` does: leave without a word
        _drop_output()
        return 0
    except OSError as error:
        _tell(f"{error}; dtui doctor may tell why")
        _drop_output()
        return 1
    except MemoryError as error:
        _tell(f"there is not enough memory; {_ended(error) or 'what was under way is put right at the next start'}")
        return 1
    except Exception as error:
        if os.environ.get("DTUI_TRACEBACK"):
            raise
        what = "; ".join(filter(None, [f"{type(error).__name__}: {error}"[:_LONGEST], _ended(error)]))
        _tell(f"{what}; this should not happen: DTUI_TRACEBACK=1 tells where it did")
        return 1


def _ended(error: BaseException) -> str:
    """Return how the act ended that an error came out of, as its guard noted it."""
    return "; ".join(getattr(error, "__notes__", ()))


def _tell(text: str) -> None:
    print(f"dtui: {printable(text)}", file=sys.stderr)  # noqa: T201 - this is the command line


def _drop_output() -> None:
    """Let go of what standard output does not take, or Python complains of it once more at its exit."""
    with suppress(OSError):
        sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
