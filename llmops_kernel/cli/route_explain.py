"""``llmops route explain``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import opened_session, report
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.cli._route import explained

if TYPE_CHECKING:
    import argparse

HELP = "Say which model a route would ask, and why, without calling any"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("question", metavar="TEXT", help='the question; "-" reads stdin')
    parser.add_argument("--route", metavar="NAME", required=True, help="the route")
    parser.add_argument("--system", metavar="TEXT", help="instructions for the model")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="bound on the answer's length")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the explanation."""
    import sys

    from llmops_kernel.display.route import route_explain_view

    question = sys.stdin.read() if arguments.question == "-" else arguments.question
    with opened_session() as session:
        found = explained(
            session,
            arguments.route,
            question,
            system=arguments.system,
            max_tokens=arguments.max_tokens,
        )
    shown = route_explain_view(
        found.decision, route=found.route, kind=found.kind, asked=question, then=found.then
    )
    report(shown, arguments)
    return 0
