"""``dtui edit``: the app, opened on one file."""

from __future__ import annotations

import os
from argparse import Namespace

from tui.cli.lookup import ContainerFinder, find_endpoints, require_terminal, settings
from tui.linux.rooted_paths import normalized
from tui.services.discover import require_endpoints


def run(options: Namespace) -> int:
    """Open the app on a file. The container is looked up first, so that a wrong REF fails with one line."""
    require_terminal("dtui cat and dtui write work")
    discovered = require_endpoints(find_endpoints(options))
    _, details, path = ContainerFinder(discovered.endpoints).find_file(options.ref)
    from tui.ui.app import run as run_app

    goal = (details.container, normalized(os.fsencode(path)))
    return run_app(discovered.endpoints, discovered.tried, open_path=goal, theme=settings(options.config).get("theme"))
