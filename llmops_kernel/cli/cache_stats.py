"""``llmops cache stats``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._cache import stats_of
from llmops_kernel.cli._output import opened_session, report
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Show what the cache holds, its hits by tier, and what they saved"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the figures."""
    from llmops_kernel.display import cache_stats_view

    with opened_session() as session:
        stats, switches, warnings = stats_of(session)
    report(cache_stats_view(stats, switches=switches, warnings=warnings), arguments)
    return 0
