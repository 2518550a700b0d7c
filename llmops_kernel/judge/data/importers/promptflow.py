"""Promptflow's JSONL: data of an evaluation flow, or the rows of its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.judge.data.rows import rows_of
from llmops_kernel.judge.data.shape import collect

if TYPE_CHECKING:
    from llmops_kernel.judge.data.problems import Dataset, Problem
    from llmops_kernel.judge.data.rows import Source

_NAMES = {
    "question": "user_input",
    "query": "user_input",
    "answer": "response",
    "response": "response",
    "context": "retrieved_contexts",
    "contexts": "retrieved_contexts",
    "ground_truth": "reference",
    "groundtruth": "reference",
    "chat_history": "chat_history",
}
_PREFIXES = ("inputs.", "outputs.", "data.", "target.")


def from_promptflow(source: Source) -> Dataset:
    """Return the samples of Promptflow data.

    Both generations of names are read (``question, answer, ground_truth`` and ``query, response``),
    bare or after ``inputs.`` and ``outputs.``. A context that is one text becomes one passage.
    Figures of Promptflow's own evaluators stay in ``extra``.

    Args:
        source: JSONL, a result's JSON (``rows``), or a list of rows.

    Raises:
        UsageProblem: The file cannot be read.
    """
    problems: list[Problem] = []
    return collect(rows_of(source, problems), problems, _renamed)


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    own: dict[str, Any] = {}
    for name, value in row.items():
        bare = next((name.removeprefix(p) for p in _PREFIXES if name.startswith(p)), name)
        if bare in _NAMES:
            # What the flow put out is the answer; what it was given under that name is an old one.
            if own.get(_NAMES[bare]) is None or name.startswith("outputs."):
                own[_NAMES[bare]] = value
        elif value is not None:
            own[bare if bare in {"id", "line_number"} else name] = value
    context = own.get("retrieved_contexts")
    if isinstance(context, str):
        own["retrieved_contexts"] = [context] if context.strip() else []
    return own
