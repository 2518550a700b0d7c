"""Evaluation: what changed, with an interval, at a known price.

`data` reads, makes and splits samples; `stats` has the intervals and tests; `gate` decides whether
a change may pass; `report` tells people and CI. Metrics, judges and the runner make the scores;
`labelling` asks people, and `calibration` holds a judge against what they said.
Nothing of this loads numpy before it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmops_kernel.judge.calibration.calibrate import calibrate
    from llmops_kernel.judge.calibration.model import Calibration
    from llmops_kernel.judge.data.load import dump, load
    from llmops_kernel.judge.data.problems import Dataset, Problem
    from llmops_kernel.judge.data.splits import split
    from llmops_kernel.judge.data.synthetic import synthesize
    from llmops_kernel.judge.gate import GateConfig, GateResult, decide
    from llmops_kernel.judge.journal import Journal
    from llmops_kernel.judge.judges.door import judge_of
    from llmops_kernel.judge.judges.jury import Jury
    from llmops_kernel.judge.judges.model import ModelJudge
    from llmops_kernel.judge.judges.offline import OfflineJudge
    from llmops_kernel.judge.juries import escalate
    from llmops_kernel.judge.labelling.desk import Desk, label
    from llmops_kernel.judge.labelling.merge import Labelled, labelled
    from llmops_kernel.judge.labelling.pairs import paired
    from llmops_kernel.judge.labelling.queue import Queue, make_queue
    from llmops_kernel.judge.labelling.sheet import LabelSheet
    from llmops_kernel.judge.metrics.registry import metrics_of
    from llmops_kernel.judge.report import Report, build_report
    from llmops_kernel.judge.runner import RunResult, estimate, run
    from llmops_kernel.judge.samples import Sample
    from llmops_kernel.judge.scores import Score, Verdict

# Looked up when they are asked for: numpy takes long to import.
_HOMES = {
    "Calibration": "calibration.model",
    "Dataset": "data.problems",
    "Desk": "labelling.desk",
    "GateConfig": "gate",
    "GateResult": "gate",
    "Journal": "journal",
    "Jury": "judges.jury",
    "LabelSheet": "labelling.sheet",
    "Labelled": "labelling.merge",
    "ModelJudge": "judges.model",
    "OfflineJudge": "judges.offline",
    "Problem": "data.problems",
    "Queue": "labelling.queue",
    "Report": "report",
    "RunResult": "runner",
    "Sample": "samples",
    "Score": "scores",
    "Verdict": "scores",
    "build_report": "report",
    "calibrate": "calibration.calibrate",
    "decide": "gate",
    "dump": "data.load",
    "escalate": "juries",
    "estimate": "runner",
    "judge_of": "judges.door",
    "label": "labelling.desk",
    "labelled": "labelling.merge",
    "load": "data.load",
    "make_queue": "labelling.queue",
    "metrics_of": "metrics.registry",
    "paired": "labelling.pairs",
    "run": "runner",
    "split": "data.splits",
    "synthesize": "data.synthetic",
}

__all__ = [
    "Calibration",
    "Dataset",
    "Desk",
    "GateConfig",
    "GateResult",
    "Journal",
    "Jury",
    "LabelSheet",
    "Labelled",
    "ModelJudge",
    "OfflineJudge",
    "Problem",
    "Queue",
    "Report",
    "RunResult",
    "Sample",
    "Score",
    "Verdict",
    "build_report",
    "calibrate",
    "decide",
    "dump",
    "escalate",
    "estimate",
    "judge_of",
    "label",
    "labelled",
    "load",
    "make_queue",
    "metrics_of",
    "paired",
    "run",
    "split",
    "synthesize",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
