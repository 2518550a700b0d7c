"""``llmops model``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.cli._parser import Parser

HELP = "List trained models, show where they come from, promote and remove them"


def add(parser: Parser) -> None:
    """Declare the verbs below this one."""
    from llmops_kernel.cli import model_card, model_list, model_promote, model_rm, model_show

    parser.group("model_verb", (model_list, model_show, model_card, model_promote, model_rm))
