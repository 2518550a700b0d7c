"""``llmops judge label`` and ``calibrate``: the same files as in the notebook."""

from __future__ import annotations

import io
import json
import random

import pytest
from stub_judge import StubJudge

from llmops_kernel.cli import main
from llmops_kernel.judge.labelling import LabelSheet

CONTEXTS = ["Card replacement costs 5 EUR.", "Refunds are paid within 10 days."]
GOOD, BAD = "Card replacement costs 5 EUR.", "The office in Oslo has a blue door."


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.jsonl"
    draw = random.Random(0)
    rows = [
        {"id": f"s{n}", "user_input": "What does it cost?", "retrieved_contexts": CONTEXTS,
         "response": f"{GOOD if draw.random() < 0.7 else BAD}"}
        for n in range(40)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def call(capsys, monkeypatch):
    def called(*arguments, keys=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(keys))
        code = main(["judge", *map(str, arguments)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return called


def rated(data, call, *more, count=30):
    """Label all by what the answer says, as a person would."""
    from llmops_kernel.judge import load
    from llmops_kernel.judge.labelling import make_queue

    samples = load(data).samples
    queue = make_queue(samples, "faithfulness", n=count)
    keys = "".join("1\n" if item.answers[0] == GOOD else "0\n" for item in queue.items)
    return call("label", data, "--metric", "faithfulness", "--n", count, "--rater", "ann", *more,
                keys=keys)  # fmt: skip


def test_labelling_in_a_terminal(data, call):
    code, out, _ = call("label", data, "--metric", "faithfulness", "--n", 5, "--rater", "ann",
                        keys="1\n0\n7\ns\nu\nq\n")  # fmt: skip
    assert code == 0
    assert "What does it cost?" in out
    assert "[1] yes   [0] no   [s] skip   [u] undo   [q] stop" in out
    assert "not one of the choices" in out
    assert out.rstrip().endswith("data.labels.jsonl")
    assert "2 of 5 labelled, 0 skipped" in out
    assert "s0" not in out.replace("yes", "")
    sheet = LabelSheet(data.with_name("data.labels.jsonl"))
    assert [record.did for record in sheet.records()] == ["label", "label", "skip", "undo"]
    # The next session goes on where this one ended; the end of the input ends it.
    _, out, _ = call("label", data, "--metric", "faithfulness", "--n", 5, "--rater", "ann",
                     keys="1\n")  # fmt: skip
    assert "item 3 of 5" in out
    assert "3 of 5 labelled" in out


def test_the_last_key_can_be_taken_back(data, call):
    command = ("label", data, "--metric", "m", "--n", 2, "--rater", "ann")
    code, out, _ = call(*command, keys="1\n1\nu\n0\nq\n")
    assert code == 0
    assert out.count("All items are seen.   [u] undo the last   [q] done") == 2
    assert out.count("item 2 of 2") == 2
    assert "2 of 2 labelled" in out
    sheet = LabelSheet(data.with_name("data.labels.jsonl"))
    assert [record.did for record in sheet.records()] == ["label", "label", "undo", "label"]
    assert sorted(record.choice for record in sheet.standing()) == ["0", "1"]
    # Also in a later session, and as often as there are items; the end of the input ends it.
    _, out, _ = call(*command, keys="u\nu\nu\n")
    assert "There is nothing to take back" in out
    assert "0 of 2 labelled" in out
    assert sheet.standing() == []


def test_labelling_tells_json(data, call, tmp_path):
    code, out, err = call("label", data, "--metric", "m", "--n", 2, "--rater", "ann", "--json",
                          "--labels", tmp_path / "l.jsonl", keys="1\n1\n")  # fmt: skip
    assert code == 0
    facts = json.loads(out)
    assert (facts["labelled"], facts["items"], facts["rater"]) == (2, 2, "ann")
    assert "item 2 of 2" in err


def test_pairs_in_a_terminal(data, call, tmp_path):
    base = tmp_path / "base.jsonl"
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    base.write_text("".join(json.dumps({**row, "response": "Old."}) + "\n" for row in rows))
    code, out, _ = call("label", data, "--metric", "pairwise", "--pairwise", base, "--n", 2,
                        "--rater", "ann", keys="1\n2\n0\nq\n")  # fmt: skip
    assert code == 0
    assert "First answer" in out
    assert "[2] the second is better" in out
    assert "3 of 4 labelled" in out


def test_a_judge_is_calibrated_by_a_file_of_labels(data, call):
    assert rated(data, call)[0] == 0
    labels = data.with_name("data.labels.jsonl")
    code, out, err = call("calibrate", data, "--metric", "faithfulness", "--judge", "offline",
                          "--labels", labels, "--json")  # fmt: skip
    assert code == 0
    assert "compared is lexical_support" in err
    facts = json.loads(out)
    assert (facts["state"], facts["labels"], facts["scored"]) == ("calibrated", 30, 40)
    assert facts["metric"] == "lexical_support"
    assert facts["human"] == "faithfulness"
    assert facts["kappa"]["estimate"] == 1.0
    assert facts["sensitivity"]["estimate"] == facts["specificity"]["estimate"] == 1.0
    assert facts["corrected"]["low"] <= facts["raw"]["estimate"] <= facts["corrected"]["high"]
    assert facts["cross_check"] is not None
    assert facts["calls"] == 0
    assert [each["within"] for each in facts["advice"]] == [0.1, 0.05, 0.03]
    assert facts["notes"] == ["offline heuristic, not an LLM or human judgement"]
    code, out, _ = call("calibrate", data, "--metric", "faithfulness", "--labels", labels,
                        "--within", 0.2)  # fmt: skip
    assert code == 0
    assert "Mean corrected by the labels (PPI++)" in out
    assert "Labels for ±0.2" in out


def test_calibrate_takes_scores_instead_of_a_judge(data, call, tmp_path):
    rated(data, call)
    labels, scores = data.with_name("data.labels.jsonl"), tmp_path / "scores.json"
    assert call("run", data, "--metrics", "lexical_support", "--out", scores)[0] == 0
    code, out, _ = call(
        "calibrate", data, "--metric", "lexical_support", "--human", "faithfulness",
        "--scores", scores, "--labels", labels, "--json",
    )  # fmt: skip
    assert code == 0
    facts = json.loads(out)
    assert facts["threshold"] == 0.6
    assert facts["labels"] == 30


def test_calibrate_without_labels_says_what_to_do(data, call):
    code, _, err = call("calibrate", data, "--metric", "faithfulness", "--judge", "offline")
    assert code == 1
    assert "No sample has a human label" in err
    code, _, err = call("calibrate", data, "--metric", "faithfulness", "--labels", "nowhere")
    assert code == 1
    assert "no such file of labels" in err


def test_a_run_is_uncalibrated_until_there_are_labels(data, call):
    _, out, _ = call("run", data, "--metrics", "lexical_support")
    assert "Uncalibrated: nobody has labelled" in out
    rated(data, call)
    labels = data.with_name("data.labels.jsonl")
    text = labels.read_text().replace('"faithfulness"', '"lexical_support"')
    labels.write_text(text)
    _, out, _ = call("run", data, "--metrics", "lexical_support", "--labels", labels)
    assert "30 labels by people, mean corrected by them" in out
    _, out, _ = call("run", data, "--metrics", "lexical_support", "--labels", labels, "--json")
    found = json.loads(out)["metrics"]["lexical_support"]["calibration"]
    assert found["corrected"]["estimate"] > 0


def test_a_few_labels_are_not_called_a_calibration(data, call, tmp_path):
    rated(data, call, count=12)
    labels, scores = data.with_name("data.labels.jsonl"), tmp_path / "scores.json"
    code, out, _ = call("calibrate", data, "--metric", "faithfulness", "--labels", labels)
    assert code == 0
    assert "40 scored, 12 labels (too few, 18 more needed)" in out
    assert "12 labels are too few: a calibration takes 30, so 18 more" in out
    _, out, _ = call("calibrate", data, "--metric", "faithfulness", "--labels", labels, "--json")
    facts = json.loads(out)
    assert (facts["state"], facts["labels"], facts["needed"]) == ("too few labels", 12, 18)
    labels.write_text(labels.read_text().replace('"faithfulness"', '"lexical_support"'))
    _, out, _ = call("run", data, "--metrics", "lexical_support", "--labels", labels,
                     "--out", scores)  # fmt: skip
    assert "12 labels by people, 18 more are needed" in out
    assert "corrected by them" not in out
    page, junit = tmp_path / "gate.html", tmp_path / "gate.xml"
    call("gate", scores, "--baseline", scores, "--data", data, "--labels", labels, "--html", page,
         "--junit", junit)  # fmt: skip
    assert "Too few labels" in page.read_text()
    assert "too few labels" in junit.read_text()
    assert "calibrated" not in junit.read_text()


def by_model(body):
    """Two small judges that differ on bad answers, and a large one."""
    bad = BAD in body["messages"][-1]["content"]
    return {"rating": {"a": 0, "b": 3 if bad else 0, "big": 3}[body["model"]], "quotes": []}


def test_a_split_jury_asks_the_large_judge(data, call, monkeypatch, tmp_path):
    with StubJudge(by_model) as stub:
        url = stub.settings()["providers"]["stub"]["base_url"]
        config = tmp_path / "llmops.toml"
        prices = "".join(
            f'[prices."stub/{name}"]\ninput = {price}\noutput = {price}\n'
            for name, price in (("a", 1), ("b", 1), ("big", 20))
        )
        config.write_text(f'[providers.stub]\nbase_url = "{url}"\n{prices}')
        monkeypatch.setenv("LLMOPS_CONFIG", str(config))
        rows = [json.loads(line) for line in data.read_text().splitlines()]
        bad = sum(row["response"] == BAD for row in rows)
        code, out, err = call("run", data, "--judge", "stub/a,stub/b", "--escalate", "stub/big",
                              "--metrics", "toxicity", "--json",
                              "--out", tmp_path / "s.json")  # fmt: skip
        assert code == 0, err
        facts = json.loads(out)
        jury = facts["metrics"]["toxicity"]["jury"]
        assert (jury["split"], jury["escalated"], jury["judge"]) == (bad, bad, "stub/big")
        assert facts["judge"].endswith(">stub/big")
        # Equal answers are in the cache after the first one, or are waited for.
        assert 1 <= sum(body["model"] == "big" for body in stub.bodies) <= bad
        saved = json.loads((tmp_path / "s.json").read_text())["scores"]
        assert sum(score["usd_nano"] for score in saved) == round(float(facts["usd"]) * 1e9)
        assert sum(score["calls"] for score in saved) == facts["calls"]
    code, _, err = call("run", data, "--judge", "offline", "--escalate", "stub/big")
    assert code == 1
    assert "Only a jury" in err


def test_the_first_rows_only(data, call):
    _, out, _ = call("run", data, "--metrics", "lexical_support", "--first", 7, "--json")
    assert len(json.loads(out)["scores"]) == 7
    assert call("run", data, "--first", 0)[0] == 1


def test_a_gates_page_has_the_labels(data, call, tmp_path):
    rated(data, call)
    labels, scores = data.with_name("data.labels.jsonl"), tmp_path / "scores.json"
    labels.write_text(labels.read_text().replace('"faithfulness"', '"lexical_support"'))
    call("run", data, "--metrics", "lexical_support", "--out", scores)
    page = tmp_path / "gate.html"
    code, _, err = call("gate", scores, "--baseline", scores, "--data", data, "--labels", labels,
                        "--html", page)  # fmt: skip
    assert code == 0, err
    assert "Calibration: 30 labels" in page.read_text()
    code, _, err = call("gate", scores, "--baseline", scores, "--labels", labels)
    assert code == 3
    assert "Labels need the answers" in err


def test_one_key_is_one_label_on_a_terminal(data, tmp_path):
    """A real terminal: no Enter is needed, and Ctrl-C ends it with all labels saved."""
    import os
    import pty
    import subprocess
    import sys

    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "llmops_kernel.cli", "judge", "label", str(data),
               "--metric", "m", "--n", "5", "--rater", "ann"]  # fmt: skip
    with subprocess.Popen(
        command, stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        os.close(follower)
        assert process.stdout is not None
        told = ""
        for key in "10q":
            while "[q] stop" not in told.rpartition("item ")[2]:
                told += process.stdout.readline()
            os.write(leader, key.encode())
            told += "\nitem "  # the next one is waited for
        told += process.stdout.read()
        assert process.wait() == 0
    os.close(leader)
    assert "2 of 5 labelled" in told
    records = LabelSheet(data.with_name("data.labels.jsonl")).records()
    assert [record.choice for record in records] == ["1", "0"]
