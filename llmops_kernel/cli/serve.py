"""``llmops serve``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.cli._parser import Parser

HELP = "Plan, start, measure and stop servers of open models; each is a model local/NAME"


def add(parser: Parser) -> None:
    """Declare the verbs below this one."""
    from llmops_kernel.cli import (
        serve_bench,
        serve_build,
        serve_health,
        serve_list,
        serve_logs,
        serve_lora,
        serve_plan,
        serve_scale,
        serve_start,
        serve_stop,
    )

    parser.group(
        "serve_verb",
        (
            serve_plan,
            serve_start,
            serve_list,
            serve_health,
            serve_logs,
            serve_scale,
            serve_lora,
            serve_bench,
            serve_stop,
            serve_build,
        ),
    )
