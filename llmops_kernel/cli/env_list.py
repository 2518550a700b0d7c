"""``llmops env list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import say, say_json
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "List the environments there can be, and which are made"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print them."""
    from llmops_kernel import envs
    from llmops_kernel.display.table import table

    found = envs.environments()
    if arguments.json:
        say_json(
            [
                {
                    "name": each.recipe.name, "purpose": each.recipe.purpose,
                    "needs": each.recipe.needs, "made": each.made,
                    "current": each.current, "folder": str(each.folder),
                }
                for each in found
            ]
        )  # fmt: skip
        return 0
    rows = [
        (
            each.recipe.name,
            "ready" if each.current else "outdated" if each.made else "not made",
            each.recipe.purpose,
            each.recipe.needs or None,
        )
        for each in found
    ]
    say(table(("Name", "State", "For", "Needs"), rows, "Environments (llmops env create NAME)")[1])
    return 0
