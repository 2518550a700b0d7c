"""``llmops env``: side environments for packages whose versions exclude each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from llmops_kernel.cli._parser import Parser

HELP = "Make and list environments for training, serving and evaluation packages"


def add(parser: Parser) -> None:
    """Declare the verbs."""
    from llmops_kernel.cli import env_create, env_list

    def show(_: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    parser.set_defaults(call=show)
    verbs = parser.verbs("env_verb", title="verbs")
    for module in (env_create, env_list):
        name = module.__name__.rpartition("_")[2]
        module.add(verbs.add_parser(name, help=module.HELP, description=f"{module.HELP}."))
