"""``llmops ask``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from llmops_kernel.cli._output import opened_session, say, say_json, warn
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse
    from decimal import Decimal

HELP = "Ask a model one question"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("question", metavar="QUESTION", help='the question; "-" reads stdin')
    parser.add_argument("-m", "--model", metavar="NAME", help="model or alias")
    parser.add_argument("--system", metavar="TEXT", help="instructions for the model")
    parser.add_argument("--context", metavar="TEXT", help="text to answer from")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="bound on the answer's length")
    parser.add_argument("--max-usd", metavar="USD", help="bound on what this call may cost")
    parser.add_argument("--temperature", type=float, metavar="T", help="0 for the likeliest answer")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Ask, print the answer, and its figures on stderr."""
    from llmops_kernel.cli._values import amount
    from llmops_kernel.display import answer_view
    from llmops_kernel.display.answer import footer_line

    question = sys.stdin.read() if arguments.question == "-" else arguments.question
    max_usd: Decimal | None = None
    if arguments.max_usd is not None:
        max_usd = amount(arguments.max_usd, "--max-usd")
    with opened_session() as session:
        answer = session.ask(
            question,
            model=arguments.model,
            system=arguments.system,
            context=arguments.context,
            max_tokens=arguments.max_tokens,
            temperature=arguments.temperature,
            max_usd=max_usd,
        )
    view = answer_view(answer)
    if arguments.json:
        say_json({"text": answer.text, **view.facts})
    else:
        say(view.text)
        warn(footer_line(answer))
    return 0
