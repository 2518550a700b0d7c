"""The simulated assistant and its judge: the rates that the notebook promises."""

from __future__ import annotations

import pytest

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge import GateConfig, decide, metrics_of, run
from llmops_kernel.labs.assistant import PROMPTS, BiasedJudge, answers, is_right


def right(samples):
    return [is_right(each.user_input, each.response) for each in samples]


def test_a_share_of_the_answers_is_right_and_prompts_change_what_they_say():
    given = {prompt: answers(prompt) for prompt in PROMPTS}
    shares = {prompt: sum(right(samples)) / len(samples) for prompt, samples in given.items()}
    assert shares["plain"] == pytest.approx(0.72, abs=0.03)
    assert right(given["polite"]) == right(given["plain"])  # only words are added
    assert shares["brief"] < shares["plain"] - 0.05
    assert all(len(each.response.split()) <= 18 for each in given["brief"])
    assert given["plain"] == answers("plain")
    assert len({each.id for each in given["plain"]}) == 500
    with pytest.raises(UsageProblem, match="no prompt"):
        answers("short")
    with pytest.raises(UsageProblem, match="no such question"):
        is_right("Who are you?", "Nobody.")


def test_the_judge_errs_at_its_rates():
    samples = answers("plain", 550)
    truth = right(samples)
    for sensitivity, specificity in ((0.95, 0.55), (0.8, 0.9)):
        judge = BiasedJudge(sensitivity=sensitivity, specificity=specificity)
        said = [score.value for score in run(samples, metrics_of(["correctness"]), judge).scores]
        yes = [value for value, good in zip(said, truth, strict=True) if good]
        no = [value for value, good in zip(said, truth, strict=True) if not good]
        assert sum(yes) / len(yes) == pytest.approx(sensitivity, abs=0.05)
        assert 1 - sum(no) / len(no) == pytest.approx(specificity, abs=0.1)


def test_the_gate_stops_the_worse_prompt_and_lets_the_harmless_one_pass():
    judge = BiasedJudge()
    scored = {
        prompt: run(answers(prompt), metrics_of(["correctness"]), judge).scores
        for prompt in PROMPTS
    }
    config = GateConfig(margins={"correctness": 0.0}, must_detect=0.03)
    assert decide(scored["brief"], scored["plain"], config).exit_code == 1
    assert decide(scored["polite"], scored["plain"], config).exit_code == 0


def test_it_rules_on_nothing_else():
    scores = run(answers("plain", 3), metrics_of(["toxicity"]), BiasedJudge()).scores
    assert {score.unscored for score in scores} == {"refused"}
