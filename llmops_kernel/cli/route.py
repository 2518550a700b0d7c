"""``llmops route``: one module per verb, each like a verb of the whole program."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.cli._parser import Parser

HELP = "Choose which model answers: list, explain, learn and report on routes"


def add(parser: Parser) -> None:
    """Declare the verbs below this one."""
    from llmops_kernel.cli import route_explain, route_learn, route_list, route_report

    parser.group("route_verb", (route_list, route_explain, route_learn, route_report))
