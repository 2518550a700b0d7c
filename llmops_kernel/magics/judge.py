"""``%judge`` and ``%%judge``: answers measured, with intervals, at a price that is told first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import (
    cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)

from llmops_kernel.errors import UsageProblem
from llmops_kernel.magics._base import SessionMagics, parse
from llmops_kernel.magics._flags import (
    OUT,
    QUIET,
    Magic,
    argument,
    dollars,
    parsed,
    subcommand,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmops_kernel.magics.judge_results import (
        Calibrated,
        Comparison,
        Judgement,
        Labelling,
    )

_METRICS = argument(
    "metrics",
    nargs="*",
    metavar="METRIC",
    help="such as faithfulness[deepeval], correctness, recall@5 (triad; for the offline judge its "
    "own three)",
)
_JUDGE = argument(
    "--judge",
    default="offline",
    metavar="NAME",
    help="offline (heuristics, the default), a model or alias, several with commas (a jury), or a "
    "variable that holds one, or a judge of your own",
)
_ESCALATE = argument(
    "--escalate", metavar="MODEL", help="have this model decide where a jury's votes are split"
)
_LABELS = argument(
    "--labels", action="append", default=[], metavar="FILE", help="people's labels (%%judge label)"
)
_DATA = argument(
    "data", metavar="DATA", help="samples, rows, a table or a result of %%%%judge; or a JSONL file"
)
_METRIC = argument("--metric", required=True, metavar="NAME", help="such as faithfulness")
_BUDGET = argument("--budget", type=dollars, metavar="USD", help="cap for this run")
_CONCURRENCY = argument(
    "--concurrency", type=int, default=16, metavar="N", help="calls at a time (16)"
)
_JOURNAL = argument(
    "--journal", metavar="FILE", help="resume from this file: nothing in it is paid for again"
)
_GIVE_UP = argument(
    "--give-up-after",
    type=int,
    default=20,
    metavar="N",
    help="end after so many answers in a row that are no verdicts (20; 0: never)",
)
_BASELINE = argument(
    "--baseline", metavar="NAME_OR_FILE", help="a result of %%judge, or a file of scores"
)
_GATE = argument("--gate", metavar="FILE", help="decide by this configuration (gate.toml)")


def _typed_as_judge(method: Magic) -> Magic:
    """Name both methods in help and errors as people type them."""
    method.argcmd_name = "judge"  # type: ignore[attr-defined]
    return method


@magics_class
class JudgeMagics(SessionMagics):
    """``%judge`` and ``%%judge``."""

    @no_var_expand
    @needs_local_scope
    @line_magic("judge")  # type: ignore[arg-type]  # IPython's hints forget this form
    @parsed
    @subcommand(
        "report",
        argument("result", nargs="?", metavar="NAME", help="a result of %%judge; the last one"),
        argument("--html", metavar="FILE", help="write it as one HTML page"),
        argument("--junit", metavar="FILE", help="write it as JUnit XML"),
        argument("--scores", metavar="FILE", help="write the scores: a baseline for later runs"),
        OUT,
        QUIET,
        help="show a result again, or write it to files (the default)",
    )
    @subcommand(
        "last",
        _METRICS,
        _JUDGE,
        _BUDGET,
        OUT,
        QUIET,
        help="measure the last answer of %%rag",
    )
    @subcommand(
        "compare",
        argument("current", metavar="CURRENT", help="a result of %%judge, or a file of scores"),
        argument("baseline", metavar="BASELINE", help="what it is compared with"),
        OUT,
        QUIET,
        help="tell what changed between two runs",
    )
    @subcommand(
        "label",
        _DATA,
        _METRIC,
        argument("--n", type=int, default=30, metavar="N", help="how many samples (30)"),
        argument(
            "--pairwise",
            metavar="BASE",
            help="show the answers of another set beside these, in both orders",
        ),
        argument("--grades", type=int, default=0, metavar="K", help="1 to K, not yes or no"),
        argument("--seed", type=int, default=0, metavar="S", help="draws the samples"),
        argument("--rater", metavar="NAME", help="who labels (you)"),
        argument("--labels", metavar="FILE", help="the file of labels (DATA.labels.jsonl)"),
        OUT,
        QUIET,
        help="label answers by hand, blind to scores and systems",
    )
    @subcommand(
        "calibrate",
        _DATA,
        _METRIC,
        _JUDGE,
        argument("--human", metavar="NAME", help="the label to compare with (the metric's own)"),
        _LABELS,
        argument("--scores", metavar="NAME_OR_FILE", help="take these scores, and ask no judge"),
        argument("--pairwise", metavar="BASE", help="the other answers, for the metric pairwise"),
        argument("--within", type=float, metavar="SHARE", help="tell the labels for this interval"),
        _ESCALATE,
        _BUDGET,
        _JOURNAL,
        _CONCURRENCY,
        _GIVE_UP,
        OUT,
        QUIET,
        help="correct a judge's mean by people's labels, and tell where it leans",
    )
    @_typed_as_judge
    def judge_line(
        self, line: str, local_ns: Mapping[str, Any] | None = None
    ) -> Judgement | Comparison | Labelling | Calibrated | None:
        """Show, write and compare what a judge found, label by hand, and calibrate a judge.

        %%judge measures a data set; %%judge --help shows what it takes.

        Examples: ``%judge last``, ``%judge compare now before``, ``%judge label answers --metric
        correctness``, ``%judge report --html p.html``.
        """
        args = parse(JudgeMagics.judge_line, line)
        if args is None:
            return None
        from llmops_kernel.magics import _judging

        names = {**self.names, **(local_ns or {})}
        result: Judgement | Comparison | Labelling | Calibrated
        match args.verb:
            case "label":
                from llmops_kernel.magics._labelling import labelling

                result = labelling(self._source.get(), args, names, widgets=self._has_kernel)
            case "calibrate":
                from llmops_kernel.magics._labelling import calibrated

                result = calibrated(self._source.get(), args, names)
            case "last":
                args.baseline = args.gate = args.journal = args.escalate = None
                args.labels = []
                args.concurrency = _CONCURRENCY.kwds["default"]
                args.give_up_after = _GIVE_UP.kwds["default"]
                session = self._source.get()
                result = self._keep(
                    _judging.judged(session, args, _judging.last_answer(session), "", names)
                )
            case "compare":
                result = _judging.compared(args.current, args.baseline, names)
            case _:
                result = self._reported(args, names)
        return self.finish(args, result)

    @no_var_expand
    @needs_local_scope
    @cell_magic("judge")  # type: ignore[arg-type]
    @parsed
    @_METRICS
    @argument(
        "--data", metavar="NAME_OR_FILE", help="samples, rows or a table; or a JSONL file of them"
    )
    @_JUDGE
    @_BASELINE
    @_GATE
    @_LABELS
    @_ESCALATE
    @_BUDGET
    @_JOURNAL
    @_CONCURRENCY
    @_GIVE_UP
    @OUT
    @QUIET
    @_typed_as_judge
    def judge_cell(
        self, line: str, cell: str, local_ns: Mapping[str, Any] | None = None
    ) -> Judgement | None:
        """Measure answers; what it will take is told before anything is spent.

        Each line below is a criterion of its own, ``label: what a good answer is``; a line
        ``metrics: ...`` names more metrics.

        Example: ``%%judge faithfulness --data answers --judge gpt-4o-mini --budget 0.50 -o now``.
        """
        try:
            args = parse(JudgeMagics.judge_cell, line, sigil="%%")
        except UsageProblem as problem:
            problem.hint = problem.hint.replace("%judge --help", "%%judge --help")
            raise
        if args is None:
            return None
        if not args.data:
            raise UsageProblem(
                "%%judge needs --data", hint="--data NAME_OR_FILE; %judge last takes an answer"
            )
        from llmops_kernel.magics import _judging

        names = {**self.names, **(local_ns or {})}
        dataset = _judging.dataset_named(args.data, names)
        return self.finish(
            args, self._keep(_judging.judged(self._source.get(), args, dataset, cell, names))
        )

    @property
    def _has_kernel(self) -> bool:
        """Whether a front end may show widgets; a plain shell shows text."""
        return getattr(self.shell, "kernel", None) is not None

    def _keep(self, result: Judgement) -> Judgement:
        self._last = result
        return result

    def _reported(self, args: Any, names: Mapping[str, Any]) -> Judgement:
        from llmops_kernel.judge.gating import write_report
        from llmops_kernel.magics._judging import judgement_named

        if args.result:
            result = judgement_named(args.result, names)
        else:
            last: Judgement | None = getattr(self, "_last", None)
            if last is None:
                raise UsageProblem(
                    "Nothing was judged yet", hint="%%judge METRIC --data NAME_OR_FILE"
                )
            result = last
        if args.html:
            write_report(args.html, result.html())
        if args.junit:
            write_report(args.junit, result.junit())
        if args.scores:
            result.save(args.scores)
        return result
