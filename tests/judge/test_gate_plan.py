"""What a gate can see, told before it runs, and the answers that changed most, told after it."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest

from llmops_kernel.cli import main
from llmops_kernel.judge import GateConfig, Sample, Score, decide, dump
from llmops_kernel.judge.planning import plan
from llmops_kernel.judge.report import build_report, changes_of, to_html, to_json
from llmops_kernel.judge.results import save
from llmops_kernel.judge.runner import RunResult

DATA = Path(__file__).parent / "data"


def scores(values, metric="m", reasons=None):
    return [
        Score(f"s{n}", metric, "j", value, None if value is not None else "parse", fingerprint="f",
              reason=(reasons or {}).get(n, ""))
        for n, value in enumerate(values)
    ]  # fmt: skip


@pytest.fixture
def call(capsys):
    def called(*arguments):
        code = main(["judge", *map(str, arguments)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return called


def test_the_detectable_loss_is_that_of_two_independent_runs():
    base = scores([float(n % 2) for n in range(200)])
    (found,) = plan(base, GateConfig())
    sd = math.sqrt(0.25 * 200 / 199)
    assert found.detectable == pytest.approx(2.8016 * math.sqrt(2) * sd / math.sqrt(200), rel=1e-4)
    assert (found.n, found.margin, found.asked, found.share, found.enough) == (
        200, 0.0, None, None, True,
    )  # fmt: skip
    assert found.sentence.startswith("m: 200 samples can show a loss of 0.14")
    # The level is shared by the metrics that can stop a change.
    two = plan([*base, *scores([0.0, 1.0], "n")], GateConfig())
    assert two[0].detectable > found.detectable
    advisory = plan([*base, *scores([0.0, 1.0], "n")], GateConfig(advisory=("n",)))
    assert advisory[0].detectable == found.detectable


def test_a_planned_loss_is_found_as_often_as_it_says():
    draw = random.Random(3)
    base = [draw.uniform(0.3, 0.9) for _ in range(150)]
    (planned,) = plan(scores(base), GateConfig())
    found = 0
    for _ in range(200):
        old = [draw.uniform(0.3, 0.9) for _ in range(150)]
        new = [draw.uniform(0.3, 0.9) - planned.detectable for _ in range(150)]
        found += decide(scores(new), scores(old), GateConfig(flips=500)).exit_code == 1
    assert 0.71 < found / 200 < 0.89  # 0.8, and 3 standard errors


def test_a_margin_below_it_is_warned_of():
    base = scores([float(n % 2) for n in range(200)])
    (found,) = plan(base, GateConfig(margins={"m": 0.02}))
    assert not found.enough
    assert found.share == pytest.approx((0.02 / found.detectable) ** 2)
    assert (
        "the 0.02 asked for is less, and seen only while at most 2 % of them do" in found.sentence
    )
    (asked,) = plan(base, GateConfig(margins={"m": 0.02}, must_detect=0.3))
    assert (asked.asked, asked.enough) == (0.3, True)
    assert "asked for" not in asked.sentence
    (tiny,) = plan(base, GateConfig(must_detect=0.001))
    assert "less than 1 %" in tiny.sentence


def test_scores_without_spread_and_clusters():
    (flat,) = plan(scores([1.0] * 50), GateConfig())
    assert (flat.detectable, flat.share) == (None, None)
    assert "do not tell" in flat.sentence
    (missing,) = plan(scores([1.0]), GateConfig(margins={"other": 0.1}))
    assert (missing.metric, missing.n, missing.detectable) == ("other", 0, None)
    base = scores([float(n // 2 % 2) for n in range(100)])
    samples = [Sample(f"s{n}", "?", cluster=f"c{n // 2}") for n in range(100)]
    (alone,), (grouped,) = plan(base, GateConfig()), plan(base, GateConfig(), samples=samples)
    assert grouped.detectable == pytest.approx(alone.detectable * math.sqrt(2), rel=0.02)


def test_the_ci_gate_says_what_its_questions_can_show(call):
    base, config = DATA / "bank_scores.json", DATA / "gate.toml"
    code, text, err = call("gate", "--plan", "--baseline", base, "--config", config,
                           "--data", DATA / "bank_answers.jsonl")  # fmt: skip
    assert (code, err) == (0, "")
    assert "recall@5: 59 samples can show a loss of 0." in text
    assert "beyond the margin of 0.02 if all answers change" in text
    assert "the 0.02 asked for is less" in text
    code, text, _ = call("gate", "--plan", "--baseline", base, "--config", config, "--json")
    assert code == 0
    found = {each["metric"]: each for each in json.loads(text)["plan"]}
    assert set(found) == {
        "lexical_support", "entity_consistency", "semantic_similarity", "recall@5",
    }  # fmt: skip
    assert found["recall@5"]["enough"] is False
    assert 0.05 < found["recall@5"]["detectable"] < 0.3
    # The gate itself says it too, before its decision.
    code, text, err = call("gate", base, "--baseline", base, "--config", config)
    assert (code, err) == (0, "")
    assert text.index("recall@5: 59 samples can show") < text.index("against bank_scores.json")
    code, text, _ = call("gate", base, "--baseline", base, "--config", config, "--json")
    assert {each["metric"]: each for each in json.loads(text)["plan"]} == found


@pytest.mark.parametrize("wrong", [["--plan"], ["RUN", "--plan", "--baseline", "RUN"]])
def test_a_plan_takes_a_baseline_and_no_run(call, wrong):
    base = str(DATA / "bank_scores.json")
    code, _, err = call("gate", *[base if each == "RUN" else each for each in wrong])
    assert code == 3
    assert "--plan takes a baseline and no run" in err


def test_what_changed_most_comes_first():
    old = scores([0.5, 0.5, 0.5, 0.5, None, 1.0], reasons={1: "was <fine>"})
    new = scores([0.5, 0.1, 0.9, 0.6, 1.0, None], reasons={1: "is wrong"})
    samples = [Sample(f"s{n}", f"Question {n}?", f"New {n}.") for n in range(6)]
    before = [Sample(f"s{n}", f"Question {n}?", f"Old {n}.") for n in range(6)]
    found = changes_of(new, old, samples, before)
    assert [each.id for each in found] == ["s1", "s2", "s3"]  # a loss before an equal gain
    first = found[0]
    assert (first.user_input, first.answer_before, first.answer_after) == (
        "Question 1?", "Old 1.", "New 1.",
    )  # fmt: skip
    assert (first.reason_before, first.reason_after) == ("was <fine>", "is wrong")
    assert first.difference == pytest.approx(-0.4)
    assert len(changes_of(new, old, listed=2)) == 2
    assert changes_of(new, scores([0.1] * 6, "other")) == ()


def test_a_page_lists_them_escaped_and_bounded():
    old, new = scores([1.0] * 40), scores([n / 40 for n in range(40)])
    nasty = "<script>alert(1)</script>"
    samples = [Sample(f"s{n}", nasty, f"{nasty} {'x' * 9_000}") for n in range(40)]
    found = changes_of(new, old, samples, [Sample("s0", "?", f"old {nasty}")])
    assert len(found) == 10
    report = build_report(samples, new, gate=decide(new, old), changed=found)
    page = to_html(report)
    assert "<script" not in page
    assert "Answers that changed most" in page
    assert "-1.000: 1.000 before, 0.000 now · s0" in page
    assert "old &lt;script&gt;" in page
    assert "if all answers change" not in page  # the baseline has no spread
    assert "do not tell what loss can be seen" in page
    told = json.loads(to_json(report))["changed"]
    assert [each["id"] for each in told] == [f"s{n}" for n in range(10)]
    assert all(len(each["answer_after"]) < 2_000 for each in told)
    assert told[0]["difference"] == -1.0


def test_gate_and_compare_tell_them(call, tmp_path):
    old, new = [1.0] * 30, [0.0 if n == 7 else 1.0 for n in range(30)]
    for name, values in (("old", old), ("new", new)):
        save(tmp_path / f"{name}.json", RunResult(tuple(scores(values))))
        rows = [Sample(f"s{n}", f"Fee {n}?", f"{name} answer {n}") for n in range(30)]
        dump(rows, tmp_path / f"{name}.jsonl")
    more = ("--data", tmp_path / "new.jsonl", "--baseline-data", tmp_path / "old.jsonl",
            "--html", tmp_path / "page.html", "--json")  # fmt: skip
    for verb, code in (("gate", 0), ("compare", 0)):
        base = ["--baseline"] if verb == "gate" else []
        done, text, _ = call(verb, tmp_path / "new.json", *base, tmp_path / "old.json", *more)
        assert done == code
        (change,) = json.loads(text)["changed"]
        assert (change["id"], change["user_input"]) == ("s7", "Fee 7?")
        assert (change["answer_before"], change["answer_after"]) == ("old answer 7", "new answer 7")
        assert "old answer 7" in (tmp_path / "page.html").read_text()
    code, text, _ = call("gate", tmp_path / "new.json", "--baseline", tmp_path / "old.json",
                         "--json")  # fmt: skip
    assert code == 0
    (change,) = json.loads(text)["changed"]
    assert (change["before"], change["after"], change["answer_after"]) == (1.0, 0.0, "")
