"""Cost against quality: what each share of calls to the large model buys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Numbers = Sequence[float] | NDArray[Any]

_POINTS = 50


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of a route.

    Attributes:
        large: Share of calls that go to the large model.
        quality: Mean quality of all answers (0 to 1).
        usd: Mean dollars of a call; None where costs are not known.
    """

    large: float
    quality: float
    usd: float | None = None


@dataclass(frozen=True, slots=True)
class Frontier:
    """All settings of a route, from everything on the small model to everything on the large.

    Attributes:
        points: In order of the share of calls to the large model.
        chosen: Where the route stands; None where it is not known.
        area: Mean share of the quality gap that is recovered, over all shares of calls to the
            large model (APGR of Ong et al., "RouteLLM", 2024): 0.5 for a choice at random, higher
            is better; None where the two models are equally good.
    """

    points: tuple[Point, ...]
    chosen: Point | None = None
    area: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        return {
            "points": [[p.large, p.quality, p.usd] for p in self.points],
            "chosen": [self.chosen.large, self.chosen.quality, self.chosen.usd]
            if self.chosen
            else None,
            "area": self.area,
        }

    @classmethod
    def of(cls, data: Any) -> Frontier:
        """Read `as_dict`'s data (raises `KeyError`, `TypeError` or `ValueError`)."""
        chosen = data["chosen"]
        area = data["area"]
        return cls(
            tuple(_point(each) for each in data["points"]),
            None if chosen is None else _point(chosen),
            None if area is None else float(area),
        )


def _point(values: Any) -> Point:
    large, quality, usd = values
    return Point(float(large), float(quality), None if usd is None else float(usd))


def frontier(
    confidence: Numbers,
    small: Numbers,
    large: Numbers,
    *,
    small_usd: Numbers | None = None,
    large_usd: Numbers | None = None,
    threshold: float | None = None,
) -> Frontier:
    """Return what sending the least sure questions to the large model first buys.

    Args:
        confidence: That the small model is good enough, for each question.
        small: Quality of the small model's answer (0 to 1).
        large: Quality of the large one's.
        small_usd: Dollars of the small model's answer.
        large_usd: Dollars of the large one's.
        threshold: Confidence from which the route takes the small model.
    """
    import numpy as np

    sure, low, high = (np.asarray(each, float) for each in (confidence, small, large))
    order = np.argsort(sure, kind="stable")  # the least sure first
    count = len(order)
    quality = np.concatenate([[low.mean()], low.mean() + np.cumsum((high - low)[order]) / count])
    dollars = None
    if small_usd is not None and large_usd is not None:
        cheap, dear = np.asarray(small_usd, float), np.asarray(large_usd, float)
        dollars = np.concatenate([[0.0], np.cumsum((dear - cheap)[order])]) / count + cheap.mean()

    def point(sent: int) -> Point:
        usd = None if dollars is None else float(dollars[sent])
        return Point(sent / count, float(quality[sent]), usd)

    steps = dict.fromkeys(round(count * step / _POINTS) for step in range(_POINTS + 1))
    chosen = None if threshold is None else point(int((sure < threshold).sum()))
    return Frontier(tuple(point(sent) for sent in steps), chosen, area(quality))


def area(quality: Any) -> float | None:
    """Return the mean share of the gap that is recovered along a curve of qualities."""
    gap = float(quality[-1] - quality[0])
    if abs(gap) < 1e-12:
        return None
    return float(((quality - quality[0]) / gap).mean())


def bootstrap_area(
    confidence: Numbers,
    small: Numbers,
    large: Numbers,
    *,
    rounds: int = 1_000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Return a 95 % percentile bootstrap interval of the area, over questions."""
    import numpy as np

    sure, low, high = (np.asarray(each, float) for each in (confidence, small, large))
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(rounds):
        pick = draw.integers(0, len(sure), len(sure))
        order = pick[np.argsort(sure[pick], kind="stable")]
        gains = np.concatenate([[0.0], np.cumsum((high - low)[order])])
        if abs(gains[-1]) > 1e-12:
            found.append(float((gains / gains[-1]).mean()))
    if len(found) < rounds // 2:
        return None
    return float(np.quantile(found, 0.025)), float(np.quantile(found, 0.975))
