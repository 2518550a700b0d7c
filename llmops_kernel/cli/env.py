"""``llmops env``: side environments for packages whose versions exclude each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.cli._parser import Parser

HELP = "Make and list environments for training, serving and evaluation packages"


def add(parser: Parser) -> None:
    """Declare the verbs below this one."""
    from llmops_kernel.cli import env_create, env_list

    parser.group("env_verb", (env_create, env_list))
