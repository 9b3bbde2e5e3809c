"""``dtui demo``: the app or any verb on a sample data-root, which is removed afterwards."""

from __future__ import annotations

import os
from argparse import Namespace
from contextlib import suppress

from tui.cli.lookup import require_terminal
from tui.core.errors import DtuiError, UsageError
from tui.core.state import TEXT_DIR_VARIABLE, state_base
from tui.engine.sample import demo_directory
from tui.services.discover import open_sample


def run(options: Namespace) -> int:
    """Build the sample, then run the app or a verb on it."""
    from tui.cli.parser import VERBS, parse

    if not options.words:
        require_terminal("dtui demo ls lists containers")
    if options.words and options.words[0] not in VERBS:
        raise UsageError(f"{options.words[0]} is not a verb", f"verbs: {', '.join(VERBS)}")
    with demo_directory() as folder:
        root, state = folder / "data-root", folder / "state"
        root.mkdir()
        with suppress(DtuiError):  # without a usable state directory, unsaved text goes elsewhere
            os.environ.setdefault(TEXT_DIR_VARIABLE, str(state_base()))
        os.environ["DTUI_STATE"] = str(state)
        discovered = open_sample(root)
        if not options.words:
            from tui.ui.app import run as run_app

            return run_app(discovered.endpoints)
        inner = parse(options.words)
        inner.sample = root
        return int(inner.run(inner))
