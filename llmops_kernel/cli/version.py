"""``llmops version``."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from llmops_kernel._version import __version__
from llmops_kernel.cli._output import say, say_json

if TYPE_CHECKING:
    import argparse

HELP = "Show the version"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print it."""
    if arguments.json:
        say_json({"version": __version__, "python": platform.python_version()})
    else:
        say(f"llmops-kernel {__version__} (Python {platform.python_version()})")
    return 0
