"""``llmops run``."""

from __future__ import annotations

import glob
import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.cli._output import say, say_json, warn
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.cli._values import amount, parameters
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from llmops_kernel.runs import RunResult

HELP = "Run notebooks under a budget and record what each cell cost"

_HEAD = ("result", "cells", "calls", "tokens", "usd", "simulated", "seconds")
_WIDTHS = (11, 5, 6, 9, 10, 10, 8)


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("notebooks", metavar="NB", nargs="+", help="notebooks to run, in order")
    parser.add_argument(
        "--budget", metavar="USD", help="cap on each notebook's run (real and simulated dollars)"
    )
    parser.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="parameters",
        help="value for a name in the cell tagged parameters (may be repeated)",
    )
    parser.add_argument(
        "--out", default="runs", metavar="DIR", help="where outputs go (default: runs)"
    )
    parser.add_argument("--timeout", type=float, metavar="S", help="seconds one cell may take")
    parser.add_argument(
        "--kernel", metavar="NAME", help="kernel (default: llmops, which is metered)"
    )
    parser.add_argument(
        "--stop-on-failure", action="store_true", help="leave out the notebooks after a failed one"
    )
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Run all, print a row for each, and a total; 1 if one failed."""
    budget = None if arguments.budget is None else amount(arguments.budget, "--budget")
    if arguments.timeout is not None and not arguments.timeout > 0:
        raise UsageProblem("--timeout must be above zero", detail=f"got {arguments.timeout:g}")
    values = parameters(arguments.parameters)
    paths = expand(arguments.notebooks)

    from llmops_kernel.runs import run_many

    table = None if arguments.json else _Table(paths)
    with _terminable():
        results = run_many(
            paths,
            budget=budget,
            parameters=values,
            out_dir=arguments.out,
            timeout=arguments.timeout,
            kernel=arguments.kernel,
            stop_on_failure=arguments.stop_on_failure,
            on_result=None if table is None else table.row,
        )
    failed = [result for result in results if not result.ok]
    if table is None:
        say_json(
            {
                "ok": not failed,
                "runs": [result.facts() for result in results],
                "total": _total(results),
                "left_out": [str(path) for path in paths[len(results) :]],
            }
        )
    else:
        table.total(results, left_out=len(paths) - len(results))
    return 1 if failed else 0


def expand(names: Sequence[str]) -> list[Path]:
    """Return the notebooks that names and patterns stand for, each once.

    Raises:
        UsageProblem: A pattern matches nothing.
    """
    paths: list[Path] = []
    for name in names:
        if Path(name).exists() or not glob.has_magic(name):
            paths.append(Path(name))
            continue
        found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - as a shell would read it
        if not found:
            raise UsageProblem("No file matches the pattern", detail=name, hint="Check the folder")
        paths += map(Path, found)
    return list(dict.fromkeys(paths))


class _Table:
    """Rows that are aligned although they are printed one by one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._name = max(len("notebook"), *(len(path.name) for path in paths))
        self._begun = False

    def row(self, result: RunResult) -> None:
        """Print the row of one notebook, and its error on stderr."""
        from llmops_kernel.display import one_line

        if not self._begun:
            self._begun = True
            self._line("notebook", _HEAD, "output")
        self._line(result.notebook.name, _cells(result.outcome, result.facts()), str(result.output))
        if result.error:
            warn(f"{result.notebook.name}: {one_line(result.error, 200)}")
        if result.detail:
            warn(result.detail)

    def total(self, results: Sequence[RunResult], left_out: int) -> None:
        """Print the last row."""
        good = sum(result.ok for result in results)
        self._line("total", _cells(f"{good}/{len(results)} ok", _total(results)), "")
        if left_out:
            warn(f"Left out after the failure: {left_out}")

    def _line(self, name: str, cells: Sequence[str], last: str) -> None:
        first, *rest = zip(cells, _WIDTHS, strict=True)
        middle = "  ".join(cell.rjust(width) for cell, width in rest)
        say(f"{name.ljust(self._name)}  {first[0].ljust(first[1])}  {middle}  {last}".rstrip())


def _cells(result: str, facts: dict[str, Any]) -> tuple[str, ...]:
    from decimal import Decimal

    from llmops_kernel.display import count, dollars

    return (
        result,
        count(facts["cells"]),
        count(facts["calls"]),
        count(facts["tokens"]),
        dollars(Decimal(facts["usd"])),
        dollars(Decimal(facts["simulated_usd"])),
        f"{facts['seconds']:.1f}",
    )


def _total(results: Sequence[RunResult]) -> dict[str, Any]:
    return {
        "cells": sum(result.cells for result in results),
        "calls": sum(result.calls for result in results),
        "tokens": sum(result.tokens for result in results),
        "usd": f"{sum(result.usd for result in results):f}",
        "simulated_usd": f"{sum(result.simulated_usd for result in results):f}",
        "seconds": round(sum(result.seconds for result in results), 3),
    }


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM unwind like Ctrl-C: no kernel is left, and the manifest is written."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
