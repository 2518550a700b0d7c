"""``llmops route``: one module per verb, each like a verb of the whole program."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from llmops_kernel.cli._parser import Parser

HELP = "Choose which model answers: list, explain, learn and report on routes"


def add(parser: Parser) -> None:
    """Declare the verbs."""
    from llmops_kernel.cli import route_explain, route_learn, route_list, route_report

    parser.set_defaults(call=_help(parser))
    verbs = parser.verbs("route_verb", title="verbs")
    for module in (route_list, route_explain, route_learn, route_report):
        name = module.__name__.rpartition("_")[2]
        module.add(verbs.add_parser(name, help=module.HELP, description=f"{module.HELP}."))


def _help(parser: Parser) -> Callable[[argparse.Namespace], int]:
    def call(_: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    return call
