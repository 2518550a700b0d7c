"""Measuring retrieval on labelled questions.

`load_questions` reads them, `evaluate` searches an index for each in every mode and scores what is
found against the gold passages (`metrics`), and `EvaluationReport` holds means with intervals.
"""

from typing import TYPE_CHECKING

from llmops_kernel.lazy import lazily

if TYPE_CHECKING:
    from llmops_kernel.rag.evaluate.questions import (
        BadRow,
        EvalQuestion,
        GoldSpan,
        load_questions,
        parse_questions,
    )
    from llmops_kernel.rag.evaluate.report import (
        Difference,
        EvaluationReport,
        Interval,
        ModeScores,
        QuestionScores,
    )
    from llmops_kernel.rag.evaluate.run import MODES, evaluate

# Looked up when they are asked for: numpy takes long to import.
_HOMES = {
    "MODES": "run",
    "BadRow": "questions",
    "Difference": "report",
    "EvalQuestion": "questions",
    "EvaluationReport": "report",
    "GoldSpan": "questions",
    "Interval": "report",
    "ModeScores": "report",
    "QuestionScores": "report",
    "evaluate": "run",
    "load_questions": "questions",
    "parse_questions": "questions",
}

__all__ = [
    "MODES",
    "BadRow",
    "Difference",
    "EvalQuestion",
    "EvaluationReport",
    "GoldSpan",
    "Interval",
    "ModeScores",
    "QuestionScores",
    "evaluate",
    "load_questions",
    "parse_questions",
]

__getattr__ = lazily(__name__, _HOMES)
