"""Labels by people: blind, in both orders, saved at once, taken up again."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from llmops_kernel.errors import StoreError, UsageProblem
from llmops_kernel.judge import Sample
from llmops_kernel.judge.labelling import (
    Desk,
    LabelSheet,
    label,
    labelled,
    make_queue,
    paired,
)


def samples(count=60, **more):
    return [
        Sample(f"sys-a/{n}", f"Question {n}?", f"Answer {n}.", ("Passage.",), reference=f"Ref {n}.",
               tags=("system-a",), human={}, extra={"system": "gpt-5"}, **more)
        for n in range(count)
    ]  # fmt: skip


def scores(given):
    return {each.id: (n * 37 % 100) / 100 for n, each in enumerate(given)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labels.jsonl"


def desk(path, queue, rater="ann"):
    return Desk(queue, LabelSheet(path), rater)


def test_a_rater_sees_neither_score_nor_system():
    given = samples()
    queue = make_queue(given, "correctness", n=10, scores=scores(given))
    shown = json.dumps([item.shown() for item in queue.items])
    for secret in ("sys-a", "system", "gpt-5", "0."):
        assert secret not in shown
    assert {*queue.items[0].shown()} == {"key", "question", "answers", "contexts", "reference"}
    assert queue.stratified


def test_a_queue_is_the_same_for_its_seed_and_grows():
    given = samples()
    known = scores(given)
    small = make_queue(given, "m", n=10, scores=known, seed=4)
    assert small == make_queue(given, "m", n=10, scores=known, seed=4)
    large = make_queue(given, "m", n=20, scores=known, seed=4)
    assert {i.sample_id for i in small.items} < {i.sample_id for i in large.items}
    assert len({item.key for item in large.items}) == 20
    other = make_queue(given, "m", n=10, scores=known, seed=5)
    assert {i.sample_id for i in small.items} != {i.sample_id for i in other.items}


def test_the_labelled_are_spread_over_the_scores_and_drawn_like_the_rest():
    given = samples(100)
    known = scores(given)
    drawn = Counter()
    for seed in range(200):
        queue = make_queue(given, "m", n=20, scores=known, seed=seed)
        values = sorted(known[item.sample_id] for item in queue.items)
        fifths = Counter(min(int(5 * value), 4) for value in values)
        assert all(2 <= fifths[number] <= 6 for number in range(5))
        drawn.update(item.sample_id for item in queue.items)
    # 40 times each on average; binomial spread would be 5.7.
    assert min(drawn[each.id] for each in given) > 15
    assert max(drawn.values()) < 70


def test_the_order_of_items_tells_nothing_of_the_scores():
    given = samples(100)
    known = scores(given)
    queue = make_queue(given, "m", n=100, scores=known)
    values = [known[item.sample_id] for item in queue.items]
    rising = sum(a < b for a, b in pairwise(values))
    assert 30 < rising < 70


def test_an_answer_is_on_the_disk_before_the_next_is_shown(path):
    at = desk(path, make_queue(samples(), "m", n=3))
    first = at.current
    second = at.answer("1")
    (line,) = path.read_text().splitlines()
    facts = json.loads(line)
    assert (facts["sample_id"], facts["choice"], facts["score"]) == (first.sample_id, "1", 1.0)
    assert (facts["rater"], facts["did"]) == ("ann", "label")
    assert at.current is second is not first


def test_undo_skip_and_resume(path):
    queue = make_queue(samples(), "m", n=4)
    at = desk(path, queue)
    one = at.current
    at.answer("1")
    two = at.current
    at.answer("s")
    assert (at.labelled, at.skipped) == (1, 1)
    assert at.undo() is two
    assert at.current is two
    at.answer("no")  # the word counts like its key
    again = desk(path, queue)
    assert (again.labelled, again.skipped) == (2, 0)
    assert again.current not in (one, two, None)
    assert again.undo() is two  # also what another session did
    assert again.undo() is one
    assert again.undo() is None
    assert again.current is one
    assert [record.did for record in LabelSheet(path).records()] == [
        "label", "skip", "undo", "label", "undo", "undo",
    ]  # fmt: skip
    assert LabelSheet(path).standing() == []


def test_a_key_pressed_twice_labels_once(path):
    at = desk(path, make_queue(samples(), "m", n=3))
    item = at.current
    at.answer("1", item=item.key)
    at.answer("1", item=item.key)
    assert at.labelled == 1


def test_wrong_keys_and_the_end(path):
    at = desk(path, make_queue(samples(1), "m"))
    with pytest.raises(UsageProblem, match="not one of the choices") as caught:
        at.answer("2")
    assert "1: yes" in caught.value.hint
    assert not path.exists()
    at.answer("0")
    assert at.current is None
    assert at.facts()["item"] is None
    with pytest.raises(UsageProblem, match="Nothing is left"):
        at.answer("1")


def test_a_torn_line_costs_itself_only(path):
    queue = make_queue(samples(), "m", n=5)
    at = desk(path, queue)
    at.answer("1")
    at.answer("1")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])  # the machine went down in the middle of a write
    again = desk(path, queue)
    assert again.labelled == 1
    assert again.sheet.torn == 1
    again.answer("0")
    assert desk(path, queue).labelled == 2
    assert labelled(samples(), path).torn == 1


def test_a_file_that_cannot_be_written_keeps_the_item(tmp_path):
    (tmp_path / "file").write_text("")
    queue = make_queue(samples(), "m", n=2)
    at = Desk(queue, LabelSheet(tmp_path / "missing" / "l.jsonl"), "ann")
    at.sheet.path = tmp_path / "file" / "l.jsonl"
    item = at.current
    with pytest.raises(StoreError, match="cannot be written"):
        at.answer("1")
    assert at.current is item
    assert at.labelled == 0


def test_raters_do_not_see_each_others_labels(path):
    queue = make_queue(samples(), "m", n=3)
    ann, ben = desk(path, queue), desk(path, queue, "ben")
    ann.answer("1")
    assert ben.labelled == 0
    assert desk(path, queue, "ben").labelled == 0
    with pytest.raises(UsageProblem, match="name of who"):
        desk(path, queue, " ")


def test_labels_come_to_their_samples(path):
    given = samples()
    queue = make_queue(given, "faithfulness", n=10)
    said = {item.sample_id: str(n % 2) for n, item in enumerate(queue.items)}
    assert len(label(queue, said, path=path, rater="ann")) == 10
    found = labelled(given, path)
    assert (found.labels, found.raters, found.notes) == (10, ("ann",), ())
    for each in found.samples:
        if each.id in said:
            assert each.human["faithfulness"]["score"] == float(said[each.id])
            assert each.human["faithfulness"]["rater"] == "ann"
        else:
            assert not each.human


def test_a_label_is_of_the_answer_that_was_seen(path):
    given = samples()
    queue = make_queue(given, "m", n=5)
    label(queue, ["1"] * 5, path=path)
    changed = queue.items[0].sample_id
    later = [replace(s, response="Another.") if s.id == changed else s for s in given]
    found = labelled(later, path)
    assert (found.labels, found.stale) == (4, 1)
    assert "not in this set" in found.notes[0]
    assert not next(s for s in found.samples if s.id == changed).human


def test_raters_vote_and_their_agreement_is_told(path):
    given = samples(20)
    queue = make_queue(given, "m", n=20)
    for rater, wrong in (("ann", 0), ("ben", 1), ("cy", 2)):
        desk(path, queue, rater)
        label(queue, ["0" if n < wrong else "1" if n % 2 else "0" for n in range(20)],
              path=path, rater=rater)  # fmt: skip
    found = labelled(given, path)
    assert found.labels == 20
    assert found.raters == ("ann", "ben", "cy")
    assert found.agreement["m"].estimate > 0.9
    assert found.split == 0
    label(queue, ["0"] * 20, path=path, rater="di")  # now two against two on one sample
    assert labelled(given, path).split == 1


def test_pairs_are_seen_in_both_orders(path):
    given = samples(8)
    base = [replace(each, response=f"Old {n}.") for n, each in enumerate(given)]
    both = paired(given, base)
    queue = make_queue(both, "pairwise", n=8, pairs=True)
    assert len(queue) == 16
    seen = Counter((item.sample_id, item.order) for item in queue.items)
    assert set(seen.values()) == {1}
    assert [item.sample_id for item in queue.items[:8]] != [
        item.sample_id for item in queue.items[8:]
    ]
    assert {item.sample_id for item in queue.items[:8]} == {each.id for each in given}
    for item in queue.items:
        own = next(each.response for each in given if each.id == item.sample_id)
        assert item.answers.index(own) == (item.order == "ba")

    def better(item):  # the new answer is better, but this rater likes what stands first once
        if item.sample_id == given[0].id:
            return "1"
        return "1" if item.answers[0].startswith("Answer") else "2"

    label(queue, better, path=path)
    found = labelled(both, path)
    values = {each.id: each.human["pairwise"]["score"] for each in found.samples}
    assert values.pop(given[0].id) == 0.5
    assert set(values.values()) == {1.0}
    assert found.consistency.estimate == pytest.approx(7 / 8)


def test_half_a_pair_does_not_count(path):
    given = samples(4)
    both = paired(given, [replace(each, response="Old.") for each in given])
    queue = make_queue(both, "pairwise", n=4, pairs=True)
    label(queue, ["1"] * 5, path=path)
    found = labelled(both, path)
    assert (found.labels, found.half) == (1, 3)


def test_same_answers_are_no_pair():
    given = samples(3)
    base = [replace(given[0], response="Old."), given[1]]
    assert [each.id for each in paired(given, base)] == [given[0].id]
    with pytest.raises(UsageProblem, match="no pair"):
        paired(given, given)


def test_grades(path):
    queue = make_queue(samples(3), "tone", grades=5)
    assert [choice.key for choice in queue.choices] == ["1", "2", "3", "4", "5"]
    label(queue, ["1", "3", "5"], path=path)
    found = labelled(samples(3), path)
    assert sorted(each.human["tone"]["score"] for each in found.samples) == [0.0, 0.5, 1.0]
    for grades in (1, 10):
        with pytest.raises(UsageProblem, match="2 to 9"):
            make_queue(samples(3), "tone", grades=grades)
    with pytest.raises(UsageProblem, match="not graded"):
        make_queue(paired(samples(1), [Sample("sys-a/0", "q", "b")]), "pairwise", grades=3,
                   pairs=True)  # fmt: skip


def test_bad_input():
    for wrong in ({"n": 0}, {"metric": " "}):
        with pytest.raises(UsageProblem):
            make_queue(samples(3), **{"metric": "m", **wrong})
    with pytest.raises(UsageProblem, match="no answer"):
        make_queue([Sample("1", "q")], "m")
    with pytest.raises(UsageProblem, match="two answers"):
        make_queue(samples(3), "pairwise", pairs=True)
    with pytest.raises(UsageProblem, match="no such file"):
        labelled(samples(3), "nowhere.jsonl")


def test_foreign_lines_are_counted(path):
    path.write_text('{"format": "other"}\nno json\n[]\n{"format": "llmops-label-1"}\n'
                    '{"format": "llmops-label-1", "did": "label", "metric": "m", "sample_id": "1",'
                    ' "digest": "d", "rater": "a", "score": 7}\n')  # fmt: skip
    sheet = LabelSheet(path)
    assert sheet.records() == []
    assert sheet.torn == 5
