"""How often is the gate wrong, and does a corrected mean hold the truth as often as it says?

1,000 simulated gates for each row: changes that lose nothing (false alarms), and changes that lose
just what the gate's own minimum detectable effect says it finds four times out of five (power);
for one look at all samples and for three declared looks; and 1,000 corrected means (PPI++) of a
judge that finds 95 % of right answers right and 45 % of wrong ones too.
"""

from __future__ import annotations

import time
from typing import Any

import _measure as measure
import numpy as np

from llmops_kernel.judge import GateConfig, Score, decide
from llmops_kernel.judge.stats import ppi_mean, rogan_gladen, wilson

_SD = 0.3
_TRUTH, _SENSITIVITY, _SPECIFICITY = 0.72, 0.95, 0.55


def main() -> None:
    options = measure.arguments(str(__doc__).partition("\n")[0]).parse_args()
    runs = 100 if options.quick else 1_000
    report = measure.Report(
        "gate",
        "How often is the gate wrong, and does a corrected mean hold the truth?",
        ("what", "n", "share", "low", "high", "mde", "samples", "cpu_ms"),
        packages=("numpy",),
        setup={"runs": runs, "sd": _SD, "judge": [_SENSITIVITY, _SPECIFICITY], "truth": _TRUTH},
    )
    for n in (50, 200):
        one_look(report, runs, n)
    many_looks(report, runs)
    for labels in (30, 60, 200):
        corrected(report, runs, labels)
    report.finish(options)


def one_look(report: measure.Report, runs: int, n: int) -> None:
    config = GateConfig(margins={"m": 0.0}, flips=1_000)
    alarms, effect, _, cpu = _gates(runs, 0.0, (n,), config)
    power, _, _, _ = _gates(runs, effect, (n,), config)
    _add(report, "false alarms", n, alarms, runs, mde=effect, cpu_ms=cpu)
    _add(report, "power at the detectable effect", n, power, runs, mde=effect)
    report.targets += [
        measure.Target(f"false alarms, {n} samples", 0.05, alarms / runs, "of gates"),
        measure.Target(
            f"power at the detectable effect, {n} samples", 0.77, power / runs, "of gates",
            at_least=True,
        ),
    ]  # fmt: skip


def many_looks(report: measure.Report, runs: int) -> None:
    looks = (50, 100, 200)
    for spending in ("obrien-fleming", "pocock"):
        config = GateConfig(margins={"m": 0.0}, looks=looks, spending=spending, flips=1_000)
        alarms, _, _, _ = _gates(runs, 0.0, looks, config)
        loss = 2.8016 * _SD / looks[-1] ** 0.5
        power, _, taken, _ = _gates(runs, loss, looks, config)
        _add(report, f"false alarms, looks at 50, 100, 200, {spending}", looks[-1], alarms, runs)
        _add(report, f"power, the same looks, {spending}", looks[-1], power, runs, mde=loss,
             samples=taken)  # fmt: skip
        report.targets.append(
            measure.Target(
                f"false alarms, three looks, {spending}", 0.05, alarms / runs, "of gates"
            )
        )


def corrected(report: measure.Report, runs: int, labels: int, n: int = 500) -> None:
    draw = np.random.default_rng(labels)
    held, crossed, raw = 0, 0, 0
    for _ in range(runs):
        good = draw.random(n) < _TRUTH
        said = np.where(good, draw.random(n) < _SENSITIVITY, draw.random(n) >= _SPECIFICITY)
        human, judge = good[:labels].astype(float), said.astype(float)
        found = ppi_mean(human, judge[:labels], judge[labels:])
        held += found.low <= _TRUTH <= found.high
        own = wilson(float(judge.sum()), n)
        raw += own.low <= _TRUTH <= own.high
        yes, first = good[:labels], said[:labels]
        counts = {
            "true_positives": int((yes & first).sum()),
            "false_negatives": int((yes & ~first).sum()),
            "true_negatives": int((~yes & ~first).sum()),
            "false_positives": int((~yes & first).sum()),
        }
        crossed += _holds(float(judge.sum()), n, counts)
    _add(report, f"corrected mean holds the truth, {labels} labels", n, held, runs)
    _add(report, f"cross-check holds it (or is refused), {labels} labels", n, crossed, runs)
    _add(report, f"the judge's own interval holds it, {labels} labels", n, raw, runs)
    report.targets.append(
        measure.Target(
            f"coverage of the corrected mean, {labels} labels", 0.93, held / runs, "of means",
            at_least=True,
        )
    )  # fmt: skip


def _holds(positives: float, n: int, counts: dict[str, int]) -> bool:
    from llmops_kernel.errors import UsageProblem

    try:
        found = rogan_gladen(positives, n, **counts)
    except UsageProblem:
        return True
    return found.low <= _TRUTH <= found.high


def _gates(
    runs: int, loss: float, sizes: tuple[int, ...], config: GateConfig
) -> tuple[int, float, float, float]:
    """Return regressions, mean detectable effect, mean samples taken, CPU ms of a decision."""
    draw = np.random.default_rng(11)
    stopped, effects, taken, decisions = 0, [], 0, 0
    cpu = time.process_time()
    for _ in range(runs):
        old = draw.normal(0.7, 0.2, sizes[-1])
        new = old + draw.normal(-loss, _SD, sizes[-1])
        for size in sizes:
            found = decide(_scores(new[:size]), _scores(old), config)
            decisions += 1
            if found.outcome != "inconclusive":
                break
        stopped += found.outcome == "regression"
        effects.append(found.metrics[0].mde or 0.0)
        taken += size
    cpu = 1_000 * (time.process_time() - cpu) / decisions
    return stopped, float(np.mean(effects)), taken / runs, cpu


def _scores(values: Any) -> list[Score]:
    return [Score(f"s{n}", "m", "j", float(v), fingerprint="f") for n, v in enumerate(values)]


def _add(report: measure.Report, what: str, n: int, hits: int, runs: int, **more: Any) -> None:
    share = wilson(hits, runs)
    report.add(what=what, n=n, share=share.estimate, low=share.low, high=share.high, **more)


if __name__ == "__main__":
    main()
