"""``dtui demo``: everything over a sample data-root that goes away afterwards."""

from __future__ import annotations

import os
import tempfile
from argparse import Namespace
from pathlib import Path

from tui.core.errors import UsageError
from tui.engine.discover import sample_in


def run(options: Namespace) -> int:
    """Build the sample, then run the app or a verb on it."""
    from tui.cli.parser import VERBS, parse

    if options.words and options.words[0] not in VERBS:
        raise UsageError(f"{options.words[0]} is no verb", f"one of {', '.join(VERBS)}")
    with tempfile.TemporaryDirectory(prefix="dtui-demo-") as folder:
        root, state = Path(folder, "data-root"), Path(folder, "state")
        root.mkdir()
        os.environ["DTUI_STATE"] = str(state)
        found = sample_in(root)
        if not options.words:
            from tui.ui.app import run as run_app

            return run_app(found.endpoints)
        inner = parse(options.words)
        inner.sample = root
        return int(inner.run(inner))
