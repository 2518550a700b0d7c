"""``%route``: which model answers, why, and what that saves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import line_magic, magics_class, needs_local_scope, no_var_expand

from llmops_kernel.magics._base import SessionMagics, parse
from llmops_kernel.magics._flags import OUT, QUIET, argument, parsed, subcommand

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from llmops_kernel.magics.route_results import (
        RouteExplained,
        RouteLearned,
        RouteList,
        RouteReport,
    )
    from llmops_kernel.session import Session

_COLUMNS = argument(
    "--columns", default="", metavar="OURS=THEIRS", help="text=prompt,small_ok=..., with commas"
)


@magics_class
class RouteMagics(SessionMagics):
    """``%route``."""

    @no_var_expand
    @needs_local_scope
    @line_magic
    @parsed
    @subcommand("list", OUT, QUIET, help="list the routes and their models (the default)")
    @subcommand(
        "explain",
        argument("question", nargs="+", metavar="TEXT", help="the question"),
        argument("--route", metavar="NAME", required=True, help="the route"),
        argument("-s", "--system", metavar="TEXT", help="what the model is told about its task"),
        argument("--max-tokens", type=int, metavar="N", help="bound on the tokens of the answer"),
        OUT,
        QUIET,
        help="say which model a route would ask, and why, without calling any",
    )
    @subcommand(
        "learn",
        argument("name", metavar="NAME", help="the route's name"),
        argument(
            "--from",
            dest="data",
            metavar="NAME_OR_FILE",
            required=True,
            help="rows, a table, a result of %%%%judge, or a file: text and small_ok (and "
            "large_ok), text and intent, or text, model and score",
        ),
        argument("--small", metavar="MODEL", required=True, help="for what is simple"),
        argument("--large", metavar="MODEL", required=True, help="for everything else"),
        argument(
            "--target-loss",
            type=float,
            default=0.02,
            metavar="SHARE",
            help="loss of quality allowed over all calls; for intents, wrong ones among those "
            "sent to the small model (0.02)",
        ),
        _COLUMNS,
        argument(
            "--intents",
            default="",
            metavar="NAMES",
            help="the intents that go to the small model, with commas (all of the table)",
        ),
        OUT,
        QUIET,
        help="learn a route, with a bound on what it may lose",
    )
    @subcommand(
        "report",
        argument("name", nargs="?", metavar="NAME", help="the route; all of them"),
        argument(
            "--from", dest="data", metavar="NAME_OR_FILE", help="hold the route against a table"
        ),
        _COLUMNS,
        argument(
            "--judged", metavar="NAME_OR_FILE", help="a result of %%%%judge, or a file of scores"
        ),
        OUT,
        QUIET,
        help="show what routes have done and saved, and their cost against quality",
    )  # fmt: skip
    def route(
        self, line: str, local_ns: Mapping[str, Any] | None = None
    ) -> RouteList | RouteExplained | RouteLearned | RouteReport | None:
        """Look at routes, learn them, and see what they save.

        Calls go through a route by its name: ``%%ask -m route/NAME``.

        Examples: ``%route explain Where is my card? --route support``,
        ``%route learn support --from judged --small gpt-4o-mini --large gpt-4o``,
        ``%route report support``.
        """
        args = parse(RouteMagics.route, line)
        if args is None:
            return None
        names = {**self.names, **(local_ns or {})}
        shown: RouteList | RouteExplained | RouteLearned | RouteReport | None = self.finish(
            args, _done(self._source.get(), args, names)
        )
        return shown


def _done(session: Session, args: Namespace, names: Mapping[str, Any]) -> Any:
    from llmops_kernel.cli import _route
    from llmops_kernel.magics.route_results import (
        RouteExplained,
        RouteLearned,
        RouteList,
        RouteReport,
    )

    match args.verb:
        case "explain":
            question = " ".join(args.question)
            found = _route.explained(
                session, args.route, question, system=args.system, max_tokens=args.max_tokens
            )
            return RouteExplained(question, found)
        case "learn":
            learned = _route.learned(
                session,
                args.name,
                _rows("--from", args.data, names),
                small=args.small,
                large=args.large,
                target_loss=args.target_loss,
                columns=args.columns,
                intents=args.intents,
            )
            return RouteLearned(args.name.removeprefix("route/"), learned)
        case "report":
            verdicts = None
            if args.judged:
                from llmops_kernel.magics._inputs import bound_or_file

                verdicts = _route.verdicts_of(bound_or_file("--judged", args.judged, names))
            given = _rows("--from", args.data, names) if args.data else None
            report = _route.reported(
                session, args.name, given=given, columns=args.columns, verdicts=verdicts
            )
            return RouteReport(report, session.settings.static)
    return RouteList(tuple(session.routes.listed()))


def _rows(flag: str, name: str, names: Mapping[str, Any]) -> Any:
    """Return what a name is bound to, or a file; a judged run as rows of question and score."""
    from llmops_kernel.magics._inputs import bound_or_file

    value = bound_or_file(flag, name, names)
    if not (hasattr(value, "dataset") and hasattr(value, "scores")):
        return value
    samples = {sample.id: sample for sample in value.dataset.samples}
    rows = []
    for score in value.scores:
        sample = samples.get(score.sample_id)
        if sample is not None and score.value is not None:
            model = str(sample.extra.get("model") or "")
            rows.append({"text": sample.user_input, "model": model, "score": score.value})
    return rows
