"""``llmops prompt``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from llmops_kernel.cli._parser import Parser

HELP = "Make prompts shorter, and see what was left out"


def add(parser: Parser) -> None:
    """Declare the verbs below this one."""
    from llmops_kernel.cli import prompt_compress

    def show(_: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    parser.set_defaults(call=show)
    verbs = parser.verbs("prompt_verb", title="verbs")
    told = prompt_compress.HELP
    prompt_compress.add(verbs.add_parser("compress", help=told, description=f"{told}."))
