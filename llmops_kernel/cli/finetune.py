"""``llmops finetune``: one module per verb, each like a verb of the whole program."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from llmops_kernel.cli._parser import Parser

HELP = "Fine-tune a model in processes of its own, look at runs, stop and resume them"


def add(parser: Parser) -> None:
    """Declare the verbs."""
    from llmops_kernel.cli import (
        finetune_list,
        finetune_logs,
        finetune_resume,
        finetune_run,
        finetune_status,
        finetune_stop,
    )

    def show(_: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    parser.set_defaults(call=show)
    verbs = parser.verbs("finetune_verb", title="verbs")
    for module in (
        finetune_run, finetune_status, finetune_list, finetune_stop, finetune_resume, finetune_logs,
    ):  # fmt: skip
        name = module.__name__.rpartition("_")[2]
        module.add(verbs.add_parser(name, help=module.HELP, description=f"{module.HELP}."))
