"""``llmops serve lora``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import report
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.cli._serve import LORA, adapters_of

if TYPE_CHECKING:
    import argparse

HELP = "List a server's adapters; load and unload them while a vLLM runs"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    for names, options in LORA:
        parser.add_argument(*names, **options)
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print what is loaded."""
    from llmops_kernel.display.serve_lora import adapters_view

    report(adapters_view(adapters_of(arguments)), arguments)
    return 0
