"""Ragas' data sets: names of today (0.2 and later) and of before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.judge.data.problems import WrongRow
from llmops_kernel.judge.data.rows import rows_of
from llmops_kernel.judge.data.shape import collect

if TYPE_CHECKING:
    from llmops_kernel.judge.data.problems import Dataset, Problem
    from llmops_kernel.judge.data.rows import Source

_OLD = {
    "question": "user_input",
    "answer": "response",
    "contexts": "retrieved_contexts",
    "ground_truth": "reference",
    "ground_truths": "reference",
}


def from_ragas(source: Source) -> Dataset:
    """Return the samples of a Ragas data set.

    Args:
        source: JSONL or JSON file, list of rows, or columns (``dataset.to_dict()``), with the names
            ``user_input, response, ...`` or ``question, answer, contexts, ground_truth``. Of a
            conversation, the last question and what followed it are judged; the messages are kept
            in ``extra``. Rows without an id get one made of question and reference.

    Raises:
        UsageProblem: The file cannot be read.
    """
    problems: list[Problem] = []
    return collect(rows_of(source, problems), problems, renamed)


def renamed(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with `Sample`'s names; today's names win over old ones."""
    own = {name: value for name, value in row.items() if name not in _OLD}
    for old, name in _OLD.items():
        if own.get(name) is None and row.get(old) is not None:
            own[name] = row[old]
    reference = own.get("reference")
    if isinstance(reference, list):  # ground_truths: several ways to say the same
        own["reference"] = reference[0] if reference else ""
        if len(reference) > 1:
            own["ground_truths"] = reference
    if isinstance(own.get("user_input"), list):
        own |= _conversation(own["user_input"])
    return own


def _conversation(messages: list[Any]) -> dict[str, Any]:
    """Return question and answer of the last turn."""
    asked = None
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            raise WrongRow("user_input is no list of messages")
        if _role(message) in {"human", "user"}:
            asked = place
    if asked is None:
        raise WrongRow("nobody asks in the conversation")
    answers = [m["content"] for m in messages[asked + 1 :] if _role(m) in {"ai", "assistant"}]
    return {
        "user_input": messages[asked]["content"],
        "response": answers[-1] if answers else "",
        "messages": messages,
    }


def _role(message: dict[str, Any]) -> str:
    return str(message.get("type") or message.get("role") or "")
