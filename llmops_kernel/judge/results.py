"""The scores of a run in a file, and back."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.files import write_whole
from llmops_kernel.judge.data.problems import shown
from llmops_kernel.judge.scores import Score, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmops_kernel.judge.runner import RunResult

FORMAT = "llmops-scores-1"


def counts(scores: Iterable[Score]) -> dict[str, dict[str, Any]]:
    """Return for each metric how many are scored, their mean, and why others are not."""
    found: dict[str, list[Score]] = {}
    for score in scores:
        found.setdefault(score.metric, []).append(score)
    return {name: _summary(of_metric) for name, of_metric in found.items()}


def failures(scores: Iterable[Score]) -> list[str]:
    """Return a line for each metric and kind of failed judgement, with the first one's reason.

    Only what went wrong with the judge is told: a missing field or an answer without a claim is a
    property of the sample.
    """
    found: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        if score.unscored in ("error", "parse") and score.reason:
            found.setdefault((score.metric, score.unscored), []).append(score)
    return [
        f"{metric}: {len(each)} {why}, such as {each[0].sample_id}: {shown(each[0].reason)}"
        for (metric, why), each in found.items()
    ]


def _summary(scores: list[Score]) -> dict[str, Any]:
    values = [score.value for score in scores if score.value is not None]
    return {
        "mean": sum(values) / len(values) if values else None,
        "scored": len(values),
        "unscored": dict(Counter(str(s.unscored) for s in scores if s.value is None)),
        "judges": sorted({score.judge for score in scores}),
        "fingerprints": sorted({score.fingerprint for score in scores if score.fingerprint}),
    }


def as_dict(result: RunResult, **more: Any) -> dict[str, Any]:
    """Return a run as JSON-like data; dollars are exact decimal texts."""
    return {
        "format": FORMAT,
        **more,
        "calls": result.calls,
        "usd": format(result.usd, "f"),
        "simulated": result.simulated,
        "seconds": round(result.seconds, 3),
        "resumed": result.resumed,
        "stopped": result.stopped,
        "notes": list(result.notes),
        "metrics": counts(result.scores),
        "scores": [asdict(score) for score in result.scores],
    }


def save(path: str | Path, result: RunResult, **more: Any) -> None:
    """Write a run to a JSON file, which is replaced as a whole.

    Raises:
        UsageProblem: It cannot be written.
    """
    file = Path(path).expanduser()
    text = json.dumps(as_dict(result, **more), ensure_ascii=True, indent=1)
    try:
        write_whole(file, f"{text}\n")
    except OSError as error:
        raise UsageProblem(
            "The scores cannot be written",
            detail=f"{file}: {error.strerror or type(error).__name__}",
        ) from error


def load_scores(path: str | Path) -> tuple[list[Score], Mapping[str, Any]]:
    """Read a file of `save`: its scores, and what else it says of the run.

    Raises:
        UsageProblem: It cannot be read, or is no such file.
    """
    file = Path(path).expanduser()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError("another format")
        scores = [
            Score(**{**each, "verdicts": tuple(Verdict(**one) for one in each["verdicts"])})
            for each in found.pop("scores")
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageProblem(
            "This is no file of scores", detail=f"{file}: {_why(error)}",
            hint="llmops judge run DATA.jsonl --out scores.json makes one",
        ) from error  # fmt: skip
    return scores, found


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)
