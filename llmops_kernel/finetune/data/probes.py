"""Probe prompts: what a model is asked while it learns, and again after every export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.data.rows import rows_of

if TYPE_CHECKING:
    from llmops_kernel.judge.data.problems import Problem

_MOST = 100
_NAMES = ("prompt", "text", "question", "user_input", "input", "query")

Probe = str | list[dict[str, Any]]


def read_probes(path: str) -> list[Probe]:
    """Return prompts: texts of one user message, or conversations that end in one.

    Args:
        path: JSONL with ``prompt`` (or ``text``, ``question``), or ``messages``; an assistant's
            message at the end is left out.

    Raises:
        UsageProblem: The file cannot be read, or has no prompt.
    """
    problems: list[Problem] = []
    probes: list[Probe] = []
    for _, row in rows_of(path, problems):
        messages = row.get("messages")
        if isinstance(messages, list) and messages:
            asked = [dict(m) for m in messages if isinstance(m, dict)]
            while asked and asked[-1].get("role") == "assistant":
                asked.pop()
            if asked:
                probes.append(asked)
            continue
        text = next((row[name] for name in _NAMES if isinstance(row.get(name), str)), "")
        if text.strip():
            probes.append(text)
        if len(probes) >= _MOST:
            break
    if not probes:
        raise UsageProblem(
            "There is no probe prompt in the file", detail=path, hint='{"prompt": "..."} a line'
        )
    return probes[:_MOST]
