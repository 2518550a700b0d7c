"""``llmops rag``: one module per verb, each like a verb of the whole program."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from llmops_kernel.cli._parser import Parser

HELP = "Make indexes of documents, search them, and ask questions of them"


def add(parser: Parser) -> None:
    """Declare the verbs."""
    from llmops_kernel.cli import (
        rag_ask,
        rag_drop,
        rag_evaluate,
        rag_ingest,
        rag_list,
        rag_reindex,
        rag_search,
        rag_stats,
    )

    parser.set_defaults(call=_help(parser))
    verbs = parser.verbs("rag_verb", title="verbs")
    for module in (
        rag_ingest,
        rag_list,
        rag_stats,
        rag_search,
        rag_ask,
        rag_evaluate,
        rag_drop,
        rag_reindex,
    ):
        name = module.__name__.rpartition("_")[2]
        module.add(verbs.add_parser(name, help=module.HELP, description=f"{module.HELP}."))


def _help(parser: Parser) -> Callable[[argparse.Namespace], int]:
    def call(_: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    return call
