"""``llmops doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import say, say_json
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from llmops_kernel.doctor import Check

HELP = "Check store, balances, prices, endpoint, kernel and packages"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the checks; 1 if one failed."""
    from llmops_kernel.display import checks_view
    from llmops_kernel.doctor import run_checks

    checks = run_checks()
    if arguments.json:
        say_json(checks_view(checks).facts)
    else:
        say(_lines(checks))
    return 1 if any(check.state == "fail" for check in checks) else 0


def _lines(checks: Sequence[Check]) -> str:
    """Return the checks in full: a table would cut the paths that one needs here."""
    size = max(len(check.name) for check in checks)
    lines: list[str] = []
    for check in checks:
        lines.append(f"{check.state:4}  {check.name:{size}}  {check.detail}")
        if check.hint:
            lines.append(f"{'':{size + 8}}→ {check.hint}")
    return "\n".join(lines)
