"""The gate: each outcome, and how often it is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge import GateConfig, Sample, Score, decide

DRAW = np.random.default_rng(7)
BASE = np.clip(DRAW.normal(0.7, 0.15, 100), 0, 1)
NOISE = DRAW.normal(0, 0.05, 100)


def scores(values, metric="m", *, unscored="parse", fingerprint="f", judge="j"):
    return [
        Score(f"s{n}", metric, judge, None, unscored, fingerprint=fingerprint)
        if value is None
        else Score(f"s{n}", metric, judge, float(value), fingerprint=fingerprint)
        for n, value in enumerate(values)
    ]


def without(values, count):
    return [None] * count + list(values[count:])


def test_a_neutral_change_passes():
    found = decide(scores(BASE + NOISE - NOISE.mean()), scores(BASE))
    assert (found.outcome, found.exit_code, found.reasons) == ("pass", 0, ())
    (metric,) = found.metrics
    assert metric.n == 100
    assert metric.delta.low < 0 < metric.delta.high
    assert metric.mde == pytest.approx(2.8 * 0.05 / 10, rel=0.2)


def test_a_planted_regression_is_stopped():
    found = decide(scores(BASE - 0.1 + NOISE), scores(BASE))
    assert (found.outcome, found.exit_code) == ("regression", 1)
    assert found.metrics[0].p_holm <= 0.05
    assert found.reasons == ("m: the loss is proved to be more than 0",)


def test_a_tolerated_loss_passes_and_a_gain_does():
    config = GateConfig(margins={"m": 0.15})
    assert decide(scores(BASE - 0.1 + NOISE), scores(BASE), config).outcome == "pass"
    assert decide(scores(BASE + 0.1 + NOISE), scores(BASE)).outcome == "pass"


def test_other_samples_are_invalid():
    found = decide(scores(BASE[:-1]), scores(BASE))
    assert (found.outcome, found.exit_code) == ("invalid", 3)
    assert "0 new, 1 missing" in found.reasons[0]


@pytest.mark.parametrize("change", [{"fingerprint": "g"}, {"judge": "other"}])
def test_another_judge_is_invalid(change):
    found = decide(scores(BASE, **change), scores(BASE))
    assert found.outcome == "invalid"
    assert found.reasons == ("m: the judge differs from the baseline's",)


def test_mixed_judges_and_double_scores_are_invalid():
    mixed = scores(BASE)[:50] + scores(BASE, fingerprint="g")[50:]
    assert decide(mixed, mixed).outcome == "invalid"
    double = scores(BASE) + scores(BASE)[:1]
    assert decide(double, scores(BASE)).outcome == "invalid"


def test_a_missing_metric_is_invalid():
    found = decide(scores(BASE), scores(BASE), GateConfig(margins={"other": 0.1}))
    assert found.outcome == "invalid"
    assert found.reasons[0] == "other: this run has no scores"
    assert decide([], []).outcome == "invalid"


def test_unscored_samples_are_allowed_up_to_a_share():
    assert decide(scores(without(BASE, 2)), scores(BASE)).outcome == "pass"
    found = decide(scores(without(BASE, 3)), scores(BASE))
    assert found.outcome == "invalid"
    assert found.reasons == ("m: this run lacks 3 of 100 scores",)
    assert found.metrics[0].unscored == {"parse": 3}


def test_a_cap_is_an_outcome_of_its_own():
    found = decide(scores(without(BASE, 30), unscored="budget"), scores(BASE))
    assert (found.outcome, found.exit_code) == ("budget", 4)
    cut = decide(scores(BASE), scores(without(BASE, 30), unscored="budget"))
    assert cut.outcome == "invalid"


def test_a_change_cannot_pass_by_refusing():
    refusing = scores(without(BASE, 30), unscored="abstained")
    found = decide(refusing, scores(BASE))
    assert found.outcome == "regression"
    assert found.metrics[0].abstained == 0.3
    assert found.reasons == ("m: 30 more answers make no claim",)
    # The same refusals before and after are no change; abstentions are not unscored.
    assert decide(refusing, refusing).outcome == "pass"


def test_few_pairs_decide_nothing():
    found = decide(scores(BASE[:10] - 0.3), scores(BASE[:10]))
    assert (found.outcome, found.exit_code) == ("inconclusive", 2)


def test_a_comparison_that_sees_too_little_says_what_it_needs():
    noise = DRAW.normal(0, 0.3, 40)
    config = GateConfig(must_detect=0.03)
    found = decide(scores(BASE[:40] + noise - noise.mean()), scores(BASE[:40]), config)
    assert found.outcome == "inconclusive"
    needed = (2.8016 * noise.std(ddof=1) / 0.03) ** 2
    assert found.metrics[0].n_needed == pytest.approx(needed, rel=0.01)


def test_noninferiority_has_to_be_proved():
    config = GateConfig(margins={"m": 0.05}, policy="noninferiority")
    same = scores(BASE + NOISE - NOISE.mean())
    assert decide(same, scores(BASE), config).outcome == "pass"
    wide = DRAW.normal(0, 0.5, 100)
    found = decide(scores(BASE + wide - wide.mean()), scores(BASE), config)
    assert found.outcome == "inconclusive"
    assert decide(scores(BASE - 0.1 + NOISE), scores(BASE), config).outcome == "regression"
    with pytest.raises(UsageProblem):
        GateConfig(margins={"m": 0.0}, policy="noninferiority")


@pytest.mark.parametrize(
    ("floor", "outcome"), [(0.5, "pass"), (0.9, "regression"), (BASE.mean(), "inconclusive")]
)
def test_floors_bind_the_bound_of_the_mean(floor, outcome):
    assert decide(scores(BASE), None, GateConfig(floors={"m": floor})).outcome == outcome


def test_advisory_metrics_stop_nothing():
    config = GateConfig(margins={"m": 0.0, "hint": 0.0}, advisory=("hint",))
    now = scores(BASE) + scores(BASE - 0.2, "hint")
    before = scores(BASE) + scores(BASE, "hint")
    found = decide(now, before, config)
    assert found.outcome == "pass"
    assert found.metrics[1].outcome == "regression"


def test_clusters_are_not_counted_as_samples():
    # One of five documents got worse, in each of its twenty questions.
    change = np.where(np.arange(100) < 20, -0.3, DRAW.normal(0, 0.01, 100))
    samples = [Sample(f"s{n}", "q", cluster=f"d{n // 20}") for n in range(100)]
    naive = decide(scores(BASE + change), scores(BASE))
    honest = decide(scores(BASE + change), scores(BASE), samples=samples)
    assert naive.outcome == "regression"
    assert honest.outcome == "pass"
    assert honest.metrics[0].mde > 3 * naive.metrics[0].mde


def test_repeats_are_averaged():
    def repeated(values):
        return [
            Score(s.sample_id, "m", "j", s.value, fingerprint="f", detail={"repeat": n})
            for n in range(2)
            for s in scores(values)
        ]

    found = decide(repeated(BASE), repeated(BASE))
    assert (found.outcome, found.metrics[0].n) == ("pass", 100)


def test_configurations_are_checked():
    config = GateConfig.from_dict({"margins": {"m": 0.02}, "advisory": ["hint"]})
    assert config.advisory == ("hint",)
    for wrong in (
        {"margin": {}},
        {"margins": {"m": 2}},
        {"policy": "strict"},
        {"alpha": 0},
        {"min_n": "many"},
        {"margins": [1]},
        {"policy": "noninferiority"},
    ):
        with pytest.raises(UsageProblem):
            GateConfig.from_dict(wrong)
    with pytest.raises(UsageProblem):
        decide(scores(BASE), None)


def test_the_decision_is_plain_data():
    import json

    text = json.dumps(decide(scores(BASE), scores(BASE)).as_dict(), allow_nan=False)
    assert json.loads(text)["exit_code"] == 0


def simulate(loss, runs, *, metrics=1, n=50, margin=0.0):
    """Return the share of gates that call a regression, and their mean detectable effect."""
    names = [f"m{number}" for number in range(metrics)]
    config = GateConfig(margins=dict.fromkeys(names, margin), flips=500)
    stopped, effects = 0, []
    draw = np.random.default_rng(11)
    old = draw.normal(0.7, 0.2, (runs, metrics, n))
    new = old + draw.normal(-loss, 0.3, (runs, metrics, n))
    for now, before in zip(new, old, strict=True):
        found = decide(
            [s for name, row in zip(names, now, strict=True) for s in scores(row, name)],
            [s for name, row in zip(names, before, strict=True) for s in scores(row, name)],
            config,
        )
        stopped += found.outcome == "regression"
        effects.append(found.metrics[0].mde)
    return stopped / runs, float(np.mean(effects))


def test_false_alarms_and_power_over_a_thousand_gates():
    alarms, effect = simulate(0.0, 1000)
    assert alarms <= 0.05
    power, _ = simulate(effect, 1000)
    assert 0.75 <= power <= 0.84  # the effect is reported for a power of 0.8


def test_false_alarms_with_several_metrics_and_a_margin():
    assert simulate(0.0, 200, metrics=3)[0] <= 0.05
    assert simulate(0.05, 200, margin=0.05)[0] <= 0.05
