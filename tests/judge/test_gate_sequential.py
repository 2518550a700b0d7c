"""A gate that looks more than once: no more false alarms, and an end that was declared."""

from __future__ import annotations

import json

import numpy as np
import pytest

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge import GateConfig, Score, decide
from llmops_kernel.judge.stats import alpha_spent, look_levels
from llmops_kernel.judge.stats.quantiles import normal_quantile

LOOKS = (50, 100, 200)


def scores(values, metric="m"):
    return [Score(f"s{n}", metric, "j", float(v), fingerprint="f") for n, v in enumerate(values)]


def bounds(fractions, spending, alpha=0.05):
    return [normal_quantile(1 - each / 2) for each in look_levels(alpha, fractions, spending)]


@pytest.mark.parametrize(
    ("spending", "expected"),
    [
        ("obrien-fleming", [4.8769, 3.3570, 2.6803, 2.2898, 2.0310]),
        ("pocock", [2.4380, 2.4268, 2.4102, 2.3966, 2.3860]),
    ],
)
def test_bounds_are_those_of_the_literature(spending, expected):
    """Five even looks at two-sided 5 %, as tables of group-sequential designs have them."""
    assert bounds((0.2, 0.4, 0.6, 0.8, 1.0), spending) == pytest.approx(expected, abs=2e-4)


def test_one_look_is_the_plain_test():
    for spending in ("obrien-fleming", "pocock"):
        assert look_levels(0.05, (1.0,), spending) == pytest.approx([0.05])
        assert alpha_spent(0.05, 1.0, spending) == pytest.approx(0.05)
        assert alpha_spent(0.05, 0.3, spending) < 0.05


def test_bounds_keep_alpha_for_uneven_looks():
    fractions = (0.1, 0.15, 0.7, 1.0)
    draw = np.random.default_rng(3)
    steps = np.diff((0.0, *fractions))
    paths = (draw.normal(size=(200_000, 4)) * np.sqrt(steps)).cumsum(axis=1) / np.sqrt(fractions)
    for spending in ("obrien-fleming", "pocock"):
        crossed = (np.abs(paths) > bounds(fractions, spending)).any(axis=1).mean()
        assert crossed == pytest.approx(0.05, abs=0.0015)


def simulate(loss, runs, spending="obrien-fleming", looks=(30, 60, 120)):
    """Return the share of gates that end in a regression, and the samples they took on average."""
    draw = np.random.default_rng(17)
    config = GateConfig(margins={"m": 0.0}, looks=looks, spending=spending, flips=500)
    stopped, taken = 0, 0
    for _ in range(runs):
        old = draw.normal(0.7, 0.2, looks[-1])
        new = old + draw.normal(-loss, 0.3, looks[-1])
        for size in looks:
            found = decide(scores(new[:size]), scores(old), config)
            if found.outcome != "inconclusive":
                break
        stopped += found.outcome == "regression"
        taken += size
    return stopped / runs, taken / runs


def test_a_thousand_gates_that_look_three_times():
    assert simulate(0.0, 1000)[0] <= 0.05


def test_looking_early_costs_little_power_and_saves_samples():
    loss = 2.8016 * 0.3 / 120**0.5  # one look at all 120 finds it with a power of 0.8
    power, taken = simulate(loss, 200)
    assert power >= 0.72
    assert taken < 118
    power, taken = simulate(loss, 200, "pocock")
    assert power >= 0.6
    assert taken < 108


def test_a_large_loss_is_stopped_early_and_a_large_gain_passes_early():
    draw = np.random.default_rng(5)
    old = draw.normal(0.6, 0.1, 200)
    config = GateConfig(looks=LOOKS)
    lost = decide(scores(old[:50] - draw.normal(0.3, 0.1, 50)), scores(old), config)
    assert (lost.outcome, lost.metrics[0].look) == ("regression", 1)
    assert lost.metrics[0].n == 50
    won = decide(scores(old[:50] + draw.normal(0.3, 0.1, 50)), scores(old), config)
    assert (won.outcome, won.metrics[0].look) == ("pass", 1)


def test_what_a_look_does_not_prove_stays_open_until_the_last():
    draw = np.random.default_rng(6)
    old = draw.normal(0.7, 0.1, 200)
    noise = draw.normal(0, 0.1, 200)
    new = old + noise - noise.mean()
    config = GateConfig(looks=LOOKS)
    first = decide(scores(new[:60]), scores(old), config)  # ten too many for the first look
    assert (first.outcome, first.exit_code) == ("inconclusive", 2)
    assert first.metrics[0].n == 50
    assert first.reasons == (
        "m: look 1 of 3 leaves it open; the next one is at 100 samples, the last at 200",
    )
    assert decide(scores(new), scores(old), config).outcome == "pass"
    early = decide(scores(new[:30]), scores(old), config)
    assert early.outcome == "inconclusive"
    assert "the first look is at 50 samples, here are 30" in early.reasons[0]
    json.dumps(early.as_dict(), allow_nan=False)


def test_more_looks_than_declared_gain_nothing():
    """Whoever judges one sample after the other gets the same three decisions."""
    draw = np.random.default_rng(8)
    old = draw.normal(0.7, 0.1, 200)
    new = old - draw.normal(0.03, 0.15, 200)
    config = GateConfig(looks=LOOKS)
    sizes = range(50, 100, 7)
    found = [decide(scores(new[:size]), scores(old), config).metrics[0].p for size in sizes]
    assert len(set(found)) == 1


def test_other_samples_or_another_order_are_invalid():
    old = np.linspace(0.2, 0.9, 200)
    config = GateConfig(looks=LOOKS)
    turned = list(reversed(scores(old)))[:50]
    found = decide(turned, scores(old), config)
    assert (found.outcome, found.exit_code) == ("invalid", 3)
    assert "in its order" in found.reasons[0]


def test_noninferiority_at_a_look():
    draw = np.random.default_rng(9)
    old = draw.normal(0.7, 0.05, 200)
    new = old + draw.normal(0, 0.02, 200)
    config = GateConfig(margins={"m": 0.05}, policy="noninferiority", looks=LOOKS)
    assert decide(scores(new[:50]), scores(old), config).outcome == "pass"


def test_several_metrics_share_alpha():
    old = np.random.default_rng(1).normal(0.7, 0.1, 200)
    config = GateConfig(looks=LOOKS)
    both = decide(scores(old, "a") + scores(old, "b"), scores(old, "a") + scores(old, "b"), config)
    alone = decide(scores(old, "a"), scores(old, "a"), config)
    assert both.metrics[0].alpha < alone.metrics[0].alpha < 0.05
    assert both.metrics[0].p_holm is None


@pytest.mark.parametrize(
    "settings",
    [{"looks": [100, 50]}, {"looks": [5, 50]}, {"looks": [50, 50]}, {"looks": [50.5, 90]},
     {"looks": ["50"]}, {"looks": 50}, {"spending": "obrien"}, {"looks": [50, True]}],
)  # fmt: skip
def test_looks_that_cannot_be(settings):
    with pytest.raises(UsageProblem):
        GateConfig.from_dict(settings)


def test_looks_come_from_a_file(tmp_path):
    from llmops_kernel.judge.gating import load_config

    file = tmp_path / "gate.toml"
    file.write_text('[gate]\nlooks = [50, 100]\nspending = "pocock"\n')
    config = load_config(file)
    assert (config.looks, config.spending) == ((50, 100), "pocock")
    assert config.looks == GateConfig.from_dict({"looks": [50, 100]}).looks
