"""Rows of many forms become one; nothing is left out silently, nothing leaks."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from finetune_rows import prepared, rows, spec_text, write_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune import prepare, read_spec
from llmops_kernel.finetune.data.alike import Alike
from llmops_kernel.finetune.data.forms import form_of, row_of
from llmops_kernel.finetune.data.personal import mask_personal
from llmops_kernel.finetune.data.probes import read_probes
from llmops_kernel.finetune.data.rows import Row
from llmops_kernel.finetune.data.split import LEAKS, split, without_leaks
from llmops_kernel.judge.data.dedupe import similarity
from llmops_kernel.judge.data.problems import WrongRow

if TYPE_CHECKING:
    from pathlib import Path

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


@pytest.mark.parametrize(
    ("row", "form"),
    [
        ({"messages": CHAT}, "messages"),
        ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
         "sharegpt"),
        ({"instruction": "Hi", "input": "", "output": "Hello"}, "alpaca"),
        ({"prompt": "Hi", "completion": "Hello"}, "prompt-completion"),
        ({"prompt": CHAT[:1], "completion": CHAT[1:]}, "prompt-completion"),
        ({"text": "Hi", "label": "Hello"}, "csv"),
        ({"question": "Hi", "answer": "Hello"}, "csv"),
        ({"input": "Hi", "output": "Hello", "rating": "good"}, "feedback"),
        ({"input": CHAT[:1], "response": "Hello", "score": 1}, "feedback"),
        ({"input": "Hi", "output": "Bye", "rating": "bad", "correction": "Hello"}, "feedback"),
    ],
)  # fmt: skip
def test_every_form_becomes_the_same_chat(row: dict[str, Any], form: str) -> None:
    assert form_of(row) == form
    made = row_of(row, 1, form, task="chat", columns={})
    assert list(made.messages) == CHAT
    plain = row_of(row, 1, form, task="completion", columns={})
    assert plain.plain() == {"prompt": "Hi", "completion": "Hello"}


def test_what_a_form_carries_further() -> None:
    alpaca = {"instruction": "Translate", "input": "Haus", "output": "house", "system": "Be brief."}
    made = row_of(alpaca, 1, "alpaca", task="chat", columns={})
    assert [m["role"] for m in made.messages] == ["system", "user", "assistant"]
    assert made.question == "Translate\n\nHaus"
    sharegpt = {"system": "S", "conversations": [{"from": "user", "value": "a"},
                                                 {"from": "assistant", "value": "b"}]}  # fmt: skip
    assert row_of(sharegpt, 1, "sharegpt", task="chat", columns={}).messages[0]["content"] == "S"
    parts = [{"role": "user", "content": [{"type": "text", "text": "a"}]}, CHAT[1]]
    assert row_of({"messages": parts}, 1, "messages", task="chat", columns={}).question == "a"
    calls = [CHAT[0], {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]
    kept = row_of({"messages": calls}, 1, "messages", task="chat", columns={})
    assert kept.messages[1]["tool_calls"] == [{"id": "1"}]
    named = row_of({"q": "a", "class": "b"}, 1, "csv", task="classify",
                   columns={"text": "q", "label": "class"})  # fmt: skip
    assert (named.question, named.label) == ("a", "b")


@pytest.mark.parametrize(
    ("row", "form", "reason"),
    [
        ({"messages": []}, "messages", "no messages"),
        ({"messages": "Hi"}, "messages", "no messages"),
        ({"messages": CHAT[:1]}, "messages", "not the assistant's"),
        ({"messages": ["Hi"]}, "messages", "no object"),
        ({"messages": [{"role": "ghost", "content": "x"}]}, "messages", "unknown role"),
        ({"messages": [CHAT[0], {"role": "assistant", "content": " "}]}, "messages", "empty"),
        ({"messages": [{"role": "system", "content": "x"}, CHAT[1]]}, "messages", "question"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}, CHAT[1]]}, "messages",
         "more than text"),
        ({"prompt": "", "completion": "x"}, "prompt-completion", "question is empty"),
        ({"prompt": "x", "completion": None}, "prompt-completion", "no answer"),
        ({"prompt": "x", "completion": {"a": 1}}, "prompt-completion", "no answer"),
        ({"input": "x", "output": "y", "rating": "bad"}, "feedback", "not rated good"),
        ({"input": "x", "output": "y", "rating": 2}, "feedback", "not rated good"),
        ({"input": "x", "output": "y", "rating": "so-so"}, "feedback", "not known"),
        ({"input": "x", "output": "y"}, "feedback", "not rated good"),
    ],
)  # fmt: skip
def test_a_row_that_is_none_has_a_reason(row: dict[str, Any], form: str, reason: str) -> None:
    with pytest.raises(WrongRow, match=reason):
        row_of(row, 1, form, task="chat", columns={})


def test_a_longer_chat_is_no_completion() -> None:
    with pytest.raises(WrongRow, match="several messages"):
        row_of({"messages": CHAT + CHAT}, 1, "messages", task="completion", columns={})


def test_everything_left_out_is_counted(tmp_path: Path) -> None:
    good = rows(40)
    made = [
        *good,
        good[0],  # a repeat
        {"messages": CHAT[:1]},
        {"messages": [{"role": "user", "content": "key sk-" + "a1b2" * 6}, CHAT[1]]},
        {"other": 1},
    ]
    manifest, train, held_out = prepared(tmp_path, made)
    assert manifest.read == len(made)
    assert manifest.train == len(train)
    assert manifest.eval == len(held_out)
    assert manifest.train + manifest.eval + sum(manifest.dropped.values()) == len(made)
    assert manifest.dropped["the row repeats an earlier one"] == 1
    assert manifest.dropped["the row holds a secret"] == 1
    assert manifest.dropped["the last message is not the assistant's"] == 1
    assert manifest.examples["the row holds a secret"] == [43]
    assert "sk-" not in json.dumps(train + held_out + [manifest.plain()])
    text = (tmp_path / "data" / "train.jsonl").read_bytes()
    assert manifest.train_sha256 == hashlib.sha256(text).hexdigest()
    assert json.loads((tmp_path / "data" / "manifest.json").read_text()) == manifest.plain()


def test_broken_lines_of_a_file_are_counted(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "rows.jsonl")
    source.write_bytes(source.read_bytes() + b"not json\n\xff\xfe\n[1, 2]\n")
    spec = read_spec(spec_text(tmp_path, source))
    manifest = prepare(spec, tmp_path / "data")
    assert sum(manifest.dropped.values()) == 3
    assert manifest.train + manifest.eval == 120
    assert set(manifest.labels) == {"card", "transfer", "loan"}


def test_near_repeats_go_and_near_questions_with_other_answers_stay(tmp_path: Path) -> None:
    asked = "could you please tell me today what the monthly fee of my current account is"
    made = [
        *({"prompt": r["messages"][0]["content"], "completion": "x"} for r in rows(30)),
        {"prompt": asked, "completion": "It is two dollars"},
        {"prompt": asked.capitalize() + "?", "completion": "It is two dollars"},
        {"prompt": asked + " now", "completion": "It is three dollars"},
    ]
    manifest, train, held_out = prepared(tmp_path, made)
    kept = [row["messages"][0]["content"] for row in train + held_out]
    assert asked in kept
    assert asked.capitalize() + "?" not in kept
    assert asked + " now" in kept
    assert manifest.dropped == {"the row nearly repeats an earlier one": 1}
    _, train, held_out = prepared(tmp_path, made, dedupe="exact")
    assert len(train) + len(held_out) == len(made)
    doubled, train, held_out = prepared(tmp_path, made + made, dedupe=False)
    assert len(train) + len(held_out) == 2 * len(made)
    assert doubled.dropped == {}


def test_questions_with_several_answers_are_told(tmp_path: Path) -> None:
    made = rows(30) + [
        {"messages": [{"role": "user", "content": "Same?"}, {"role": "assistant", "content": a}]}
        for a in ("yes", "no")
    ]
    assert prepared(tmp_path, made)[0].conflicts == 1


@pytest.mark.parametrize("seed", [7, 8])
def test_no_question_of_the_evaluation_is_known_from_training(tmp_path: Path, seed: int) -> None:
    base = [row["messages"][0]["content"] for row in rows(30)]
    made = [
        {"prompt": f"{asked} {extra}".strip(), "completion": f"{number}"}
        for number, asked in enumerate(base)
        for extra in ("", "please", "thanks a lot")
    ]
    _, train, held_out = prepared(tmp_path, made, split_seed=seed, eval_fraction=0.2)
    assert held_out
    for one in held_out:
        for other in train:
            a, b = (row["messages"][0]["content"] for row in (one, other))
            assert similarity(a, b) < LEAKS


def test_groups_stay_together(tmp_path: Path) -> None:
    made = [{**row, "customer": f"c{n % 10}"} for n, row in enumerate(rows(60))]
    manifest, train, held_out = prepared(tmp_path, made, group="customer", eval_fraction=0.2)
    place = {row["messages"][0]["content"]: n % 10 for n, row in enumerate(made)}
    sides = [{place[r["messages"][0]["content"]] for r in side} for side in (train, held_out)]
    assert sides[0].isdisjoint(sides[1])
    assert manifest.eval == 12
    with pytest.raises(UsageProblem, match="No row is left to train on"):
        prepared(tmp_path, rows(10), group="customer")


def test_a_split_is_the_same_each_time_and_another_with_another_seed(tmp_path: Path) -> None:
    first = prepared(tmp_path, rows(60))[2]
    assert first == prepared(tmp_path, rows(60))[2]
    assert first != prepared(tmp_path, rows(60), split_seed=8)[2]


def test_rows_that_are_all_alike_cannot_be_split(tmp_path: Path) -> None:
    same = "Tell me the fee of my account at the bank on the corner of the long street"
    made = [{"prompt": same, "completion": f"answer {n}"} for n in range(9)]
    with pytest.raises(UsageProblem, match="alike or of one group"):
        prepared(tmp_path, made, dedupe=False)
    manifest, _, held_out = prepared(tmp_path, made, dedupe=False, eval_fraction=0.0)
    assert (manifest.eval, held_out) == (0, [])


def test_given_evaluation_rows_stay_and_training_rows_like_them_go(tmp_path: Path) -> None:
    made = rows(60)
    write_rows(tmp_path / "eval.jsonl", made[:5])
    manifest, train, held_out = prepared(tmp_path, made, eval_path=str(tmp_path / "eval.jsonl"))
    assert held_out == made[:5]
    assert not any(row in train for row in made[:5])
    assert manifest.dropped == {"the question is in the evaluation rows": 5}
    write_rows(tmp_path / "eval.jsonl", [{"messages": []}])
    with pytest.raises(UsageProblem, match="no row to evaluate on"):
        prepared(tmp_path, made, eval_path=str(tmp_path / "eval.jsonl"))


@pytest.mark.parametrize(("policy", "kept"), [("keep", 31), ("mask", 31), ("drop", 30)])
def test_personal_data(tmp_path: Path, policy: str, kept: int) -> None:
    said = "Write to ann@example.org or +49 30 1234567 about DE89 3704 0044 0532 0130 00"
    made = [*rows(30), {"messages": [{"role": "user", "content": said}, CHAT[1]]}]
    manifest, train, held_out = prepared(tmp_path, made, personal=policy)
    assert manifest.personal == {"email address": 1, "phone number": 1, "account number": 1}
    assert manifest.train + manifest.eval == kept
    text = json.dumps(train + held_out)
    assert ("ann@example.org" in text) == (policy == "keep")
    assert ("[email address]" in text) == (policy == "mask")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a.b+c@mail.example.co.uk", "email address"),
        ("4111 1111 1111 1111", "card number"),
        ("GB82WEST12345698765432", "account number"),
        ("536-90-4399", "social security number"),
        ("(415) 555-0132", "phone number"),
        ("192.168.0.17", "IP address"),
    ],
)
def test_personal_data_of_a_form_is_found(text: str, kind: str) -> None:
    masked, found = mask_personal(f"see {text}, thanks")
    assert masked == f"see [{kind}], thanks"
    assert found == {kind: 1}


@pytest.mark.parametrize(
    "text",
    ["order 4111 1111 1111 1112", "version 1.2.3", "GB82WEST12345698765433", "2026-11-23",
     "1,250.00", "room 12-34", "0000 0000 0000 0000", "@handle", "300.1.2.3"],
)  # fmt: skip
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert mask_personal(text) == (text, {})


def test_tables_and_saved_data_sets_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "text,label\n" + "".join(f'"{r["messages"][0]["content"]}",card\n' for r in rows(20))
    )
    spec = read_spec(f"task: classify\nbase: x\ndata: {{path: {tmp_path / 't.csv'}}}")
    manifest = prepare(spec, tmp_path / "one")
    assert (manifest.format, manifest.train + manifest.eval) == ("csv", 20)
    import datasets

    made = datasets.Dataset.from_list([{"prompt": r["messages"][0]["content"], "completion": "x"}
                                       for r in rows(20)])  # fmt: skip
    made.to_parquet(str(tmp_path / "t.parquet"))
    made.save_to_disk(str(tmp_path / "saved"))
    for name in ("t.parquet", "saved"):
        spec = read_spec(f"base: x\ndata: {{path: {tmp_path / name}}}")
        found = prepare(spec, tmp_path / "two")
        assert found.train + found.eval == 20
        assert len(found.source_sha256) == 64


@pytest.mark.parametrize("content", [b"", b"\n\n", b"{}", b"[]", b"\x00\x01"])
def test_files_without_rows(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    spec = read_spec(f"base: x\ndata: {{path: {tmp_path / 'rows.jsonl'}}}")
    with pytest.raises(UsageProblem):
        prepare(spec, tmp_path / "data")


def test_a_missing_file(tmp_path: Path) -> None:
    spec = read_spec(f"base: x\ndata: {{path: {tmp_path / 'none.jsonl'}}}")
    with pytest.raises(UsageProblem, match="no such data file"):
        prepare(spec, tmp_path / "data")


def test_half_a_surrogate_pair_is_written(tmp_path: Path) -> None:
    made = [*rows(20), {"messages": [CHAT[0], {"role": "assistant", "content": "\ud83d"}]}]
    manifest, train, held_out = prepared(tmp_path, made)
    assert manifest.train + manifest.eval == 21
    assert any(r["messages"][-1]["content"] == "\ud83d" for r in train + held_out)


def test_what_models_answered_here_becomes_rows(tmp_path: Path) -> None:
    from llmops_kernel.store import Lease, open_store
    from llmops_kernel.trace import Tracer, new_id

    store = open_store(f"sqlite:///{tmp_path / 'record.db'}")
    tracer = Tracer(store, Lease.mine())

    def call(asked: str, answer: str, status: Any = "ok", **facts: Any) -> None:
        span = tracer.start(
            "chat m", "llm", trace_id=new_id(),
            input=json.dumps({"messages": [{"role": "user", "content": asked}]}),
        )  # fmt: skip
        tracer.end(span, status, attributes={"book": "real", **facts}, output=answer)

    for row in rows(12):
        call(row["messages"][0]["content"], row["messages"][1]["content"])
    call("Who?", "nobody", book="simulated")
    call("Why?", "", status="error")
    call("How?", "it was cut", finish_reason="length")
    store.flush()
    spec = read_spec("base: x\ndata: {path: record}")
    manifest = prepare(spec, tmp_path / "data", store=store)
    store.close()
    assert (manifest.format, manifest.train + manifest.eval) == ("traces", 12)
    assert sum(manifest.dropped.values()) == 3
    assert manifest.dropped["the call did not end well"] == 1


def test_probe_prompts(tmp_path: Path) -> None:
    path = tmp_path / "probe.jsonl"
    path.write_text('{"prompt": "Hi"}\n' + json.dumps({"messages": CHAT}) + "\n{}\n")
    assert read_probes(str(path)) == ["Hi", CHAT[:1]]
    path.write_text("{}\n")
    with pytest.raises(UsageProblem, match="no probe prompt"):
        read_probes(str(path))


_WORDS = st.lists(
    st.sampled_from(["fee", "card", "loan", "bank", "2023", "2024", "my", "the"]), max_size=9
)


@settings(max_examples=60)
@given(st.lists(_WORDS.map(" ".join), min_size=1, max_size=25), st.sampled_from([0.5, 0.8, 1.0]))
def test_alike_finds_what_a_comparison_of_all_finds(texts: list[str], threshold: float) -> None:
    alike = Alike(texts, threshold)
    for place, text in enumerate(texts):
        wanted = [n for n in range(place) if similarity(text, texts[n]) >= threshold]
        assert list(alike.near(place)) == wanted
        alike.add(place)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(_WORDS.map(" ".join), st.sampled_from(["", "a", "b", "c"])), min_size=2,
             max_size=30),
    st.floats(0.05, 0.5),
    st.integers(0, 100),
)  # fmt: skip
def test_a_split_keeps_all_rows_and_leaks_none(
    made: list[tuple[str, str]], fraction: float, seed: int
) -> None:
    given_rows = [Row(n, (), text, "x", group) for n, (text, group) in enumerate(made)]
    try:
        train, held_out = split(given_rows, fraction, seed)
    except UsageProblem:
        return
    assert sorted(r.line for r in train + held_out) == list(range(len(made)))
    assert train
    assert held_out
    kept, leaks = without_leaks(train, held_out)
    assert (len(kept), leaks) == (len(train), 0)
