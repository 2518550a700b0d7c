"""``llmops rag ingest``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from llmops_kernel.cli._output import opened_session, report, warn
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.cli._rag import add_parts, ingested, parts_of, progress_bar

if TYPE_CHECKING:
    import argparse

HELP = "Read files, folders and addresses into an index; a new name makes one"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="the index")
    parser.add_argument(
        "targets", nargs="+", metavar="TARGET", help="a file, folder, pattern or http address"
    )
    parser.add_argument("--tenant", default="", metavar="NAME", help="who may see them (all)")
    parser.add_argument("--prefix", default="", metavar="TEXT", help="put before their names")
    add_parts(parser)
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Ingest and report; 1 if a document could not be read."""
    from llmops_kernel.display import ingest_view

    watched = sys.stderr.isatty() and not arguments.json
    with opened_session() as session, progress_bar(shown=watched) as progress:
        done, made = ingested(
            session,
            arguments.index,
            arguments.targets,
            tenant=arguments.tenant,
            prefix=arguments.prefix,
            parts=parts_of(arguments),
            progress=progress,
        )
    report(ingest_view(done), arguments)
    if not made:
        warn("There was nothing to read, so no index was made")
    return 0 if done.ok and made else 1
