"""``llmops judge``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

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

    def show(_: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    parser.set_defaults(call=show)
    verbs = parser.verbs("judge_verb", title="verbs")
    for module in (
        judge_run, judge_compare, judge_gate, judge_label, judge_calibrate, judge_agree,
        judge_import,
        judge_peer,
    ):  # fmt: skip
        name = module.__name__.rpartition("judge_")[2]
        module.add(verbs.add_parser(name, help=module.HELP, description=f"{module.HELP}."))
