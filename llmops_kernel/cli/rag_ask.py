"""``llmops rag ask``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.cli._output import opened_session, say, say_json, warn
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.cli._rag import add_search, question_of, search_of, whole

if TYPE_CHECKING:
    import argparse

    from llmops_kernel.rag.answer import RagAnswer

HELP = "Answer a question from the documents of an index, with citations"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="the index")
    parser.add_argument(
        "question", nargs="+", metavar="QUESTION", help='the question; "-" reads stdin'
    )
    parser.add_argument("-m", "--model", metavar="NAME", help="model or alias")
    add_search(parser)
    parser.add_argument(
        "--budget", type=whole, metavar="TOKENS", help="tokens of passages for the model"
    )
    parser.add_argument(
        "--rewrite", action="store_true", help="let the model reword the question for the search"
    )
    parser.add_argument("--max-tokens", type=whole, metavar="N", help="bound on the answer")
    parser.add_argument("--max-usd", metavar="USD", help="bound on what each call may cost")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the answer with its sources, and its figures on stderr."""
    from llmops_kernel.display.answer import footer_line

    question = question_of(arguments.question)
    options = _options(arguments)
    with opened_session() as session:
        answer = session.rag(question, arguments.index, **options)
    data, metadata = answer._repr_mimebundle_()
    if arguments.json:
        say_json(
            {"text": answer.text, "index": answer.index, **metadata["llmops"], **_more(answer)}
        )
    else:
        say(data["text/plain"])
        warn(footer_line(answer))
    return 0


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    from llmops_kernel.cli._values import amount

    names = ("model", "budget", "max_tokens")
    options = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    if arguments.max_usd is not None:
        options["max_usd"] = amount(arguments.max_usd, "--max-usd")
    if arguments.rewrite:
        options["rewrite"] = True
    return {**options, **search_of(arguments)}


def _more(answer: RagAnswer) -> dict[str, Any]:
    return {
        "citations": [
            {
                "number": source.number,
                "document": source.document,
                "heading": source.heading,
                "page": source.page,
                "span": list(source.span),
                "text": source.text,
            }
            for source in answer.citations
        ],
        "unsupported": list(answer.unsupported),
    }
