"""``llmops judge gate`` and ``compare``: exit codes, reports, and the bank's assistant itself."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from llmops_kernel.cli import main
from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge import OfflineJudge, Sample, Score, dump, load, metrics_of, run
from llmops_kernel.judge.gating import load_config
from llmops_kernel.judge.results import save
from llmops_kernel.judge.runner import RunResult
from llmops_kernel.session import Session

HERE = Path(__file__).parent
ANSWERS, SCORES, CONFIG = (
    HERE / "data" / name for name in ("bank_answers.jsonl", "bank_scores.json", "gate.toml")
)


def scores_file(path, values, *, unscored="parse", judge="j"):
    """Write scores of one metric; None is an unscored sample."""
    scores = tuple(
        Score(f"s{n}", "m", judge, value, None if value is not None else unscored, fingerprint="f")
        for n, value in enumerate(values)
    )
    save(path, RunResult(scores), judge=judge, samples=len(scores), problems={"not JSON": 1})
    return path


@pytest.fixture
def base(tmp_path):
    return scores_file(tmp_path / "base.json", [0.5 + n % 5 / 10 for n in range(40)])


@pytest.fixture
def worse(tmp_path):
    return scores_file(tmp_path / "worse.json", [0.3 + n % 5 / 10 + n % 2 / 100 for n in range(40)])


@pytest.fixture
def call(capsys):
    def called(*arguments):
        code = main(["judge", *map(str, arguments)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return called


def config(tmp_path, text):
    path = tmp_path / "gate.toml"
    path.write_text(text)
    return path


def test_0_a_run_like_its_baseline_passes(call, base):
    code, text, err = call("gate", base, "--baseline", base)
    assert (code, err) == (0, "")
    assert "base.json against base.json: pass" in text


def test_1_a_proved_regression(call, base, worse):
    code, text, _ = call("gate", worse, "--baseline", base, "--json")
    facts = json.loads(text)
    assert (code, facts["exit_code"], facts["outcome"]) == (1, 1, "regression")
    (metric,) = facts["metrics"]
    assert metric["delta"]["high"] < 0
    assert metric["p_holm"] <= 0.05


def test_2_too_few_to_tell(call, base, tmp_path):
    told = config(tmp_path, "min_n = 50\n")
    code, text, _ = call("gate", base, "--baseline", base, "--config", told)
    assert code == 2
    assert "fewer than 50 pairs" in text


def test_3_runs_that_cannot_be_compared(call, base, tmp_path):
    other = scores_file(tmp_path / "other.json", [0.5] * 39)
    code, text, _ = call("gate", other, "--baseline", base)
    assert code == 3
    assert "0 new, 1 missing" in text
    judged = scores_file(tmp_path / "judged.json", [0.5] * 40, judge="another")
    assert call("gate", judged, "--baseline", base)[0] == 3


def test_4_a_run_that_a_cap_cut_short(call, base, tmp_path):
    values = [0.5 + n % 5 / 10 if n < 30 else None for n in range(40)]
    cut = scores_file(tmp_path / "cut.json", values, unscored="budget")
    assert call("gate", cut, "--baseline", base)[0] == 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "needs CURRENT.json"),
        (["BASE", "--basline", "BASE"], "did you mean '--baseline'?"),
        (["BASE", "--baseline"], "--baseline needs a value"),
        (["BASE", "BASE"], "does not expect"),
        (["BASE"], "needs a baseline or a floor"),
        (["missing.json", "--baseline", "BASE"], "no file of scores"),
        (["BASE", "--baseline", "TOML"], "no file of scores"),
        (["BASE", "--baseline", "BASE", "--config", "missing.toml"], "cannot be read"),
        (["BASE", "--baseline", "BASE", "--config", "TOML"], "'margin' (did you mean 'margins'?)"),
        (["BASE", "--baseline", "BASE", "--data", "DATA"], "lacks samples that were scored"),
        (["BASE", "--baseline", "BASE", "--html", "no/such/folder.html"], "cannot be written"),
    ],
)
def test_a_wrong_call_is_never_a_decision(call, base, tmp_path, arguments, sentence):
    dump([Sample("s0", "q", "a")], tmp_path / "data.jsonl")
    places = {
        "BASE": base,
        "TOML": config(tmp_path, "[margin]\nm = 0.1\n"),
        "DATA": tmp_path / "data.jsonl",
    }
    code, out, err = call("gate", *[places.get(each, each) for each in arguments])
    assert (code, out) == (3, "")
    assert sentence in err


def test_other_verbs_keep_their_code_for_wrong_arguments(call, base):
    assert call("compare", base)[0] == 2
    assert call("gate", "--help")[0] == 0


def test_a_crash_is_no_regression(call, tmp_path, base):
    facts = json.loads(base.read_text())
    facts["scores"][0]["detail"] = 7
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(facts))
    code, _, err = call("gate", broken, "--baseline", base)
    assert code == 3
    assert "AttributeError" in err


def test_floors_need_no_baseline(call, base, tmp_path):
    assert call("gate", base, "--config", config(tmp_path, "floors = {m = 0.6}"))[0] == 0
    assert call("gate", base, "--config", config(tmp_path, "[gate.floors]\nm = 0.9"))[0] == 1


def test_reports_stand_beside_the_decision(call, base, worse, tmp_path):
    junit, html = tmp_path / "gate.xml", tmp_path / "gate.html"
    samples = [Sample(f"s{n}", f"What is {n}?", "<b>no</b>") for n in range(40)]
    dump(samples, tmp_path / "data.jsonl")
    code, _, _ = call(
        "gate", worse, "--baseline", base, "--data", tmp_path / "data.jsonl",
        "--junit", junit, "--html", html,
    )  # fmt: skip
    assert code == 1
    suite = ET.parse(junit).getroot()[0]
    assert (suite.get("failures"), suite.get("errors")) == ("1", "0")
    page = html.read_text()
    assert "regression" in page
    assert "What is 0?" in page
    assert "&lt;b&gt;no" in page
    assert "not JSON" in page


def test_clusters_of_the_data_set_count(call, base, tmp_path):
    values = [0.5 + n % 5 / 10 - (0.4 if n < 10 else 0) for n in range(40)]
    one_document = scores_file(tmp_path / "now.json", values)
    dump([Sample(f"s{n}", "q", cluster=f"d{n // 10}") for n in range(40)], tmp_path / "d.jsonl")
    assert call("gate", one_document, "--baseline", base)[0] == 1
    assert call("gate", one_document, "--baseline", base, "--data", tmp_path / "d.jsonl")[0] == 0


def test_compare_tells_and_decides_nothing(call, base, worse, tmp_path):
    page = tmp_path / "page.html"
    code, text, _ = call("compare", worse, base, "--html", page)
    assert code == 0
    assert "worse.json against base.json" in text
    assert "worse" in text.splitlines()[-1]
    assert page.read_text().startswith("<!doctype html>")
    code, text, _ = call("compare", base, worse, "--json")
    assert json.loads(text)["metrics"][0]["delta"]["low"] > 0
    code, text, _ = call("compare", base, base)
    assert "none proved" in text
    other = scores_file(tmp_path / "other.json", [0.5] * 39)
    code, text, _ = call("compare", other, base)
    assert code == 3
    assert "not comparable" in text


# The bank's assistant, on its documents about charges.


@pytest.fixture(scope="module")
def script():
    path = HERE.parents[1] / "scripts" / "build_judge_baseline.py"
    spec = importlib.util.spec_from_file_location("build_judge_baseline", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def gated(call, script, tmp_path):
    """Run the offline judge over answers and gate them against the committed baseline."""

    def decided(samples):
        data, out = tmp_path / "now.jsonl", tmp_path / "now.json"
        dump(samples, data)
        metrics = ",".join(script.METRICS)
        assert call("run", data, "--metrics", metrics, "--out", out)[0] == 0
        code, text, _ = call(
            "gate", out, "--baseline", SCORES, "--config", CONFIG, "--data", data, "--json"
        )
        return code, json.loads(text)

    return decided


@pytest.fixture
def session(tmp_path):
    made = Session()
    yield made
    made.close()


def test_the_assistant_of_this_tree_and_a_neutral_change_pass(gated, script, session):
    script.fill(session, "fees")
    code, facts = gated(script.answers(session, "fees"))
    assert (code, facts["reasons"]) == (0, [])
    changed = script.answers(session, "fees", k=6, budget=1200)
    code, facts = gated(changed)
    assert (code, facts["reasons"]) == (0, [])
    # Not because it was the same: there are differences, and none is proved to be a loss.
    assert any(each["delta"]["estimate"] for each in facts["metrics"])


def test_last_years_price_list_is_blocked(gated, script, session):
    script.fill(session, "fees", without="fee-table-2026.md")
    code, facts = gated(script.answers(session, "fees"))
    assert code == 1
    assert "recall@5: the loss is proved to be more than 0.02" in facts["reasons"]


def test_a_document_that_is_not_there_cannot_be_left_out(script, session, capsys):
    with pytest.raises(
        UsageProblem, match=r"'fee-table-2027.md'.*did you mean 'fee-table-202"
    ) as e:
        script.fill(session, "fees", without="fee-table-2027.md")
    assert "fee-table-2026.md" in e.value.hint
    before = ANSWERS.read_bytes(), SCORES.read_bytes()
    with pytest.raises(SystemExit) as ended:
        script.main(["--without", "nothing.md"])
    assert ended.value.code == 2
    assert "no document 'nothing.md'" in capsys.readouterr().err
    assert before == (ANSWERS.read_bytes(), SCORES.read_bytes())


def mixed(samples, every):
    """What a fault of packing does: answers that rest on passages of other questions."""
    answers = [each.response for each in samples]
    return [
        replace(each, response=answers[(n + 23) % len(answers)]) if n % every == 0 else each
        for n, each in enumerate(samples)
    ]


def test_answers_from_the_wrong_passage_are_blocked(gated):
    code, facts = gated(mixed(load(ANSWERS).samples, 2))
    assert code == 1
    assert "lexical_support: the loss is proved to be more than 0.02" in facts["reasons"]


def test_what_the_gate_cannot_see_it_says(gated, tmp_path, call):
    # Every fifth answer is too little for 59 questions: the smallest detectable loss is larger.
    code, facts = gated(mixed(load(ANSWERS).samples, 5))
    support = facts["metrics"][1]
    assert support["metric"] == "lexical_support"
    assert 0.02 < -support["delta"]["estimate"] < 0.02 + support["mde"]
    assert code == 0
    told = config(tmp_path, f"must_detect = 0.05\n{CONFIG.read_text()}")
    code, text, _ = call(
        "gate", tmp_path / "now.json", "--baseline", SCORES, "--config", told,
        "--data", tmp_path / "now.jsonl",
    )  # fmt: skip
    assert code == 2
    assert "lexical_support: a loss of 0.05 could not be seen" in text
    assert "samples would decide" in text


def test_the_committed_scores_are_those_of_the_committed_answers(script):
    found = run(load(ANSWERS).samples, metrics_of(script.METRICS), OfflineJudge()).scores
    saved = json.loads(SCORES.read_text())["scores"]
    assert [(s.sample_id, s.metric, s.fingerprint) for s in found] == [
        (s["sample_id"], s["metric"], s["fingerprint"]) for s in saved
    ]
    assert [s.value for s in found] == [
        s["value"] if s["value"] is None else pytest.approx(s["value"], abs=1e-3) for s in saved
    ]


def test_the_workflow_gates_what_the_baseline_has(script):
    workflow = (HERE.parents[1] / ".github" / "workflows" / "judge.yml").read_text()
    jobs = yaml.safe_load(workflow)["jobs"]
    assert set(jobs) == {"offline", "model"}
    commands = " ".join(each.get("run", "") for each in jobs["offline"]["steps"])
    assert f"--metrics {','.join(script.METRICS)} " in commands
    assert {each["metric"] for each in json.loads(SCORES.read_text())["scores"]} == set(
        script.METRICS
    )
    assert set(load_config(CONFIG).margins) == set(script.METRICS)
    for name in ("bank_scores.json", "gate.toml"):
        assert f"$DATA/{name}" in commands
    paid = [each for each in jobs["model"]["steps"] if "llmops judge run" in each.get("run", "")]
    assert paid
    assert all("--budget" in each["run"] for each in paid)
