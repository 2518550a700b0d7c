"""``llmops judge gate``.

The exit code is the decision, so that nothing else may have those of another one: whatever keeps
the gate from deciding (wrong arguments, files that cannot be read, a crash) is 3, an invalid run,
and never 1 or 2, by which other verbs tell a failure or wrong arguments.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.cli._judge_files import (
    INVALID,
    add_baseline_data,
    report_of,
    samples_told,
    shown_with,
    warn_ungated,
    write_told,
)
from llmops_kernel.cli._judge_labels import add_labels
from llmops_kernel.cli._output import report as show
from llmops_kernel.cli._output import say, say_json, warn
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.errors import LLMOpsError, UsageProblem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from llmops_kernel.judge.decision import GateConfig
    from llmops_kernel.judge.scores import Score

HELP = "Decide whether a change may pass; the exit code says so"
WRONG_USAGE = INVALID
_CODES = """exit codes: 0 it passes; 1 a proved regression; 2 inconclusive: too few samples to tell;
3 invalid: the runs cannot be compared, or the gate was called wrongly; 4 a cap cut the run short"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _CODES
    parser.add_argument(
        "current", metavar="CURRENT.json", nargs="?",
        help="what judge run --out wrote (not with --plan)",
    )  # fmt: skip
    parser.add_argument(
        "--plan", action="store_true",
        help="only tell what loss the baseline's samples could show, before anything is run",
    )  # fmt: skip
    parser.add_argument(
        "--baseline", metavar="BASELINE.json",
        help="the run to compare it with; without one, floors of the configuration are checked",
    )  # fmt: skip
    parser.add_argument(
        "--config", metavar="GATE.toml",
        help="margins, floors, policy, alpha, min_n, must_detect, advisory ... (default: no metric "
        "of the baseline may be proved to lose anything)",
    )  # fmt: skip
    parser.add_argument(
        "--data", metavar="DATA.jsonl",
        help="the samples: those of one cluster are not counted as independent, and reports show "
        "questions and answers",
    )  # fmt: skip
    add_baseline_data(parser)
    add_labels(parser)
    parser.add_argument("--junit", metavar="FILE", help="write the report as JUnit XML")
    parser.add_argument("--html", metavar="FILE", help="write the report as one HTML page")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the decision and return its exit code."""
    try:
        return _decided(arguments)
    except LLMOpsError as error:
        warn("\n".join(error._render_traceback_()))
        return INVALID
    except BrokenPipeError:  # the program's own business
        raise
    except Exception:  # noqa: BLE001 - Python would exit with 1, which says "regression" here
        traceback.print_exc(file=sys.stderr)
        return INVALID


def _decided(arguments: argparse.Namespace) -> int:
    from llmops_kernel.display.judge import comparison_view
    from llmops_kernel.judge.gate import GateConfig, decide
    from llmops_kernel.judge.gating import load_config
    from llmops_kernel.judge.results import load_scores

    config = GateConfig() if arguments.config is None else load_config(arguments.config)
    before = None if arguments.baseline is None else load_scores(arguments.baseline)[0]
    if arguments.plan:
        return _planned(arguments, before, config)
    if arguments.current is None:
        raise UsageProblem(
            "llmops judge gate needs CURRENT.json", hint="--plan needs the baseline only"
        )
    now, facts = load_scores(arguments.current)
    samples = samples_told(now, arguments.data, arguments.labels)
    gate = decide(now, before, config, samples=samples)
    current = Path(arguments.current).name
    baseline = "its floors" if arguments.baseline is None else Path(arguments.baseline).name
    report = report_of(
        samples, now, facts, gate, title=f"Gate of {current} against {baseline}",
        baseline=before, baseline_data=arguments.baseline_data,
    )  # fmt: skip
    write_told(report, html=arguments.html, junit=arguments.junit)
    if not arguments.json:
        for each in gate.plan:
            say(each.sentence)
    view = comparison_view(gate, current=current, baseline=baseline, decides=True)
    show(shown_with(view, report), arguments)
    if not arguments.json:
        warn_ungated(now, gate)
    return gate.exit_code


def _planned(
    arguments: argparse.Namespace, before: Sequence[Score] | None, config: GateConfig
) -> int:
    """Tell what the gate could see, and decide nothing."""
    from llmops_kernel.judge.planning import plan

    if before is None or arguments.current is not None:
        raise UsageProblem("--plan takes a baseline and no run", hint="--plan --baseline main.json")
    samples = samples_told(before, arguments.data)
    planned = plan(before, config, samples=samples)
    if arguments.json:
        say_json({"plan": [each.as_dict() for each in planned]})
    else:
        say("\n".join(each.sentence for each in planned))
    return 0
