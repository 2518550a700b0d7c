"""``llmops env create``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import say, say_json
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Make an environment with pip, unless it is there"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="trl, unsloth, axolotl, ... (see env list)")
    parser.add_argument("--again", action="store_true", help="make it anew in any case")
    parser.add_argument(
        "--newest", action="store_true", help="take the newest versions that fit, not the tested"
    )
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Make it; takes minutes."""
    from llmops_kernel import envs

    told = (lambda _: None) if arguments.json else say
    made = envs.create(arguments.name, say=told, again=arguments.again, locked=not arguments.newest)
    if arguments.json:
        say_json({"name": arguments.name, "python": str(made.python), "made": made.made})
    else:
        say(f"{arguments.name}: {made.python}")
    return 0
