"""Labels of a file, on the samples they are of."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmops_kernel.judge.labelling.items import digest_of
from llmops_kernel.judge.labelling.sheet import Record, read_sheets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from llmops_kernel.judge.samples import Sample
    from llmops_kernel.judge.stats.intervals import Interval

_TIE = 0.5


@dataclass(frozen=True, slots=True)
class Labelled:
    """Samples with what people said of them.

    Attributes:
        samples: All of them; those with labels have them in ``human``.
        labels: Labels that count, of one metric and sample each.
        raters: Who gave them.
        stale: Labels of an answer that has changed since, or whose sample is gone.
        half: Pairs that were seen in one order only: they say nothing yet.
        split: Samples on which as many raters said yes as no.
        skipped: Items that a rater skipped.
        torn: Lines of the file that cannot be read.
        agreement: Krippendorff's alpha of the raters, by metric, where several labelled the same.
        consistency: Of pairs, how often a rater said the same in both orders.
    """

    samples: tuple[Sample, ...]
    labels: int = 0
    raters: tuple[str, ...] = ()
    stale: int = 0
    half: int = 0
    split: int = 0
    skipped: int = 0
    torn: int = 0
    agreement: Mapping[str, Interval] | None = None
    consistency: Interval | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of labels that do not count."""
        told = (
            (self.stale, "labels are of answers that are not in this set"),
            (self.half, "pairs were labelled in one order only and do not count yet"),
            (self.split, "samples have as many raters for as against, and do not count"),
            (self.torn, "lines of the file of labels cannot be read"),
        )
        return tuple(f"{number} {text}" for number, text in told if number)


def labelled(samples: Sequence[Sample], *paths: str | Path) -> Labelled:
    """Bring the labels of files to their samples.

    A label counts for the content that its rater saw: a sample whose answer has changed has none.
    Several raters' yes and no become what most of them said, grades their mean. Of a pair a
    rater's two verdicts count where they agree, and are a tie where they do not. Labels that the
    samples had already stay where the files have none.

    Raises:
        UsageProblem: There is no such file.
        StoreError: It cannot be read.
    """
    records, torn = read_sheets(paths)
    given = [each for each in records if each.did == "label"]
    digests = {
        (each.id, pairs): digest_of(each, pairs=pairs)
        for each in samples
        for pairs in (False, True)
    }
    fresh = [r for r in given if digests.get((r.sample_id, bool(r.order))) == r.digest]
    votes, half, orders = _votes(fresh)
    human: dict[str, dict[str, dict[str, object]]] = defaultdict(dict)
    latest: dict[tuple[str, str], str] = {}
    for each in fresh:
        place = (each.metric, each.sample_id)
        latest[place] = max(latest.get(place, ""), each.at)
    split = count = 0
    for (metric, name), said in votes.items():
        value = _together(list(said.values()), pairs=metric in orders)
        if value is None:
            split += 1
            continue
        count += 1
        rater, at = "+".join(sorted(said)), latest[metric, name]
        human[name][metric] = {"score": value, "rater": rater, "at": at}
    return Labelled(
        samples=tuple(
            replace(each, human={**each.human, **human[each.id]}) if each.id in human else each
            for each in samples
        ),
        labels=count,
        raters=tuple(sorted({each.rater for each in fresh})),
        stale=len(given) - len(fresh),
        half=half,
        split=split,
        skipped=sum(each.did == "skip" for each in records),
        torn=torn,
        agreement=_agreement(votes),
        consistency=_consistency([same for of_metric in orders.values() for same in of_metric]),
    )


Votes = dict[tuple[str, str], dict[str, float]]


def _votes(records: Sequence[Record]) -> tuple[Votes, int, dict[str, list[bool]]]:
    """Return each rater's value by metric and sample, half pairs, and whether orders agreed."""
    shown: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for each in records:
        assert each.score is not None
        shown[each.metric, each.sample_id, each.rater][each.order] = each.score
    votes: Votes = defaultdict(dict)
    orders: dict[str, list[bool]] = defaultdict(list)
    half = 0
    for (metric, name, rater), said in shown.items():
        if "" in said:
            votes[metric, name][rater] = said[""]
        elif len(said) < 2:
            half += 1
        else:
            same = said["ab"] == said["ba"]
            orders[metric].append(same)
            votes[metric, name][rater] = said["ab"] if same else _TIE
    return votes, half, orders


def _together(said: Sequence[float], *, pairs: bool) -> float | None:
    """Return the raters' common value; None where yes and no are even."""
    if not pairs and set(said) <= {0.0, 1.0}:
        yes = sum(said)
        return None if 2 * yes == len(said) else float(2 * yes > len(said))
    return sum(said) / len(said)


def _agreement(votes: Votes) -> dict[str, Interval] | None:
    ratings: dict[str, list[list[float | None]]] = defaultdict(list)
    for (metric, _), said in votes.items():
        if len(said) > 1:
            ratings[metric].append(list(said.values()))
    if not ratings:
        return None
    from llmops_kernel.judge.stats.agreement import krippendorff_alpha

    found = {name: krippendorff_alpha(each, scale="interval") for name, each in ratings.items()}
    return {name: alpha for name, alpha in found.items() if alpha is not None} or None


def _consistency(same: Sequence[bool]) -> Interval | None:
    if not same:
        return None
    from llmops_kernel.judge.stats.intervals import wilson

    return wilson(sum(same), len(same))
