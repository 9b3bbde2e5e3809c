"""``dtui completion``: print a completion script for a shell."""

from __future__ import annotations

from argparse import Namespace

from tui.cli.output import print_text


def run(options: Namespace) -> int:
    """Print the script, made from the parser, so that it always knows all verbs and options."""
    import shtab  # only this verb needs it

    from tui.cli.parser import make_parser

    print_text(shtab.complete(make_parser(), shell=options.shell))
    return 0
