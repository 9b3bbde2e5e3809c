"""The command line: one module a verb, thin; loads the screens only to run them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from tui.core.errors import DtuiError
from tui.core.text import printable

_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run dtui with these arguments (those of the process for None) and return the exit code."""
    from tui.cli.parser import parse

    try:
        options = parse(argv)
        return int(options.run(options))
    except DtuiError as error:
        print(f"dtui: {printable(str(error))}", file=sys.stderr)  # noqa: T201 - this is the command line
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader has gone, as `| head` does: leave without a word, and without Python's own at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"dtui: {printable(str(error))}; dtui doctor may tell why", file=sys.stderr)  # noqa: T201
        return 1
