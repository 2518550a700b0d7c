"""``llmops cache explain``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._cache import explained
from llmops_kernel.cli._output import opened_session, report
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Say whether a question would be answered from the cache, by which tier, and why"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("question", metavar="TEXT", help='the question; "-" reads stdin')
    parser.add_argument("-m", "--model", metavar="NAME", help="model or alias")
    parser.add_argument("--system", metavar="TEXT", help="instructions for the model")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="bound on the answer's length")
    parser.add_argument(
        "--temperature", type=float, metavar="T", help="as it would be asked (default: 0)"
    )
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the explanation."""
    import sys

    from llmops_kernel.display import cache_explain_view

    question = sys.stdin.read() if arguments.question == "-" else arguments.question
    with opened_session() as session:
        found = explained(
            session,
            question,
            model=arguments.model,
            system=arguments.system,
            max_tokens=arguments.max_tokens,
            temperature=arguments.temperature,
        )
    report(cache_explain_view(found, question=question), arguments)
    return 0
