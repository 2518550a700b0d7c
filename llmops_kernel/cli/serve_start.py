"""``llmops serve start``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import report, warn
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.cli._serve import START, started

if TYPE_CHECKING:
    import argparse

HELP = "Start a server of a model on loopback; it is called as local/NAME and runs on its own"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    for names, options in START:
        parser.add_argument(*names, **options)
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the server once it has answered."""
    from llmops_kernel.display.serve import started_view
    from llmops_kernel.serve.servers.stopping import look

    made = started(arguments, keep=True, idle_min=0.0, say=warn)
    facts = look(made.record.name, ask=False).as_json()
    told = {"fresh": made.fresh, "checked": made.checked, "differs": list(made.differs)}
    report(started_view({**facts, **told}), arguments)
    return 0
