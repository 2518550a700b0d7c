"""``llmops judge import``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.cli._output import opened_session, say, say_json, warn
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse

    from llmops_kernel.judge.data.problems import Dataset

HELP = "Make a data set of another tool's file, or of this machine's traces"

TOOLS = ("ragas", "deepeval", "trulens", "promptflow", "langfuse", "phoenix")
_OWN = "traces"
_SHOWN = 20


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="JSON or JSONL; none for --from traces"
    )
    parser.add_argument(
        "--from", dest="tool", required=True, choices=(*TOOLS, _OWN), metavar="TOOL",
        help=f"{', '.join(TOOLS)}, or traces: answers from documents in the record",
    )  # fmt: skip
    parser.add_argument(
        "--annotations", metavar="FILE", help="Phoenix' annotations of the spans, as labels"
    )
    parser.add_argument("--out", required=True, metavar="DATA.jsonl", help="where samples go")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Write the samples; 3 if there is none."""
    from llmops_kernel.judge.data import dump

    if arguments.tool == _OWN:
        if arguments.file:
            raise UsageProblem("Traces are read from the record", hint="Leave the file out")
        dataset = _own()
    elif not arguments.file:
        raise UsageProblem(f"--from {arguments.tool} needs a file", hint="Name its export")
    else:
        dataset = _others(arguments)
    for problem in dataset.problems[:_SHOWN]:
        warn(str(problem))
    if len(dataset.problems) > _SHOWN:
        warn(f"{len(dataset.problems) - _SHOWN} more rows are not whole")
    for note in dataset.notes:
        warn(note)
    labelled = sum(bool(each.human) for each in dataset.samples)
    if dataset.samples:
        dump(dataset.samples, arguments.out)
    facts = {"samples": len(dataset), "labelled": labelled, "problems": dataset.counts,
             "notes": list(dataset.notes),
             "file": arguments.out if dataset.samples else None}  # fmt: skip
    if arguments.json:
        say_json(facts)
    else:
        samples = f"{len(dataset)} sample{'s' * (len(dataset) != 1)}"
        file = f": {arguments.out}" if dataset.samples else "; no file was written"
        say(f"{samples}, {labelled} with labels by people{file}")
    return 0 if dataset.samples else 3


def _own() -> Dataset:
    from llmops_kernel.judge.data import from_traces

    with opened_session() as session:
        return from_traces(session.store)


def _others(arguments: argparse.Namespace) -> Dataset:
    from llmops_kernel.judge import data

    options: dict[str, Any] = {}
    if arguments.annotations:
        if arguments.tool != "phoenix":
            raise UsageProblem("--annotations goes with --from phoenix")
        options["annotations"] = arguments.annotations
    found: Dataset = getattr(data, f"from_{arguments.tool}")(arguments.file, **options)
    return found
