"""``llmops route report``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import opened_session, report
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.cli._route import reported, verdicts_of

if TYPE_CHECKING:
    import argparse

HELP = "Show what routes have done and saved, and their cost against quality"

# Colours of the system follow its light or dark mode by themselves.
_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;
background:Canvas;color:CanvasText}
table{border-collapse:collapse;margin:1rem 0}
caption{text-align:left;font-weight:600;padding:.3rem 0;white-space:nowrap}
th,td{border-bottom:1px solid GrayText;padding:.3rem .6rem;text-align:left}
td{font-variant-numeric:tabular-nums}
""".strip()


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="the route (default: all)")
    parser.add_argument(
        "--from", dest="data", metavar="DATA",
        help="hold the route against a table with text and small_ok, or text and intent",
    )  # fmt: skip
    parser.add_argument(
        "--columns", default="", metavar="OURS=THEIRS", help="text=prompt,small_ok=..., with commas"
    )
    parser.add_argument(
        "--judged", metavar="FILE", help="scores of judged answers (llmops judge run --out)"
    )
    parser.add_argument("--html", metavar="FILE", help="write the report with its plots to a page")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the report."""
    from llmops_kernel.display.route import route_report_view

    verdicts = verdicts_of(arguments.judged) if arguments.judged else None
    with opened_session() as session:
        found = reported(
            session,
            arguments.name,
            given=arguments.data,
            columns=arguments.columns,
            verdicts=verdicts,
        )
    shown = route_report_view(found.uses, found.frontiers, notes=found.notes)
    if found.evaluation is not None:
        from llmops_kernel.display import View

        facts = {**shown.facts, "evaluation": found.evaluation.as_dict()}
        shown = View(shown.data, facts)
    if arguments.html:
        from llmops_kernel.judge.gating import write_report

        write_report(arguments.html, page(shown.html))
    report(shown, arguments)
    return 0


def page(body: str) -> str:
    """Return a page that stands alone."""
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>Routes</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
