"""``llmops rag``: one module per verb, each like a verb of the whole program."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.cli._parser import Parser

HELP = "Make indexes of documents, search them, and ask questions of them"


def add(parser: Parser) -> None:
    """Declare the verbs below this one."""
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

    parser.group(
        "rag_verb",
        (rag_ingest, rag_list, rag_stats, rag_search, rag_ask, rag_evaluate, rag_drop, rag_reindex),
    )
