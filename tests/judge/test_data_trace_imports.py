"""Traces of Langfuse and Phoenix as samples, in the shapes their exports have."""

from __future__ import annotations

import json

import pytest

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.data import from_langfuse, from_phoenix
from llmops_kernel.judge.data.labels import human_value


def trace(name="t1", **more):
    return {
        "id": name,
        "timestamp": "2026-07-01T10:00:00.000Z",
        "name": "assistant",
        "input": {"messages": [{"role": "system", "content": "Be brief."},
                               {"role": "user", "content": "What does a card cost?"}]},
        "output": {"role": "assistant", "content": "5 EUR."},
        "sessionId": "s-1",
        "tags": ["prod"],
        "observations": [
            {"id": "o1", "traceId": name, "type": "SPAN", "name": "rag",
             "parentObservationId": None, "input": "x", "output": "y"},
            {"id": "o2", "traceId": name, "type": "RETRIEVER", "name": "search",
             "parentObservationId": "o1", "input": "card",
             "output": [{"page_content": "Cards cost 5 EUR.", "id": "c1", "metadata": {}},
                        {"page_content": "Refunds take 10 days.", "id": "c2"}]},
            {"id": "o3", "traceId": name, "type": "GENERATION", "name": "llm",
             "parentObservationId": "o1", "input": "p", "output": "5 EUR."},
        ],
        "scores": [
            {"name": "correctness", "value": 1, "dataType": "NUMERIC", "source": "ANNOTATION",
             "authorUserId": "u-7", "timestamp": "2026-07-02T10:00:00.000Z"},
            {"name": "tone", "value": None, "stringValue": "good", "dataType": "CATEGORICAL",
             "source": "ANNOTATION"},
            {"name": "toxicity", "value": 0.1, "dataType": "NUMERIC", "source": "EVAL"},
        ],
        **more,
    }  # fmt: skip


def test_a_langfuse_trace():
    (sample,) = from_langfuse([trace()]).samples
    assert sample.id == sample.trace_id == "t1"
    assert sample.user_input == "What does a card cost?"
    assert sample.response == "5 EUR."
    assert sample.retrieved_contexts == ("Cards cost 5 EUR.", "Refunds take 10 days.")
    assert sample.retrieved_context_ids == ("c1", "c2")
    assert (sample.cluster, sample.tags) == ("s-1", ("prod",))
    assert sample.human["correctness"] == {
        "score": 1.0, "rater": "u-7", "at": "2026-07-02T10:00:00.000Z",
    }  # fmt: skip
    assert human_value(sample, "tone") == 1.0
    assert sample.extra["scores"] == {"toxicity": 0.1}
    assert "toxicity" not in sample.human


def test_langfuse_files_of_all_shapes(tmp_path):
    wanted = from_langfuse([trace("a"), trace("b")]).samples
    page = tmp_path / "page.json"
    page.write_text(json.dumps({"data": [trace("a"), trace("b")], "meta": {"page": 1}}))
    lines = tmp_path / "traces.jsonl"
    lines.write_text("".join(json.dumps(trace(name)) + "\n" for name in "ab"))
    assert from_langfuse(page).samples == from_langfuse(lines).samples == wanted
    one = tmp_path / "trace-a.json"
    whole = trace("a")
    parts = {"trace": {k: v for k, v in whole.items() if k not in ("observations", "scores")}}
    one.write_text(json.dumps({**parts, "observations": whole["observations"],
                               "scores": whole["scores"]}))  # fmt: skip
    assert from_langfuse(one).samples == wanted[:1]


def test_langfuse_observations_are_put_together():
    rows = []
    for name in ("t1", "t2"):
        root, retriever, model = trace(name)["observations"]
        root["input"], root["output"] = json.dumps({"question": "Why?"}), {"answer": "So."}
        retriever["output"] = json.dumps({"documents": ["One.", "Two."]})
        rows += [root, retriever, model]
    found = from_langfuse(rows)
    assert [each.id for each in found.samples] == ["t1", "t2"]
    assert found.samples[0].user_input == "Why?"
    assert found.samples[0].response == "So."
    assert found.samples[0].retrieved_contexts == ("One.", "Two.")
    assert found.samples[0].retrieved_context_ids == ()


def test_traces_that_are_none_are_counted():
    found = from_langfuse([trace("a"), trace("a", output="Another."), trace("a"), {"id": "x"},
                           trace("b", input=None, observations=[])])  # fmt: skip
    assert [each.id for each in found.samples] == ["a"]
    assert found.counts == {"user_input is missing": 2, "the id is used twice": 1}
    assert found.notes == ("1 row repeats an earlier one and counts once",)
    with pytest.raises(UsageProblem):
        from_langfuse("nowhere.jsonl")


