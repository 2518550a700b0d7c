"""``llmops finetune``: one module per verb, each like a verb of the whole program."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.cli._parser import Parser

HELP = "Fine-tune a model in processes of its own, look at runs, stop and resume them"


def add(parser: Parser) -> None:
    """Declare the verbs below this one."""
    from llmops_kernel.cli import (
        finetune_list,
        finetune_logs,
        finetune_resume,
        finetune_run,
        finetune_status,
        finetune_stop,
    )

    parser.group(
        "finetune_verb",
        (
            finetune_run,
            finetune_status,
            finetune_list,
            finetune_stop,
            finetune_resume,
            finetune_logs,
        ),
    )
