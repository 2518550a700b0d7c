"""How much of the gap between a small and a large model does routing recover?

Against the share of calls to the large one, with what a decision costs in CPU time.

Two public sets. RouteLLM's MMLU questions say for a cheap and a dear model who was right; a learned
router is fitted on one part and measured on the other, beside a choice at random and one by length.
FrugalGPT's headlines have labels and no model's answers, so the small model is a classifier of our
own (the route by intent) and the large one is taken for right: this shows what a cascade by
confidence can send to it, not what a real large model would get right. A cascade that checks
answers cannot be measured on either: they hold no answers.
"""

from __future__ import annotations

import csv
import math
import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _measure as measure

from llmops_kernel.calls import CallContext, ChatRequest
from llmops_kernel.calls.tokens import count_request
from llmops_kernel.embed import builtin
from llmops_kernel.routing import training
from llmops_kernel.routing.cascade import Cascade
from llmops_kernel.routing.checks import checks_of
from llmops_kernel.routing.fallback import Fallback
from llmops_kernel.routing.features import features
from llmops_kernel.routing.fitting import scores_of, shares_of, softmax
from llmops_kernel.routing.frontier import bootstrap_area, frontier
from llmops_kernel.routing.intent import Intent
from llmops_kernel.routing.learned import Learned
from llmops_kernel.routing.rules import Rules
from llmops_kernel.routing.table import Row, Table
from llmops_kernel.settings import RouteSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmops_kernel.routing.router import Router

_DATA = Path(os.environ.get("LLMOPS_DATA", Path(__file__).parents[2] / "shared" / "data"))
_TARGETS = (0.01, 0.02, 0.05)
_SHARES = (0.1, 0.25, 0.5, 0.75)
_TEST = 0.4  # of the questions are measured on
_DECISIONS = 300


def main() -> None:
    parser = measure.arguments(str(__doc__).partition("\n\n")[0].replace("\n", " "))
    options = parser.parse_args()
    report = measure.Report(
        "routing",
        "What share of the quality gap does routing recover, at what share of large calls?",
        ("what", "n", "large_share", "quality", "loss", "loss_low", "loss_high", "recovered",
         "area", "area_low", "area_high", "cpu_ms"),
        packages=("numpy", "onnxruntime", "scikit-learn"),
        setup={"test_share": _TEST, "split_seed": 0, "bootstrap_rounds": 1_000,
               "small": "mixtral-8x7b", "large": "gpt-4-1106"},
    )  # fmt: skip
    mmlu = _DATA / "routing" / "routellm_mmlu_dev.csv"
    headlines = _DATA / "routing" / "frugalgpt_headlines_train.csv"
    learned = None
    if mmlu.is_file():
        learned = _verdicts(report, _mmlu(mmlu), quick=options.quick)
    else:
        report.notes.append("skipped: RouteLLM's MMLU questions are not there")
    intent = None
    if headlines.is_file():
        intent = _headlines(report, _labelled(headlines), quick=options.quick)
    else:
        report.notes.append("skipped: FrugalGPT's headlines are not there")
    _decisions(report, learned, intent)
    report.finish(options)


# ---- who was right ------------------------------------------------------------------------------


def _mmlu(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Row(
                row["prompt"],
                float(row["mixtral_8x7b_correct"] == "True"),
                float(row["gpt4_1106_correct"] == "True"),
            )
            for row in csv.DictReader(file)
        ]


