"""``llmops judge``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.cli._parser import Parser

HELP = "Measure answers with a judge, gate changes on them, and measure a judge by people's labels"


def add(parser: Parser) -> None:
    """Declare the verbs below this one."""
    from llmops_kernel.cli import (
        judge_agree,
        judge_calibrate,
        judge_compare,
        judge_gate,
        judge_import,
        judge_label,
        judge_peer,
        judge_run,
    )

    parser.group(
        "judge_verb",
        (
            judge_run,
            judge_compare,
            judge_gate,
            judge_label,
            judge_calibrate,
            judge_agree,
            judge_import,
            judge_peer,
        ),
    )
