"""Other tools' data sets and our own traces."""

from __future__ import annotations

import json
import sys

import pytest

from llmops_kernel.errors import MissingExtra, UsageProblem
from llmops_kernel.judge import Sample
from llmops_kernel.judge.data import (
    from_datasets,
    from_deepeval,
    from_promptflow,
    from_ragas,
    from_traces,
    from_trulens,
    to_datasets,
)
from llmops_kernel.session import Session
from llmops_kernel.store import Lease
from llmops_kernel.trace.tracer import Tracer

OLD = {"question": "Q?", "answer": "A", "contexts": ["c1", "c2"], "ground_truth": "R"}
NEW = {"user_input": "Q?", "response": "A", "retrieved_contexts": ["c1", "c2"], "reference": "R"}


def test_ragas_names_of_both_ages_are_the_same_sample(tmp_path):
    path = tmp_path / "old.jsonl"
    path.write_text(json.dumps(OLD) + "\n\n")
    (old,), (new,) = from_ragas(path).samples, from_ragas([NEW]).samples
    assert old == new
    assert (old.user_input, old.response, old.reference) == ("Q?", "A", "R")
    assert old.retrieved_contexts == ("c1", "c2")
    assert from_ragas(path).counts == {"the row is empty": 1}
    columns = {name: [value, value] for name, value in OLD.items()}
    columns["id"] = ["1", "2"]
    assert [each.id for each in from_ragas(columns)] == ["1", "2"]
    with pytest.raises(UsageProblem):
        from_ragas({"question": ["a"], "answer": []})


def test_ragas_lists_of_truths_and_conversations():
    (several,) = from_ragas([{"question": "Q?", "ground_truths": ["R", "S"]}])
    assert (several.reference, several.extra["ground_truths"]) == ("R", ["R", "S"])
    talk = [{"content": "Hi", "type": "human"}, {"content": "Hello", "type": "ai"},
            {"content": "Fee?", "type": "human"}, {"content": "5", "type": "ai"}]  # fmt: skip
    (turn,) = from_ragas([{"user_input": talk}])
    assert (turn.user_input, turn.response) == ("Fee?", "5")
    wrong = from_ragas([{"user_input": [{"content": "x", "type": "ai"}]}, {"user_input": ["x"]}])
    assert [each.reason for each in wrong.problems] == [
        "nobody asks in the conversation",
        "user_input is no list of messages",
    ]


def test_an_id_does_not_depend_on_the_answer():
    (one,), (other,) = from_ragas([OLD]), from_ragas([OLD | {"answer": "B"}])
    assert one.id == other.id
    twice = from_ragas([OLD, OLD, OLD | {"answer": "B"}])  # two answers to one question
    assert (len(twice), twice.problems) == (2, ())
    assert twice.notes[1] == "1 row repeats an earlier one and counts once"


def test_deepeval_in_both_spellings(tmp_path):
    snake = {"input": "Q?", "actual_output": "A", "expected_output": "R", "context": ["ideal"],
             "retrieval_context": ["c"], "source_file": "fees.md", "name": "case 1"}  # fmt: skip
    camel = {"input": "Q?", "actualOutput": "A", "expectedOutput": "R", "context": ["ideal"],
             "retrievalContext": [{"source": "s", "context": "c"}], "sourceFile": "fees.md",
             "name": "case 2"}  # fmt: skip
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"testCases": [snake, camel], "metricsScores": []}))
    one, other = from_deepeval(path)
    assert (one.id, one.response, one.reference, one.cluster) == ("case 1", "A", "R", "fees.md")
    assert one.reference_contexts == ("ideal",)
    assert one.retrieved_contexts == other.retrieved_contexts == ("c",)
    assert other.retrieved_context_ids == ("s",)
    assert from_deepeval([{"actual_output": "A"}]).counts == {"user_input is missing": 1}


