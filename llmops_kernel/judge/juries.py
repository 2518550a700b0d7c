"""How far the members of a jury agree, and what a split vote does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmops_kernel.judge.stats.agreement import krippendorff_alpha

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmops_kernel.judge.judges.protocol import Judge
    from llmops_kernel.judge.metrics.base import Metric
    from llmops_kernel.judge.runner import RunResult
    from llmops_kernel.judge.samples import Sample
    from llmops_kernel.judge.scores import Score
    from llmops_kernel.judge.stats.intervals import Interval


@dataclass(frozen=True, slots=True)
class JuryAgreement:
    """How a jury voted on one metric.

    Attributes:
        members: Who voted.
        votes: Samples with the vote of one member at least.
        alpha: Krippendorff's alpha of the members' scores, as numbers; None where all are alike.
        split: Samples whose votes lie more than a quarter apart.
        escalated: Of these, how many another judge decided.
        judge: That judge; "" without one.
    """

    members: tuple[str, ...]
    votes: int
    alpha: Interval | None
    split: int
    escalated: int = 0
    judge: str = ""


def jury_agreement(scores: Iterable[Score], *, level: float = 0.95) -> JuryAgreement | None:
    """Return how a jury voted, from its scores of one metric; None where nobody was a jury."""
    voted = [each for each in scores if "members" in each.detail]
    if not voted:
        return None
    names = list(dict.fromkeys(name for each in voted for name in each.detail["members"]))
    ratings = [[each.detail["members"].get(name) for name in names] for each in voted]
    decided = [str(each.detail["escalated"]) for each in voted if each.detail.get("escalated")]
    return JuryAgreement(
        members=tuple(names),
        votes=sum(any(vote is not None for vote in votes) for votes in ratings),
        alpha=krippendorff_alpha(ratings, scale="interval", level=level, resamples=500),
        split=sum(bool(each.detail.get("split")) for each in voted),
        escalated=len(decided),
        judge=decided[0] if decided else "",
    )


def split_votes(result: RunResult) -> dict[str, set[str]]:
    """Return the samples whose vote is split, by metric."""
    found: dict[str, set[str]] = {}
    for score in result.scores:
        if score.detail.get("split"):
            found.setdefault(score.metric, set()).add(score.sample_id)
    return found


def escalate(
    result: RunResult,
    samples: Sequence[Sample],
    metrics: Sequence[Metric],
    judge: Judge,
    **options: Any,
) -> RunResult:
    """Have a judge decide where a jury is split, and return the run with its decisions.

    Only samples with a split vote go to it, so that it costs its price times the share of splits.
    All scores of an escalated metric get one fingerprint, made of the jury's and the judge's: runs
    with and without it are not compared. A split vote that the judge cannot decide keeps the
    jury's score.

    Args:
        result: The jury's run.
        samples: Its samples.
        metrics: Its metrics.
        judge: Who decides.
        options: As `run` takes them (``concurrency``, ``max_usd``, ``journal``, ``progress``);
            what the jury has spent counts against ``max_usd``.

    Raises:
        UsageProblem: As `run`.
        StoreError: As `run`.
    """
    from llmops_kernel.budget.status import usd
    from llmops_kernel.judge.runner import RunResult, run

    splits = split_votes(result)
    if not splits or result.stopped:
        return replace(result, scores=tuple(_marked(result.scores, judge.id)))
    if (cap := options.get("max_usd")) is not None:
        # Nothing left is a cap of nothing: what is split stays the jury's.
        options["max_usd"] = max(cap - usd(result.usd_nano), usd(0))
    wanted = {name for names in splits.values() for name in names}
    open_samples = [each for each in samples if each.id in wanted]
    open_metrics = [each for each in metrics if splits.keys() & set(each.outputs)]
    second = run(open_samples, open_metrics, judge, **options)
    decided = {
        (score.metric, score.sample_id): score
        for score in second.scores
        if score.value is not None and score.sample_id in splits.get(score.metric, ())
    }
    asked = [score for score in second.scores if score.calls]
    scores = list(_marked(result.scores, judge.id))
    for at, score in enumerate(scores):
        ruling = decided.get((score.metric, score.sample_id))
        if ruling is not None:
            detail = {**score.detail, "escalated": judge.id, "jury": score.value}
            scores[at] = replace(
                score, value=ruling.value, verdicts=ruling.verdicts, reason=ruling.reason,
                detail=detail,
            )  # fmt: skip
    return RunResult(
        tuple(_paid(scores, asked)),
        result.calls + second.calls,
        # Simulated dollars are never added to real ones.
        _together(result, second),
        result.seconds + second.seconds,
        simulated=result.simulated and (second.simulated or not second.calls),
        resumed=result.resumed + second.resumed,
        stopped=second.stopped,
        notes=tuple(dict.fromkeys((*result.notes, *second.notes))),
    )


def _marked(scores: Sequence[Score], judge: str) -> Iterable[Score]:
    """Name the judge in every fingerprint of a jury: it would have decided any split vote."""
    for score in scores:
        if "members" not in score.detail:
            yield score
            continue
        mark = hashlib.sha256(f"{score.fingerprint}\0escalated\0{judge}".encode()).hexdigest()[:16]
        yield replace(score, fingerprint=mark, judge=f"{score.judge}>{judge}")


def _paid(scores: Sequence[Score], asked: Sequence[Score]) -> Iterable[Score]:
    """Add what the deciding judge took to the scores it was asked for."""
    extra = {(each.metric, each.sample_id): each for each in asked}
    for score in scores:
        more = extra.get((score.metric, score.sample_id))
        if more is None:
            yield score
        elif more.simulated == score.simulated or not score.calls:
            yield replace(
                score, calls=score.calls + more.calls, usd_nano=score.usd_nano + more.usd_nano,
                simulated=more.simulated,
            )  # fmt: skip
        else:  # two books: the real one is kept, as a jury of both does
            real = score if not score.simulated else more
            yield replace(
                score, calls=score.calls + more.calls, usd_nano=real.usd_nano, simulated=False
            )


def _together(first: RunResult, second: RunResult) -> int:
    if first.simulated == second.simulated or not second.calls:
        return first.usd_nano + second.usd_nano
    return second.usd_nano if first.simulated else first.usd_nano
