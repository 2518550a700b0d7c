"""A partition in memory: the shortcut to where a query stands takes nothing away from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from llmops_kernel.cache.semantic import partition as partition_module
from llmops_kernel.cache.semantic.gates import Gate
from llmops_kernel.cache.semantic.margin import standing
from llmops_kernel.cache.semantic.nearest import FROM
from llmops_kernel.cache.semantic.partition import Partition
from llmops_kernel.cache.semantic.verbatim import signature

DIM = 96
GATE = Gate.of(signature("How do I block my card?"))


def _texts(seed: int, count: int, groups: int, spread: float) -> tuple[NDArray, NDArray]:
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((groups, DIM))
    numbers = rng.integers(groups, size=count)
    vectors = middles[numbers] + spread * rng.standard_normal((count, DIM))
    return _unit(vectors), numbers


def _unit(vectors: NDArray) -> NDArray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def _filled(vectors: NDArray, numbers: NDArray) -> Partition:
    made = Partition(DIM)
    for place, (vector, number) in enumerate(zip(vectors, numbers, strict=True)):
        made.add(f"k{place}", vector, group=f"g{number}", answer=f"a{number}", gate=GATE)
    return made


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(50, 400), st.integers(1, 30), st.sampled_from([0.05, 0.5, 2])
)
def test_the_shortcut_finds_what_comparing_everything_does(
    seed: int, count: int, groups: int, spread: float
) -> None:
    vectors, numbers = _texts(seed, count, groups, spread)
    rng = np.random.default_rng(seed + 1)
    queries = _unit(vectors[:10] + spread * rng.standard_normal((min(count, 10), DIM)) / 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition_module, "FROM", 1)
        made = _filled(vectors, numbers)
        for query in [*queries, *_unit(rng.standard_normal((5, DIM)))]:
            found = made.standing(query)
            names = [made._groups[place] for place in range(count)]
            whole = standing(vectors @ query, np.array(names))
            assert (found.entry, found.group) == (whole.entry, whole.group)
            assert found.wordings == whole.wordings
            assert found.best == pytest.approx(whole.best, abs=1e-5)
            assert found.lead == pytest.approx(whole.lead, abs=1e-5)
            assert found.vote == pytest.approx(whole.vote, abs=1e-4)


def test_it_keeps_up_with_what_is_added_removed_and_merged() -> None:
    vectors, numbers = _texts(5, FROM + 300, 40, 0.4)
    made = _filled(vectors[:FROM], numbers[:FROM])
    query = vectors[FROM + 5]
    assert made.keys[made.standing(query).entry] != f"k{FROM + 5}"
    for place in range(FROM, FROM + 300):
        made.add(f"k{place}", vectors[place], group=f"g{numbers[place]}", answer="a", gate=GATE)
    assert made.keys[made.standing(query).entry] == f"k{FROM + 5}"
    made.add("k0", query, group="new", answer="new", gate=GATE)  # in place of an older one
    made.remove(f"k{FROM + 5}")
    made.remove("not there")
    found = made.standing(query)
    assert made.keys[found.entry] == "k0"
    assert (made.group_name(found.group), found.wordings) == ("new", 1)
    assert (len(made), f"k{FROM + 5}" in made) == (FROM + 299, False)
    old = f"g{numbers[FROM + 5]}"
    before = made._sizes[made._numbers[old]]
    made.merge(old, "new")
    merged = made.standing(query)
    assert made.group_name(merged.group) == old
    assert merged.wordings == before + 1
    assert made.group_of("new") == old
    assert sum(made._sizes) == len(made)
    made.merge(old, "nobody")
    made.merge(old, old)


def test_vectors_of_another_shape_are_refused() -> None:
    made = Partition(DIM)
    for bad in (np.zeros(DIM - 1, np.float32), np.full(DIM, np.nan, np.float32)):
        with pytest.raises(ValueError):
            made.add("k", bad, group="g", answer="a", gate=GATE)
    assert made.standing(np.zeros(DIM, np.float32)).entry == -1


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("Can I send 5 to 6?", "Can I send 6 to 5?", "numbers differ"),
        ("Do you charge a fee?", "Do you not charge a fee?", "negation differs"),
        ("What does it cost in euros?", "What does it cost in dollars?", "currencies differ"),
        ("How do I send money to Spain?", "How do I send money to Italy?", "places differ"),
        ("Is the branch open on Monday?", "Is the branch open on Sunday?", "times differ"),
        ("Does it work with Apple Pay?", "Does it work with Google Pay?", "names or codes differ"),
        ("Can I cancel order A-100?", "Can I cancel order B-100?", "names or codes differ"),
        ("How do I block my card?", "Please help me freeze a card", ""),
    ],
)
def test_gates_veto_and_survive_being_written(one: str, other: str, reason: str) -> None:
    a, b = Gate.of(signature(one)), Gate.of(signature(other))
    assert a.veto(b) == b.veto(a) == reason
    assert Gate.read(a.text) == a
    assert a.veto(a) == ""


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1,2,3]", "null", "[1,2,3,4,5]"])
def test_what_is_no_gate_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Gate.read(text)