def test_promptflow_data_and_results(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text('{"question": "Q?", "answer": "A", "context": "c", "ground_truth": "R"}\n')
    (plain,) = from_promptflow(path)
    assert (plain.response, plain.retrieved_contexts, plain.reference) == ("A", ("c",), "R")
    result = {"rows": [{"inputs.query": "Q?", "inputs.context": "c", "outputs.response": "A",
                        "inputs.ground_truth": "R", "outputs.gpt_groundedness": 3.0}],
              "metrics": {}}  # fmt: skip
    (made,) = from_promptflow(result)
    assert (made.user_input, made.response, made.id) == ("Q?", "A", plain.id)
    assert made.extra == {"outputs.gpt_groundedness": 3.0}


def test_trulens_records_and_spans():
    calls = [{"stack": [{"method": {"name": "retrieve"}}],
              "rets": ["c1", {"page_content": "c2"}, {"node": {"text": "c3"}}, 4]}]  # fmt: skip
    row = {"record_id": "r1", "input": '"Q?"', "output": '"A"', "tags": "-", "relevance": 0.6,
           "record_json": json.dumps({"calls": calls})}  # fmt: skip
    (record,) = from_trulens([row])
    assert (record.id, record.user_input, record.response) == ("r1", "Q?", "A")
    assert record.retrieved_contexts == ("c1", "c2", "c3")
    assert record.extra == {"relevance": 0.6}
    base = "ai.observability."
    spans = [
        {"record_attributes": {base + "record_id": "r2", base + "record_root.input": "Q?",
                               base + "record_root.output": "A"}},
        {"record_attributes": json.dumps({base + "record_id": "r2",
                                          base + "retrieval.retrieved_contexts": ["c"]})},
    ]  # fmt: skip
    (traced,) = from_trulens(spans)
    assert (traced.id, traced.response, traced.retrieved_contexts) == ("r2", "A", ("c",))


@pytest.fixture
def session(tmp_path):
    with Session(store=f"sqlite:///{tmp_path / 'record.db'}") as opened:
        yield opened


def test_answers_from_documents_become_samples(session, tmp_path):
    from llmops_kernel.rag.ingesting import ingest

    text = "# Fees\n\nThe monthly fee is 5 dollars. A tag such as <document> is text.\n"
    (tmp_path / "fees.md").write_text(text)
    ingest(session.indexes.create("bank"), [str(tmp_path / "fees.md")])
    answers = [session.rag("What is the monthly fee?", "bank", rewrite=r) for r in (True, False)]
    found = from_traces(session.store)
    assert found.problems == ()
    assert {sample.trace_id for sample in found} == {answer.trace_id for answer in answers}
    for sample in found:
        assert sample.user_input == "What is the monthly fee?"
        assert "5 dollars" in sample.response
        assert "such as <document> is text" in sample.retrieved_contexts[0]
        assert sample.retrieved_context_ids == (answers[0].sources[0].chunk_id,)
        assert sample.extra["index"] == "bank"
    assert len(from_traces(session.store, index="other")) == 0
    assert len(from_traces(session.store, trace_ids=[answers[0].trace_id])) == 1


def test_traces_that_do_not_tell_are_counted(store):
    tracer = Tracer(store, Lease.mine())

    def answered(question, prompt, status="ok", trace="t1"):
        top = tracer.start("rag bank", "retrieval", trace_id=trace, input=question)
        call = tracer.start("chat m", "llm", trace_id=trace, parent_id=top, input=prompt)
        tracer.end(call, output="A")
        tracer.end(top, status, output="A")

    prompt = {
        "messages": [{"role": "user", "content": "<documents>\n</documents>\n\nQuestion: Q?"}]
    }
    answered("Q1?", json.dumps(prompt))
    answered("Q2?", json.dumps(prompt))
    answered("", "", trace="t2")
    answered("Q3?", json.dumps(prompt)[:40] + "… (9 more characters)", trace="t3")
    answered("Q4?", "", status="error", trace="t4")
    with store.transaction():
        pass
    found = from_traces(store)
    assert sorted(sample.user_input for sample in found) == ["Q1?", "Q2?"]
    assert {sample.cluster for sample in found} == {"t1"}  # answers of one trace belong together
    assert found.counts == {
        "the content was not captured": 1,
        "the prompt was not kept whole": 1,
        "the answer did not end well": 1,
    }


ROWS = [
    Sample("a", "Q?", "A", ("c",), human={"m": {"score": 1}}, tags=("t",), extra={"n": 1}),
    Sample("b", "R?", split="dev"),
]


def test_hugging_face_and_back():
    import datasets

    made = to_datasets(ROWS)
    assert made.column_names[:2] == ["id", "user_input"]
    assert list(from_datasets(made)) == ROWS
    parts = datasets.DatasetDict({"test": datasets.Dataset.from_list([OLD])})
    (old,) = from_datasets(parts)
    assert (old.user_input, old.split) == ("Q?", "test")


def test_hugging_face_is_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)  # as if it were not installed
    for call in (lambda: to_datasets(ROWS), lambda: from_datasets([])):
        with pytest.raises(MissingExtra, match="datasets"):
            call()
