"""A judge's scores beside people's labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.judge.calibration.advice import advise
from llmops_kernel.judge.calibration.biases import length_bias, pair_length_bias, position_bias
from llmops_kernel.judge.calibration.model import ENOUGH, Calibration
from llmops_kernel.judge.data.labels import human_value
from llmops_kernel.judge.labelling.pairs import OTHER
from llmops_kernel.judge.stats.agreement import cohen_kappa
from llmops_kernel.judge.stats.correction import ppi_mean, rogan_gladen
from llmops_kernel.judge.stats.detection import Detection, detection
from llmops_kernel.judge.stats.intervals import mean_interval
from llmops_kernel.judge.tally import Tally, tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmops_kernel.judge.calibration.advice import LabelAdvice
    from llmops_kernel.judge.samples import Sample
    from llmops_kernel.judge.scores import Score
    from llmops_kernel.judge.stats.intervals import Interval

WITHIN = (0.1, 0.05, 0.03)
# Simulated (benchmarks/results/gate.json): 95 % intervals of 30 labels hold the truth in 91 %.
FEW = 60
_STEPS = 4  # scores are rounded to fifths of a scale before kappa: 0, 0.25, ... 1


def calibrate(
    samples: Sequence[Sample],
    scores: Iterable[Score],
    metric: str,
    *,
    human: str = "",
    threshold: float = 0.5,
    within: Sequence[float] = WITHIN,
    level: float = 0.95,
    seed: int = 0,
) -> Calibration:
    """Compare a judge with people, and correct its mean by their labels.

    The corrected mean is of all samples with a score; the labelled ones must have been chosen
    without looking at what they hold (`make_queue` does so), or it is of nothing in particular.

    Args:
        samples: The set; labels are in ``human`` (`labelled` brings them there).
        scores: The judge's scores of all samples.
        metric: Which of the scores' metrics.
        human: Name of the label (default: the metric's, with or without its convention).
        threshold: Scores at or above it are the judge's yes.
        within: Half widths of intervals for which advice is wanted.
        level: Confidence.
        seed: Draws the bootstrap.

    Raises:
        UsageProblem: The metric has no scores, or a width cannot be.
    """
    found = tally(scores)
    own = found.get(metric)
    if own is None or not own.values:
        raise UsageProblem(
            f"There is no score of {metric}{nearest(metric, found)}",
            detail=f"there are scores of {', '.join(found) or 'nothing'}",
        )
    by_id = {sample.id: sample for sample in samples}
    return calibration_of(
        own, by_id, human=human, threshold=threshold, within=within, level=level, seed=seed
    )


def calibration_of(
    own: Tally,
    by_id: Mapping[str, Sample],
    *,
    human: str = "",
    threshold: float = 0.5,
    within: Sequence[float] = WITHIN,
    level: float = 0.95,
    seed: int = 0,
    raw: Interval | None = None,
) -> Calibration:
    """Return the calibration of one metric's scores; see `calibrate`.

    ``raw`` is the scores' own mean, where it is known already.
    """
    label = human or own.metric
    names = [name for name in own.values if name in by_id]
    said = {name: human_value(by_id[name], label) for name in names}
    truth = {name: value for name, value in said.items() if value is not None}
    outside = any(not 0 <= value <= 1 for value in truth.values())
    known = _leaning(own, by_id, {} if outside else truth, level, seed)
    known = replace(
        known,
        metric=own.metric,
        human=label,
        judges=tuple(sorted(own.judges)),
        scored=len(own.values),
        raw=raw or _raw(own, by_id, level, seed),
        threshold=threshold,
    )
    if not truth:
        return replace(known, note="nobody has labelled scored samples yet")
    if outside:
        note = "labels are not on the metric's scale, 0 to 1"
        return replace(known, labels=len(truth), note=note)
    return _compared(known, own, by_id, truth, within, level)


def _compared(
    known: Calibration,
    own: Tally,
    by_id: Mapping[str, Sample],
    truth: Mapping[str, float],
    within: Sequence[float],
    level: float,
) -> Calibration:
    said = list(truth.values())
    seen = [own.values[name] for name in truth]
    rest = [name for name in own.values if name not in truth]
    graded = not set(said) <= {0.0, 1.0}
    notes: list[str] = []
    needed = max(0, ENOUGH - len(truth))
    if needed:
        have = f"{len(truth)} label{'s are' if len(truth) > 1 else ' is'} too few"
        notes.append(f"{have}: a calibration takes {ENOUGH}, so {needed} more")
    corrected = cross_check = None
    if len(truth) > 1 and len(rest) > 1:
        corrected = ppi_mean(
            said,
            seen,
            [own.values[name] for name in rest],
            clusters_labelled=[by_id[name].cluster for name in truth],
            clusters_unlabelled=[by_id[n].cluster if n in by_id else "" for n in rest],
            level=level,
        )
        if ENOUGH <= len(truth) < FEW:
            notes.append(f"with fewer than {FEW} labels the corrected interval is a little short")
    else:
        notes.append("a corrected mean needs two labelled and two other samples")
    found: Detection | None = None
    if not graded:
        found = detection(said, seen, threshold=known.threshold, level=level)
        try:
            cross_check = _cross_check(own, found, level)
        except UsageProblem as problem:
            notes.append(f"no cross-check: {problem.message[0].lower()}{problem.message[1:]}")
    return replace(
        known,
        state="too few labels" if needed else "calibrated",
        labels=len(truth),
        needed=needed,
        kappa=found.kappa if found else _graded_kappa(said, seen, level),
        human_mean=sum(said) / len(said),
        corrected=corrected,
        cross_check=cross_check,
        note="; ".join(notes),
        sensitivity=found.sensitivity if found else None,
        specificity=found.specificity if found else None,
        confusion=_confusion(found) if found else {},
        advice=_advice(said, seen, len(own.values), within, level),
    )


def _advice(
    said: list[float], seen: list[float], total: int, within: Sequence[float], level: float
) -> tuple[LabelAdvice, ...]:
    # Labels that all say the same have no spread, and would promise that none are needed.
    if len(set(said)) < 2:
        return ()
    return advise(said, seen, total, within, level=level)


def _raw(own: Tally, by_id: Mapping[str, Sample], level: float, seed: int) -> Interval | None:
    if not own.values:
        return None
    clusters = [by_id[name].cluster if name in by_id else "" for name in own.values]
    return mean_interval(list(own.values.values()), clusters=clusters, level=level, seed=seed)


def _leaning(
    own: Tally, by_id: Mapping[str, Sample], truth: Mapping[str, float], level: float, seed: int
) -> Calibration:
    """Return where the judge leans, and nothing else."""
    names = [name for name in own.values if name in by_id]
    values = [own.values[name] for name in names]
    lengths = [float(len(by_id[name].response)) for name in names]
    positions = position_bias((one for each in own.scores.values() for one in each), level=level)
    if positions is None:
        human = [truth.get(name) for name in names]
        return Calibration(lengths=length_bias(values, lengths, human, level=level))
    others = [float(len(str(by_id[name].extra.get(OTHER, "")))) for name in names]
    pairs = pair_length_bias(values, lengths, others, level=level, seed=seed)
    return Calibration(positions=positions, pair_lengths=pairs)


def _graded_kappa(truth: list[float], seen: list[float], level: float) -> Interval | None:
    grades = [[round(value * _STEPS) for value in side] for side in (truth, seen)]
    labels = range(_STEPS + 1)
    return cohen_kappa(grades[0], grades[1], weights="quadratic", labels=labels, level=level)


def _confusion(found: Detection) -> dict[str, int]:
    return {
        "true_positives": found.true_positives,
        "false_negatives": found.false_negatives,
        "true_negatives": found.true_negatives,
        "false_positives": found.false_positives,
    }


def _cross_check(own: Tally, found: Detection, level: float) -> Interval:
    positives = sum(value >= found.threshold for value in own.values.values())
    return rogan_gladen(positives, len(own.values), level=level, **_confusion(found))
