"""``llmops env list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import say, say_json
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

    from llmops_kernel.envs import Environment

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
                    "name": each.recipe.name, "variant": each.recipe.variant,
                    "purpose": each.recipe.purpose, "needs": each.recipe.needs,
                    "untried": each.recipe.untried, "made": each.made,
                    "made_variant": each.variant, "current": each.current,
                    "folder": str(each.folder),
                }
                for each in found
            ]
        )  # fmt: skip
        return 0
    rows = [
        (
            each.recipe.name,
            each.recipe.variant or None,
            _state(each),
            each.recipe.purpose,
            "; ".join(filter(None, (each.recipe.needs, each.recipe.untried))) or None,
        )
        for each in found
    ]
    heads = ("Name", "Variant", "State", "For", "Needs")
    say(table(heads, rows, "Environments (llmops env create NAME)")[1])
    return 0


def _state(environment: Environment) -> str:
    if environment.current:
        return "ready"
    if not environment.made:
        return "not made"
    return "outdated" if environment.fits else "made for another machine"
