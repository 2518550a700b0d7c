"""Reading, writing, splitting and thinning out data sets."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge import Sample, dump, load, split
from llmops_kernel.judge.data import dedupe, human_value, similarity
from llmops_kernel.judge.data.rows import MAX_ROW


def write(path, *lines):
    path.write_bytes(
        b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    )
    return path


GOOD = '{"id": "a", "user_input": "Q?"}'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "the row is empty"),
        ("{}", "the row is empty"),
        ("[1]", "not a JSON object"),
        ("{", "not JSON"),
        ('{"id": "b", "user_input": "Q", "score": NaN}', "not JSON"),
        ('{"id": "b", "user_input": "Q", "score": 1e999}', "not JSON"),
        ("[" * 100_000, "not JSON"),
        (b'{"id": "b", "user_input": "\xff"}', "not UTF-8"),
        ('{"id": ["b"], "user_input": "Q"}', "id is not a text"),
        ('{"id": "b"}', "user_input is missing"),
        ('{"id": "b", "user_input": " "}', "user_input is missing"),
        ('{"id": "b", "user_input": 3}', "user_input is not a text"),
        ('{"id": "b", "user_input": "Q", "response": []}', "response is not a text"),
        ('{"id": "b", "user_input": "Q", "retrieved_contexts": "x"}',
         "retrieved_contexts is not a list of texts"),
        ('{"id": "b", "user_input": "Q", "tags": [1]}', "tags is not a list of texts"),
        ('{"id": "b", "user_input": "Q", "human": [1]}', "human is not an object of metrics"),
        ('{"id": "b", "user_input": "Q", "human": {"m": {}}}', "human has neither score nor label"),
        ('{"id": "b", "user_input": "Q", "human": {"m": {"score": "1"}}}',
         "a human score is not a number"),
        ('{"id": "b", "user_input": "Q", "extra": 1}', "extra is not an object"),
        ('{"id": "a", "user_input": "R?"}', "the id is used twice"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_and_the_rest_is_read(tmp_path, line, reason):
    found = load(write(tmp_path / "set.jsonl", GOOD, line, '{"id": "z", "user_input": "Z?"}'))
    assert [sample.id for sample in found] == ["a", "z"]
    (problem,) = found.problems
    assert (problem.line, problem.reason) == (2, reason)
    assert found.counts == {reason: 1}
    assert str(problem).startswith("line 2")


def test_rows_without_an_id_get_one_of_what_they_ask(tmp_path):
    rows = ['{"user_input": "Q?", "response": "A"}', '{"id": null, "user_input": "R?"}',
            '{"id": "", "user_input": "Q?", "response": "B"}', GOOD]  # fmt: skip
    found = load(write(tmp_path / "set.jsonl", *rows))
    assert (found.problems, len(found)) == ((), 4)
    assert found.notes == ("3 rows have no id and got one made of the question",)
    first, second, third, own = (sample.id for sample in found)
    assert (len({first, second, third}), own) == (3, "a")
    # The same questions have the same ids, whatever is answered and wherever they stand.
    later = ['{"user_input": "R?", "response": "X"}', '{"user_input": "Q?", "response": "Y"}',
             '{"user_input": "Q?", "response": "Z"}']  # fmt: skip
    assert [s.id for s in load(write(tmp_path / "new.jsonl", *later))] == [second, first, third]
    # What was written is read as it was.
    dump(found.samples, tmp_path / "own.jsonl")
    again = load(tmp_path / "own.jsonl")
    assert (again.samples, again.notes) == (found.samples, ())


def test_another_reference_is_another_question(tmp_path):
    rows = [f'{{"user_input": "Fee?", "reference": "{n}"}}' for n in (5, 6)]
    found = load(write(tmp_path / "set.jsonl", *rows))
    back = load(write(tmp_path / "back.jsonl", *rows[::-1]))
    assert {s.reference: s.id for s in found} == {s.reference: s.id for s in back}
    assert len({s.id for s in found}) == 2


def test_a_repeated_row_counts_once_and_only_a_conflict_is_a_problem(tmp_path):
    other = '{"user_input": "Q?"}'
    found = load(write(tmp_path / "set.jsonl", GOOD, GOOD, other, other, other))
    assert (len(found), found.problems) == (2, ())
    assert found.notes == (
        "1 row has no id and got one made of the question",
        "3 rows repeat an earlier one and count once",
    )
    found = load(
        write(tmp_path / "set.jsonl", GOOD, '{"id": "a", "user_input": "Q?", "tags": ["x"]}')
    )
    assert found.counts == {"the id is used twice": 1}


def test_a_huge_row_is_passed_over(tmp_path):
    huge = b'{"id": "b", "user_input": "' + b"x" * MAX_ROW + b'"}'
    found = load(write(tmp_path / "set.jsonl", GOOD, huge, huge))
    assert [sample.id for sample in found] == ["a"]
    assert found.counts == {"the row is too long": 2}


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(UsageProblem):
        load(tmp_path / "none.jsonl")
    with pytest.raises(UsageProblem):
        load(tmp_path)
    assert len(load(write(tmp_path / "empty.jsonl", ""))) == 0
    with pytest.raises(UsageProblem):
        load(write(tmp_path / "broken.json", "{", "]"))


def test_marks_lists_and_numbers_are_read(tmp_path):
    found = load(write(tmp_path / "a.jsonl", b"\xef\xbb\xbf" + GOOD.encode() + b"\r"))
    assert [sample.id for sample in found] == ["a"]
    whole = load(write(tmp_path / "a.json", f'[{GOOD}, {{"id": 7, "user_input": "x"}}]'))
    assert [sample.id for sample in whole] == ["a", "7"]
    spread = load(write(tmp_path / "b.json", json.dumps([json.loads(GOOD)], indent=2)))
    assert len(spread) == 1


texts = st.text(max_size=20)
samples = st.builds(
    Sample,
    id=st.text(min_size=1, max_size=5),
    user_input=st.text(min_size=1, max_size=20).filter(str.strip),
    response=texts,
    retrieved_contexts=st.lists(texts, max_size=3).map(tuple),
    reference=texts,
    tags=st.lists(texts, max_size=2).map(tuple),
    cluster=texts,
    human=st.dictionaries(texts, st.just({"score": 0.5, "rater": "r"}), max_size=2),
    extra=st.dictionaries(texts, st.integers() | texts | st.none(), max_size=2),
)


@given(st.lists(samples, max_size=5, unique_by=lambda sample: sample.id))
def test_what_is_written_is_read_again(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("set") / "set.jsonl"
    assert dump(rows, path) == len(rows)
    found = load(path)
    assert list(found) == rows
    assert found.problems == ()


def test_half_a_character_is_written_too(tmp_path):
    dump([Sample("a", "Q\ud800?")], tmp_path / "s.jsonl")
    assert load(tmp_path / "s.jsonl").samples[0].user_input == "Q\ud800?"


def test_what_cannot_be_written_leaves_the_old_file(tmp_path):
    path = write(tmp_path / "s.jsonl", GOOD)
    with pytest.raises(UsageProblem):
        dump([Sample("a", "Q"), Sample("b", "Q", extra={"x": object()})], path)
    assert [sample.id for sample in load(path)] == ["a"]
    assert [each.name for each in tmp_path.iterdir()] == ["s.jsonl"]
    with pytest.raises(UsageProblem):
        dump([], tmp_path / "no" / "s.jsonl")


@given(st.lists(st.sampled_from(["", "a", "b", "c", "d"]), max_size=60), st.integers(0, 9))
def test_a_split_tears_no_cluster_apart(clusters, seed):
    rows = [Sample(f"{n}", "q", cluster=name) for n, name in enumerate(clusters)]
    parts = split(rows, {"dev": 0.5, "test": 0.5}, seed)
    assert sorted(s.id for part in parts.values() for s in part) == sorted(s.id for s in rows)
    assert all(sample.split == name for name, part in parts.items() for sample in part)
    names = [{s.cluster for s in part if s.cluster} for part in parts.values()]
    assert not names[0] & names[1]
    again = split(rows[::-1], {"dev": 0.5, "test": 0.5}, seed)
    assert {s.id for s in again["dev"]} == {s.id for s in parts["dev"]}


def test_a_split_has_the_sizes_asked_for():
    rows = [Sample(f"{n}", "q", cluster=f"d{n // 5}") for n in range(200)]
    parts = split(rows, {"train": 0.7, "dev": 0.1, "test": 0.2}, 3)
    assert [len(part) for part in parts.values()] == [140, 20, 40]
    assert parts != split(rows, {"train": 0.7, "dev": 0.1, "test": 0.2}, 4)
    for wrong in ({}, {"a": 0.5}, {"a": 1.5, "b": -0.5}):
        with pytest.raises(UsageProblem):
            split(rows, wrong)


def test_near_duplicates_are_left_out():
    questions = [
        "What is the monthly fee of the standard account at the branch?",
        "what is the monthly fee of the standard account, at the branch",
        "What is the monthly fee of the standard account at the branch in 2024?",
        "What is the monthly fee of the standard account at the branch in 2025?",
        "How do I block a card?",
    ]
    rows = [Sample(str(n), text) for n, text in enumerate(questions)]
    kept, dropped = dedupe(rows)
    assert [sample.id for sample in kept] == ["0", "2", "3", "4"]
    assert [(each.id, each.kept, each.similarity) for each in dropped] == [("1", "0", 1.0)]
    assert similarity(questions[2], questions[3]) == 0
    # The same question with another answer is another sample.
    both = [Sample("a", "Why?", "Because."), Sample("b", "Why?", "It is the law of 1999.")]
    assert len(dedupe(both)[0]) == 2
    with pytest.raises(UsageProblem):
        dedupe(rows, threshold=0)


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=6), max_size=15),
       st.sampled_from([0.3, 0.5, 0.8, 1.0]))  # fmt: skip
def test_no_two_that_stay_are_alike_and_all_that_go_are(words, threshold):
    rows = [Sample(str(n), " ".join(each)) for n, each in enumerate(words)]
    kept, dropped = dedupe(rows, threshold=threshold)
    by_id = {sample.id: sample.user_input for sample in rows}
    for place, one in enumerate(kept):
        for other in kept[place + 1 :]:
            assert similarity(one.user_input, other.user_input) < threshold
    for each in dropped:
        assert similarity(by_id[each.id], by_id[each.kept]) == each.similarity >= threshold


def test_labels_are_numbers_on_the_metrics_scale():
    said = {"faithfulness": {"label": "Not mentioned"}, "correctness": {"score": 0.5},
            "faithfulness[ragas]": {"label": "yes"}, "odd": {"label": "perhaps"}}  # fmt: skip
    sample = Sample("a", "Q", human=said)
    assert human_value(sample, "faithfulness[deepeval]") == 0
    assert human_value(sample, "faithfulness[ragas]") == 1
    assert human_value(sample, "correctness") == 0.5
    assert human_value(sample, "odd") is human_value(sample, "none") is None
