import json

import pytest
from stub_judge import StubJudge, sensible

from llmops_kernel.cli import main
from llmops_kernel.cli._judge_text import run_text
from llmops_kernel.judge.report import build_report
from llmops_kernel.judge.runner import RunResult
from llmops_kernel.judge.scores import Score

CONTEXTS = ["Card replacement costs 5 EUR.", "Refunds are paid within 10 days."]
ROWS = [
    ("Card replacement costs 5 EUR.", "yes"),
    ("Refunds are paid within 10 days.", "yes"),
    ("The office in Oslo has a blue door.", "no"),
    ("Gold members fly for nothing on Sundays.", "no"),
    ("I do not know.", "no"),
]


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.jsonl"
    rows = [
        {"id": str(n), "user_input": "What does it cost?", "response": response,
         "retrieved_contexts": CONTEXTS, "human": {"faithfulness": {"label": label}}}
        for n, (response, label) in enumerate(ROWS)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{not json\n")
    return path


@pytest.fixture
def stub_file(tmp_path, monkeypatch):
    """Settings in a file that have a stub as ``stub/judge``."""

    def settle(stub):
        url = stub.settings()["providers"]["stub"]["base_url"]
        path = tmp_path / "llmops.toml"
        path.write_text(
            f'[providers.stub]\nbase_url = "{url}"\n[prices."stub/judge"]\ninput = 1\noutput = 10\n'
        )
        monkeypatch.setenv("LLMOPS_CONFIG", str(path))

    return settle


def call(capsys, *arguments):
    code = main(["judge", *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_offline_judge_measures_and_says_what_it_is(capsys, data, tmp_path):
    out = tmp_path / "scores.json"
    code, text, err = call(capsys, "run", data, "--out", out)
    assert code == 0
    assert "offline heuristic, not an LLM or human judgement" in text
    assert "1 abstained" in text
    assert "95 % interval" in text
    assert "1 row left out" in text
    assert "line 6" in err
    saved = json.loads(out.read_text())
    assert saved["badge"]
    assert len(saved["scores"]) == 15
    assert saved["metrics"]["lexical_support"]["scored"] == 4


def test_json_is_one_object(capsys, data):
    code, text, _ = call(capsys, "run", data, "--metrics", "lexical_support", "--json")
    facts = json.loads(text)
    assert code == 0
    assert facts["judge"] == "offline-heuristic@2"
    assert sum(facts["problems"].values()) == 1


def test_agreement_of_the_offline_judge_names_what_was_compared(capsys, data):
    code, text, err = call(
        capsys, "agree", data, "--metric", "faithfulness", "--judge", "offline", "--json"
    )
    facts = json.loads(text)
    assert code == 0
    assert "no faithfulness" in err
    assert (facts["metric"], facts["human"]) == ("lexical_support", "faithfulness")
    assert facts["labelled"] == 5
    assert facts["scored"] == 4
    assert facts["unscored"] == {"abstained": 1}
    assert facts["balanced_accuracy"]["estimate"] == facts["auc"]["estimate"] == 1.0
    assert facts["accuracy"]["low"] < 1.0
    assert facts["kappa"]["estimate"] == 1.0
    code, text, _ = call(capsys, "agree", data, "--metric", "lexical_support")
    assert code == 0
    assert "balanced accuracy" in text


def test_agreement_of_a_model(capsys, data):
    code, text, err = call(
        capsys, "agree", data, "--metric", "faithfulness", "--judge", "sim/gpt-4o-mini", "--json"
    )
    facts = json.loads(text)
    assert code == 0
    assert facts["simulated"] is True
    assert facts["scored"] == 4
    assert facts["balanced_accuracy"]["estimate"] == 1.0
    assert "simulated" in err


def test_a_dry_run_makes_no_call(capsys, data):
    code, text, _ = call(capsys, "run", data, "--judge", "sim/gpt-4o", "--dry-run", "--json")
    assert (code, json.loads(text)["calls"]) == (0, 5)


def test_a_cap_is_exit_code_4(capsys, data, tmp_path):
    code, _, err = call(
        capsys, "run", data, "--judge", "sim/gpt-4o", "--budget", "0.0001", "--journal",
        tmp_path / "j",
    )  # fmt: skip
    assert code == 4
    assert "cap of $0.0001" in err


def test_no_score_at_all_is_exit_code_3(capsys, data, tmp_path, monkeypatch):
    with StubJudge(lambda _: "prose") as stub:
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{stub.port}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        code, text, _ = call(
            capsys, "run", data, "--judge", "gpt-4o-mini", "--metrics", "answer_relevance"
        )
    assert code == 3
    assert "5 parse" in text
    assert "such as 0: the reply holds no JSON" in text


def test_a_run_tells_what_it_knew_already(capsys, data, tmp_path):
    given = ("run", data, "--judge", "sim/gpt-4o-mini", "--metrics", "answer_relevance",
             "--journal", tmp_path / "j")  # fmt: skip
    assert "known" not in call(capsys, *given)[1]
    code, text, _ = call(capsys, *given)
    assert code == 0
    assert " 0 calls" in text
    assert "5 scores known from the journal" in text


def test_a_judge_that_only_talks_is_given_up_and_the_run_goes_on_later(capsys, tmp_path, stub_file):
    data, journal = tmp_path / "many.jsonl", tmp_path / "j.jsonl"
    rows = [{"user_input": f"Fee {n}?", "response": f"It is {n}."} for n in range(30)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with StubJudge(lambda _: "How lovely.") as stub:
        stub_file(stub)
        command = ("run", data, "--judge", "stub/judge", "--metrics", "answer_relevance",
                   "--journal", journal)  # fmt: skip
        code, text, err = call(capsys, *command, "--give-up-after", 4, "--concurrency", 1)
        assert code == 3
        assert len(stub.bodies) == 8  # each with its repair
        assert "30 rows have no id and got one made of the question" in err
        assert "Ended early: 4 answers in a row by stub/judge to answer_relevance were no" in err
        assert f"{journal} has what was measured; the same command goes on from there" in err
        assert "answer_relevance: 4 parse, such as" in text
        assert "answer_relevance: 26 error, such as" in text
        stub.say = sensible
        assert call(capsys, *command, "--first", 10)[0] == 0
        code, text, _ = call(capsys, *command, "--dry-run", "--json")
        told = json.loads(text)
        assert (code, told["calls"], told["known"]) == (0, 20, 10)
        assert "; the journal has 10 more" in call(capsys, *command, "--dry-run")[1]
        code, text, err = call(capsys, *command)
        assert code == 0
        assert err.splitlines()[1].startswith("20 calls, about $")
        assert "10 scores known from the journal" in text
    code, _, err = call(capsys, "run", data, "--give-up-after", -1)
    assert code == 1
    assert "cannot be below 0" in err


def test_every_run_is_told_with_intervals_and_the_reasons_of_failures():
    scores = [Score(f"s{n}", "ragas:faithfulness", "m", n % 2, calls=1) for n in range(20)]
    scores += [Score("s20", "ragas:faithfulness", "m", unscored="error", reason="no connection")]
    result = RunResult(tuple(scores), 20, simulated=True)
    text = run_text(result, build_report([], scores), "m")
    assert "judge m: 20 calls, $0.0000 (simulated)" in text
    assert "ragas:faithfulness  0.500  0." in text
    assert "20  1 error" in text
    assert "ragas:faithfulness: 1 error, such as s20: no connection" in text


def test_labels_that_nobody_understands_are_named(capsys, tmp_path):
    path = tmp_path / "odd.jsonl"
    row = {
        "id": "1",
        "user_input": "Q",
        "response": "A",
        "human": {"faithfulness": {"label": "hm"}},
    }
    path.write_text(json.dumps(row))
    code, _, err = call(capsys, "agree", path, "--metric", "faithfulness")
    assert code == 1
    assert "No label of 'faithfulness' can be understood" in err
    assert "'hm'" in err
    path.write_text(json.dumps(row | {"human": None}))
    code, _, err = call(capsys, "agree", path, "--metric", "faithfulness")
    assert code == 1
    assert "llmops judge label" in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "missing.jsonl"], "missing.jsonl"),
        (["run", "DATA", "--metrics", "faithfulness"], "cannot judge faithfulness"),
        (["run", "DATA", "--metrics", "faithfull"], "did you mean"),
        (["run", "DATA", "--judge", "offline,sim/gpt-4o"], "jury is made of models"),
        (["agree", "DATA", "--metric", "toxicity", "--human", "x", "--judge", "offline"],
         "cannot judge toxicity"),
    ],
)  # fmt: skip
def test_mistakes_are_two_lines(capsys, data, arguments, sentence):
    code, _, err = call(capsys, *[data if each == "DATA" else each for each in arguments])
    assert code == 1
    assert sentence in err


def test_help_names_the_verbs(capsys):
    code, text, _ = call(capsys)
    assert code == 0
    assert "agree" in text
