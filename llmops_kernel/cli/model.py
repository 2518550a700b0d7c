"""``llmops model``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from llmops_kernel.cli._parser import Parser

HELP = "List trained models, show where they come from, promote and remove them"


def add(parser: Parser) -> None:
    """Declare the verbs below this one."""
    from llmops_kernel.cli import model_card, model_list, model_promote, model_rm, model_show

    def show(_: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    parser.set_defaults(call=show)
    verbs = parser.verbs("model_verb", title="verbs")
    for module in (model_list, model_show, model_card, model_promote, model_rm):
        name = module.__name__.rpartition("model_")[2]
        module.add(verbs.add_parser(name, help=module.HELP, description=f"{module.HELP}."))