def _verdicts(report: measure.Report, rows: list[Row], *, quick: bool) -> Learned:
    import numpy as np

    rows = rows[: 1_000 if quick else None]
    train, test = _split(rows)
    read = features([row.text for row in (*train, *test)], builtin())
    small = np.array([row.small_ok for row in test], float)
    large = np.array([row.large_ok for row in test], float)
    known = len(train)
    report.notes.append(
        f"MMLU: {len(train):,} questions learned from, {len(test):,} measured on; alone, the small "
        f"model is right on {small.mean():.4f}, the large one on {large.mean():.4f}"
    )
    draw = np.random.default_rng(0)
    scores: dict[str, NDArray[np.float64]] = {
        "at random": draw.uniform(size=len(test)),
        "by length": -np.array([len(row.text) for row in test], float),
    }
    routers = {}
    for target in _TARGETS:
        found = _learned(train, read[:known], target)
        routers[target] = Learned(found.saved, builtin)
        scores["learned"] = _confidence(found, read[known:])
    best = np.where(small >= large, 1.0, 0.0) + small * 0.5
    scores["oracle (knows the answers)"] = best
    for name, score in scores.items():
        curve = frontier(score, small, large)
        interval = bootstrap_area(score, small, large, rounds=100 if quick else 1_000)
        report.add(what=f"mmlu, {name}: all thresholds", n=len(test), area=curve.area,
                   area_low=interval[0] if interval else None,
                   area_high=interval[1] if interval else None)  # fmt: skip
        for share in _SHARES:
            _at_share(report, f"mmlu, {name}: {share:.0%} to the large", score, small, large, share)
    for target, router in routers.items():
        sent = scores["learned"] >= router.saved.threshold
        _row(report, f"mmlu, learned, loss of {target:g} allowed", sent, small, large)
    whole = next(row for row in report.rows if row["what"] == "mmlu, learned: all thresholds")
    beyond = "area of the learned router (at random: 0.5)"
    report.targets.append(measure.Target(beyond, 0.5, whole["area"], "", True))
    for target in _TARGETS:
        row = next(r for r in report.rows if r["what"].endswith(f"loss of {target:g} allowed"))
        report.targets.append(
            measure.Target(f"loss where {target:g} is allowed", target, row["loss"], "")
        )
    return routers[_TARGETS[-1]]


def _learned(train: list[Row], read: Any, target: float) -> training.Learned:
    """Learn as ``llmops route learn`` does, on features that were computed once."""
    return training.learn(
        Table(tuple(train), {}),
        small="small",
        large="large",
        embedder=builtin(),
        target_loss=target,
        read=read,  # reading the questions again would take minutes
    )


def _confidence(found: training.Learned, read: Any) -> Any:
    import numpy as np

    shares = shares_of(found.saved.weights, read)
    slope, offset = found.saved.calibration
    return 1.0 / (1.0 + np.exp(-(slope * (shares[:, 2] - shares[:, 0]) + offset)))


def _at_share(
    report: measure.Report, name: str, score: Any, small: Any, large: Any, share: float
) -> None:
    import numpy as np

    order = np.argsort(score, kind="stable")
    sent = np.ones(len(score), bool)
    sent[order[: round(share * len(score))]] = False
    _row(report, name, sent, small, large)


def _row(report: measure.Report, name: str, sent: Any, small: Any, large: Any) -> None:
    """Add what is served where ``sent`` goes to the small model, with bootstrap intervals."""
    import numpy as np

    served = np.where(sent, small, large)
    lost = large - served
    draw = np.random.default_rng(0)
    means = [lost[draw.integers(0, len(lost), len(lost))].mean() for _ in range(1_000)]
    gap = large.mean() - small.mean()
    report.add(
        what=name,
        n=len(sent),
        large_share=float(1.0 - sent.mean()),
        quality=float(served.mean()),
        loss=float(lost.mean()),
        loss_low=float(np.quantile(means, 0.025)),
        loss_high=float(np.quantile(means, 0.975)),
        recovered=float((served.mean() - small.mean()) / gap) if abs(gap) > 1e-12 else None,
    )


# ---- what is asked for --------------------------------------------------------------------------


def _labelled(path: Path) -> list[Row]:
    found = []
    with path.open(encoding="utf-8", newline="") as file:
        for cells in csv.reader(file):
            if len(cells) >= 2 and cells[1].strip():
                text = cells[0].strip().removeprefix("Q:").removesuffix("A:").strip()
                found.append(Row(text, intent=cells[1].strip()))
    return found


