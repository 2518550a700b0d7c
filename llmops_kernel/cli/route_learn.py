"""``llmops route learn``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import opened_session, report
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.cli._route import learned

if TYPE_CHECKING:
    import argparse

HELP = "Learn a route from judged answers or from intents, with a bound on what it may lose"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="the route's name")
    parser.add_argument(
        "--from", dest="data", metavar="DATA", required=True,
        help="CSV, TSV, JSON or JSONL with text and small_ok (and large_ok, small_usd, large_usd), "
        "with text and intent, or with text, model and score",
    )  # fmt: skip
    parser.add_argument("--small", metavar="MODEL", required=True, help="for what is simple")
    parser.add_argument("--large", metavar="MODEL", required=True, help="for everything else")
    parser.add_argument(
        "--target-loss", type=float, default=0.02, metavar="SHARE",
        help="loss of quality allowed over all calls; for intents, wrong ones among those sent "
        "to the small model (default: 0.02)",
    )  # fmt: skip
    parser.add_argument(
        "--columns", default="", metavar="OURS=THEIRS", help="text=prompt,small_ok=..., with commas"
    )
    parser.add_argument(
        "--intents", default="", metavar="NAMES",
        help="the intents that go to the small model, with commas (default: all of the table)",
    )  # fmt: skip
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print what was learned."""
    from llmops_kernel.display.route import route_learned_view

    with opened_session() as session:
        found = learned(
            session,
            arguments.name,
            arguments.data,
            small=arguments.small,
            large=arguments.large,
            target_loss=arguments.target_loss,
            columns=arguments.columns,
            intents=arguments.intents,
        )
    shown = route_learned_view(
        found.line,
        found.frontier,
        route=arguments.name.removeprefix("route/"),
        kind=found.saved.kind,
        models=(found.saved.small, found.saved.large),
        evidence=found.saved.evidence,
        notes=found.notes,
    )
    report(shown, arguments)
    return 0