def spans(trace_id="t1", *, flat=True):
    documents = [{"document": {"id": "d1", "content": "Cards cost 5 EUR.", "score": 0.9}},
                 {"document": {"id": "d2", "content": "Refunds take 10 days."}}]  # fmt: skip
    if flat:
        kept = {
            f"retrieval.documents.{n}.document.{k}": v
            for n, each in enumerate(documents)
            for k, v in each["document"].items()
        }
    else:
        kept = {"retrieval": {"documents": documents}}
    asked = {"input.value": "What does a card cost?", "output.value": "5 EUR.",
             "session.id": "s-1"}  # fmt: skip
    nested = {"input": {"value": "What does a card cost?", "mime_type": "text/plain"},
              "output": {"value": "5 EUR."}, "session": {"id": "s-1"}}  # fmt: skip
    return [
        {"name": "search", "span_kind": "RETRIEVER", "parent_id": "r",
         "context": {"trace_id": trace_id, "span_id": f"{trace_id}-q"}, "attributes": kept},
        {"name": "rag", "span_kind": "CHAIN", "parent_id": None,
         "context": {"trace_id": trace_id, "span_id": f"{trace_id}-r"},
         "attributes": asked if flat else nested},
    ]  # fmt: skip


def annotation(span_id, kind="HUMAN", **result):
    return {"span_id": span_id, "name": "correctness" if kind == "HUMAN" else "judge",
            "annotator_kind": kind, "result": result, "updated_at": "2026-07-02"}  # fmt: skip


@pytest.mark.parametrize("flat", [True, False])
def test_phoenix_spans(flat):
    notes = [annotation("t1-r", label="correct"), annotation("t1-q", "LLM", score=0.2)]
    found = from_phoenix(spans("t1", flat=flat) + spans("t2", flat=flat), notes)
    assert [each.id for each in found.samples] == ["t1", "t2"]
    sample = found.samples[0]
    assert sample.user_input == "What does a card cost?"
    assert sample.response == "5 EUR."
    assert sample.retrieved_contexts == ("Cards cost 5 EUR.", "Refunds take 10 days.")
    assert sample.retrieved_context_ids == ("d1", "d2")
    assert (sample.cluster, sample.trace_id) == ("s-1", "t1")
    assert human_value(sample, "correctness") == 1.0
    assert sample.extra["annotations"] == {"judge": 0.2}
    assert not found.samples[1].human


def test_phoenix_pages_and_frames(tmp_path):
    wanted = from_phoenix(spans("t1")).samples
    page = tmp_path / "spans.json"
    page.write_text(json.dumps({"data": spans("t1"), "next_cursor": None}))
    assert from_phoenix(page).samples == wanted
    frame = [
        {"context.trace_id": "t1", "context.span_id": each["context"]["span_id"],
         "parent_id": each["parent_id"], "name": each["name"], "span_kind": each["span_kind"],
         "attributes.input.value": each["attributes"].get("input.value"),
         "attributes.output.value": each["attributes"].get("output.value"),
         "attributes.session.id": each["attributes"].get("session.id"),
         "attributes.retrieval.documents": [
             {"document.id": "d1", "document.content": "Cards cost 5 EUR."},
             {"document.id": "d2", "document.content": "Refunds take 10 days."},
         ] if each["span_kind"] == "RETRIEVER" else None}
        for each in spans("t1")
    ]  # fmt: skip
    lines = tmp_path / "frame.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in frame))
    assert from_phoenix(lines).samples == wanted


def test_phoenix_content_as_openai_messages():
    (root,) = [each for each in spans("t1") if each["parent_id"] is None]
    root["attributes"] = {
        "input.value": json.dumps({"messages": [{"role": "user", "content": [
            {"type": "text", "text": "Why?"}]}]}),
        "output.value": json.dumps({"choices": [{"message": {"role": "assistant",
                                                              "content": "So."}}]}),
    }  # fmt: skip
    (sample,) = from_phoenix([root]).samples
    assert (sample.user_input, sample.response) == ("Why?", "So.")


def test_a_phoenix_trace_without_content_is_a_problem():
    found = from_phoenix([{"name": "x", "context": {"trace_id": "t", "span_id": "s"}}, {"a": 1}])
    assert found.samples == ()
    assert found.counts == {"user_input is missing": 2}


def test_the_shell_imports(tmp_path, capsys):
    from llmops_kernel.cli import main
    from llmops_kernel.judge import load

    source, out = tmp_path / "traces.json", tmp_path / "data.jsonl"
    source.write_text(json.dumps([trace("a"), trace("b"), {"id": "x"}]))
    command = ["judge", "import", str(source), "--from", "langfuse", "--out", str(out)]
    assert main([*command, "--json"]) == 0
    told = capsys.readouterr()
    facts = json.loads(told.out)
    assert (facts["samples"], facts["labelled"]) == (2, 2)
    assert "user_input is missing" in told.err
    assert load(out).samples == from_langfuse(source).samples
    notes = tmp_path / "notes.json"
    notes.write_text(json.dumps({"data": [annotation("t1-r", score=1)]}))
    pages = tmp_path / "spans.json"
    pages.write_text(json.dumps({"data": spans("t1")}))
    assert main(["judge", "import", str(pages), "--from", "phoenix", "--annotations", str(notes),
                 "--out", str(out)]) == 0  # fmt: skip
    assert load(out).samples[0].human["correctness"]["score"] == 1.0
    source.write_text("[]")
    assert main(command) == 3
    assert main(["judge", "import", "--from", "langfuse", "--out", str(out)]) == 1
    assert main(["judge", "import", str(pages), "--from", "traces", "--out", str(out)]) == 1
