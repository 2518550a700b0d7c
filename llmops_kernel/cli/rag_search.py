"""``llmops rag search``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import opened_session, say, say_json
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.cli._rag import add_search, question_of, search_of

if TYPE_CHECKING:
    import argparse

HELP = "Find the chunks that fit a question; no model is asked"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="the index")
    parser.add_argument(
        "question", nargs="+", metavar="QUESTION", help='what to look for; "-" reads stdin'
    )
    add_search(parser)
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print what was found; in JSON with whole texts."""
    from llmops_kernel.display import search_view
    from llmops_kernel.retrieval import search

    question = question_of(arguments.question)
    with opened_session() as session:
        found = search(session, question, arguments.index, **search_of(arguments))
    view = search_view(found, question=question, index=arguments.index)
    if arguments.json:
        texts = [each.chunk.text for each in found]
        shown = zip(view.facts["found"], texts, strict=True)
        say_json({**view.facts, "found": [{**facts, "text": text} for facts, text in shown]})
    else:
        say(view.text)
    return 0