def _headlines(report: measure.Report, rows: list[Row], *, quick: bool) -> Intent:
    import numpy as np

    rows = rows[: 1_000 if quick else None]
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.intent] = counts.get(row.intent, 0) + 1
    kept = [row for row in rows if counts[row.intent] >= 20]
    train, test = _split(kept)
    read = features([row.text for row in (*train, *test)], builtin())
    known = len(train)
    found = None
    truth = np.array([row.intent for row in test])
    for target in _TARGETS:
        found = _learned(train, read[:known], target)
        saved = found.saved
        shares = softmax(scores_of(saved.weights, read[known:]) / saved.calibration[0])
        right = (np.array(saved.labels)[shares.argmax(axis=1)] == truth).astype(float)
        sure = shares.max(axis=1)
        if target == _TARGETS[0]:
            report.notes.append(
                f"Headlines: {len(train):,} learned from, {len(test):,} measured on; the small "
                f"classifier is right on {right.mean():.4f}; the large model is taken for right"
            )
            ones = np.ones(len(test))
            curve = frontier(sure, right, ones)
            interval = bootstrap_area(sure, right, ones, rounds=100 if quick else 1_000)
            report.add(what="headlines, cascade by confidence: all thresholds", n=len(test),
                       area=curve.area, area_low=interval[0] if interval else None,
                       area_high=interval[1] if interval else None)  # fmt: skip
            for share in _SHARES:
                name = f"headlines, cascade by confidence: {share:.0%} to the large"
                _at_share(report, name, sure, right, ones, share)
        name = f"headlines, by intent, {target:g} wrong allowed among those sent"
        sent = sure >= saved.threshold
        _row(report, name, sent, right, np.ones(len(test)))
        wrong = float(1.0 - right[sent].mean()) if sent.any() else 0.0
        report.targets.append(
            measure.Target(f"wrong among headlines sent where {target:g} is allowed", target,
                           wrong, "")
        )  # fmt: skip
    assert found is not None
    return Intent(found.saved, builtin)


# ---- what a decision costs ----------------------------------------------------------------------


def _decisions(report: measure.Report, learned: Learned | None, intent: Intent | None) -> None:
    rule = {"model": "small", "max_tokens": 40, "pattern": "card|fee", "tools": False}
    settings = RouteSettings(kind="rules", model="large", rules=(rule,))  # type: ignore[arg-type]
    routers: dict[str, Router | None] = {
        "rules": Rules(settings, count_request),
        "cascade (its first step)": Cascade(("small", "large"), checks_of(["refusal"])),
        "fallback": Fallback(("small", "large")),
        "learned": learned,
        "intent": intent,
    }
    texts = [f"How do I pay the fee of my card number {n} abroad?" for n in range(_DECISIONS)]
    context = CallContext("bench")
    for name, router in routers.items():
        if router is None:
            continue
        asked = [ChatRequest("route/x", ({"role": "user", "content": text},)) for text in texts]
        router.decide(asked[0], context)  # what is loaded is loaded once
        rounds = []
        for _ in range(5):
            begun = time.process_time()
            for request in asked:
                router.decide(request, context)
            rounds.append((time.process_time() - begun) / len(asked) * 1e3)
        figure = measure.Figure.of(rounds)
        report.add(what=f"a decision, {name}", n=len(asked), cpu_ms=figure.median)
    report.notes.append(
        "A decision on short questions; one of 256 tokens takes a learned route about 30 ms more "
        "for its embedding"
    )


def _split(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Return a part to learn from and one to measure on; the same words are on one side."""
    texts = sorted({" ".join(row.text.lower().split()) for row in rows})
    random.Random(0).shuffle(texts)
    measured = set(texts[: math.ceil(len(texts) * _TEST)])
    train: list[Row] = []
    test: list[Row] = []
    for row in rows:
        (test if " ".join(row.text.lower().split()) in measured else train).append(row)
    assert Table(tuple(train), {}).rows
    return train, test


if __name__ == "__main__":
    main()
