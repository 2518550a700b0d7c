"""``llmops prompt``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.cli._parser import Parser

HELP = "Make prompts shorter, and see what was left out"


def add(parser: Parser) -> None:
    """Declare the verbs below this one."""
    from llmops_kernel.cli import prompt_compress

    parser.group("prompt_verb", (prompt_compress,))
