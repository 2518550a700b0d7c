"""``llmops trace``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import opened_session, report, say, say_json
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse

    from llmops_kernel.session import Session
    from llmops_kernel.trace.spans import SpanNode

HELP = "Show the tree of a trace, or list traces"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "which", metavar="WHICH", nargs="?", default="last", help="last (default), list, or an id"
    )
    parser.add_argument(
        "-n", "--limit", type=int, default=20, metavar="N", help="how many to list (default: 20)"
    )
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print a tree or a list."""
    from llmops_kernel.display import trace_view

    with opened_session() as session:
        if arguments.which == "list":
            _list(session, arguments)
            return 0
        root = _find(session, arguments.which)
    if arguments.json:
        say_json(None if root is None else _tree(root))
    else:
        report(trace_view(root), arguments)
    return 0


def _find(session: Session, which: str) -> SpanNode | None:
    if which == "last":
        return session.trace()
    root = session.trace(which)
    if root is None:
        raise UsageProblem(
            "There is no such trace", detail=which, hint="llmops trace list names the newest"
        )
    return root


def _list(session: Session, arguments: argparse.Namespace) -> None:
    from llmops_kernel.display import seconds as duration
    from llmops_kernel.display import table

    spans = session.traces(arguments.limit)
    if arguments.json:
        say_json(
            [
                {
                    "trace_id": span.trace_id,
                    "name": span.name,
                    "kind": span.kind,
                    "started": span.started,
                    "seconds": span.seconds,
                    "status": span.status,
                }
                for span in spans
            ]
        )
        return
    rows = [
        (
            span.trace_id,
            f"{span.started:%Y-%m-%d %H:%M:%S}",
            span.name,
            span.status,
            duration(span.seconds),
        )
        for span in spans
    ]
    say(table(("Trace", "Started (UTC)", "Name", "Status", "Took"), rows, "Traces")[1])


def _tree(node: SpanNode) -> dict[str, object]:
    span = node.span
    return {
        "span_id": span.span_id,
        "trace_id": span.trace_id,
        "name": span.name,
        "kind": span.kind,
        "started": span.started,
        "ended": span.ended,
        "status": span.status,
        "attributes": span.attributes,
        "input": span.input,
        "output": span.output,
        "children": [_tree(child) for child in node.children],
    }
