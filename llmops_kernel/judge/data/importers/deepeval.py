"""DeepEval's test cases and goldens, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.judge.data.rows import rows_of
from llmops_kernel.judge.data.shape import collect

if TYPE_CHECKING:
    from llmops_kernel.judge.data.problems import Dataset, Problem
    from llmops_kernel.judge.data.rows import Source

_NAMES = {
    "input": "user_input",
    "actual_output": "response",
    "actualOutput": "response",
    "expected_output": "reference",
    "expectedOutput": "reference",
    "retrieval_context": "retrieved_contexts",
    "retrievalContext": "retrieved_contexts",
    "context": "reference_contexts",
    "source_file": "cluster",
    "sourceFile": "cluster",
    "tags": "tags",
}


def from_deepeval(source: Source) -> Dataset:
    """Return the samples of LLMTestCases or Goldens.

    ``context`` is what DeepEval calls the ideal context, and becomes ``reference_contexts``; a
    golden's ``source_file`` becomes the cluster. Test cases without a name get an id made of input
    and expected output.

    Args:
        source: A JSON list as ``EvaluationDataset.save_as`` writes it, a test run's JSON
            (``testCases``), JSONL of ``model_dump()``, or a list of such dicts; names in snake or
            camel case.

    Raises:
        UsageProblem: The file cannot be read.
    """
    problems: list[Problem] = []
    return collect(rows_of(source, problems), problems, _renamed)


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    own: dict[str, Any] = {}
    for name, value in row.items():
        if value is not None:
            own[_NAMES.get(name, name)] = value
    passages = own.get("retrieved_contexts")
    if isinstance(passages, list) and any(isinstance(each, dict) for each in passages):
        own["retrieved_contexts"] = [_passage(each) for each in passages]
        own["retrieved_context_ids"] = [
            str(each.get("source", "")) if isinstance(each, dict) else "" for each in passages
        ]
    name = own.pop("name", None)
    own["id"] = own.get("id") or name
    return own


def _passage(value: Any) -> Any:
    return value.get("context") if isinstance(value, dict) else value
