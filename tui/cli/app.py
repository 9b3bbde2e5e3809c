"""``dtui`` without a verb: the terminal app."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.lookup import find_endpoints, require_terminal, settings


def run(options: Namespace) -> int:
    """Run the app. If no Engine answers, it shows the data-roots of this host, else what was tried."""
    require_terminal("dtui ls lists containers")
    from tui.ui.app import run as run_app

    discovered = find_endpoints(options)
    theme = settings(options.config).get("theme")
    return run_app(discovered.endpoints, discovered.tried, note=discovered.note, theme=theme)
