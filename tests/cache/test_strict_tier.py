"""The strict tier: gates first, then a verifier; what the verifier does wrong serves nothing."""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_kernel.cache.semantic.evaluate import Pair, evaluate
from llmops_kernel.cache.semantic.strict import (
    PairVerifier,
    StrictTier,
    TreeVerifier,
    strict_tiers,
)
from llmops_kernel.cache.semantic.strict_features import NAMES, features
from llmops_kernel.cache.semantic.strict_gates import full_veto, hard_veto
from llmops_kernel.cache.semantic.strict_trees import FILE, Trees, builtin_trees
from llmops_kernel.cache.semantic.tiers import Tier, default_tiers
from llmops_kernel.cache.semantic.verbatim import signature
from llmops_kernel.errors import LLMOpsError

SCRIPTS = Path(__file__).parents[2] / "scripts"
QUESTIONS = (
    "How do I block my card?",
    "how can i block my crad pls",
    "How do I unblock my card?",
    "What does it cost to send 20 euros to Spain?",
    "What does it cost to send 20 euros from Spain?",
    "What does it cost to send 200 euros to Spain?",
    "Sending 20 euros to Spain: what does it cost?",
    "Which documents do I need to open an account?",
    "What documents are needed to open an account?",
    "Is the interest not paid monthly?",
    "Is the interest paid monthly?",
    "Is the interest paid monthly again?",
)


def near(_: str) -> Any:
    """An embedder that finds every text near every other."""
    return np.array([1.0, 0.0], np.float32)


class Overlap:
    """A verifier as a person plugs one in: the share of words that two texts have in common."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def probability(self, cached: str, query: str) -> float:
        self.asked.append((cached, query))
        ours, theirs = set(cached.lower().split()), set(query.lower().split())
        return len(ours & theirs) / len(ours | theirs)


def _decide(tier: StrictTier, cached: str, query: str) -> tuple[bool, str]:
    found = tier.decide(tier.entry(cached), query)
    return found.same, found.reason


def test_it_is_a_tier_and_off_by_default() -> None:
    tier = StrictTier(Overlap(), embed=near)
    assert isinstance(tier, Tier)
    assert isinstance(Overlap(), PairVerifier)
    assert [each.name for each in default_tiers()] == ["exact", "near_verbatim"]
    names = [each.name for each in strict_tiers(Overlap(), embed=near)]
    assert names == ["exact", "near_verbatim", "strict"]


def test_a_plugged_verifier_decides_the_grey_zone() -> None:
    verifier = Overlap()
    tier = StrictTier(verifier, embed=near, least_probability=0.5, same_signature=False)
    first = "Which documents do I need to open an account?"
    assert _decide(tier, first, "documents I need to open an account?") == (
        True, "the verifier is sure",
    )  # fmt: skip
    assert _decide(tier, first, "Who opened it?") == (False, "the verifier is not sure")
    assert len(verifier.asked) == 2
    # The bound itself is enough.
    assert _decide(tier, "open account", "open account quickly online")[0] is True


@pytest.mark.parametrize(
    ("cached", "query", "reason"),
    [
        ("Can I send 100 euros?", "Can I really send 200 euros?", "numbers differ"),
        ("Is it paid monthly?", "Is it really not paid monthly?", "negation differs"),
        ("Does Visa card work?", "Does the Maestro card work?", "codes or names differ"),
        ("What is my balance?", "What is my balance again?", "it is personal"),
        ("What is the news today?", "What is the news today then?", "it depends on the time"),
        ("print(1); x = y + 1", "print(1); x = y + 2",
         "not plain English: only the same letters would do"),
    ],
)  # fmt: skip
def test_no_verifier_overrules_a_gate(cached: str, query: str, reason: str) -> None:
    verifier = Overlap()
    tier = StrictTier(verifier, embed=near, least_probability=0.0, same_signature=False)
    assert _decide(tier, cached, query) == (False, reason)
    assert not verifier.asked


def test_the_built_in_gates_compare_every_deciding_word() -> None:
    tier = StrictTier(Overlap(), embed=near, least_probability=0.0)
    assert _decide(tier, "What is the fee here?", "When is the fee due?")[0] is False
    assert _decide(tier, "Can I send money?", "Should I send money?") == (
        False, "modal or auxiliary verbs differ",
    )  # fmt: skip
    assert _decide(tier, "a transfer to Kim", "a transfer from Kim")[0] is False
    assert _decide(tier, "Can I send money?", "Can I send cash?")[0] is True


def test_texts_that_are_not_near_are_not_asked_about() -> None:
    verifier = Overlap()
    vectors = {"Can I send money?": [1.0, 0.0], "Can I send cash?": [0.7, math.sqrt(0.51)]}
    tier = StrictTier(verifier, embed=lambda text: np.array(vectors[text]), least_probability=0)
    assert _decide(tier, *vectors) == (False, "the texts are not near")
    assert not verifier.asked


@pytest.mark.parametrize("given_back", [float("nan"), -0.1, 1.1, float("inf")])
def test_what_is_no_probability_serves_nothing(given_back: float) -> None:
    class Odd:
        def probability(self, cached: str, query: str) -> float:
            return given_back

    tier = StrictTier(Odd(), embed=near, least_probability=0.0)
    assert _decide(tier, "Can I send money?", "Can I send cash?") == (
        False, "the verifier gave no probability",
    )  # fmt: skip


def test_a_failing_verifier_serves_nothing_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        def probability(self, cached: str, query: str) -> float:
            raise RuntimeError("its model is gone")

    tier = StrictTier(Broken(), embed=near)
    assert _decide(tier, "Can I send money?", "Can I send cash?") == (False, "the verifier failed")
    assert "its model is gone" in caplog.text


@pytest.mark.parametrize("bounds", [{"least_probability": 1.1}, {"least_cosine": -0.1}])
def test_bounds_are_shares(bounds: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        StrictTier(Overlap(), embed=near, **bounds)


def test_the_entry_must_be_its_own() -> None:
    with pytest.raises(TypeError):
        StrictTier(Overlap(), embed=near).decide("a text", "a text")


def test_the_built_in_tier_is_symmetric_and_refuses_what_differs() -> None:
    pairs = [Pair(a, b, False) for a, b in itertools.permutations(QUESTIONS, 2)]
    found = evaluate(pairs, strict_tiers())
    assert not found.one_way
    strict = found.tiers[-1]
    assert strict.name == "strict"
    assert strict.decisions > 0
    different = {frozenset(QUESTIONS[at : at + 2]) for at in (1, 3, 4, 9)}
    served = {frozenset((one.pair.a, one.pair.b)) for one in found.wrong}
    assert not served & different


def test_the_built_in_verifier_tells_the_clear_cases_apart() -> None:
    verifier = TreeVerifier()
    asked = "How do I cancel order 40177?"
    same = verifier.probability(asked, "What do I do to cancel order 40177?")
    other = verifier.probability(asked, "How do I cancel order 58203?")
    assert 0 <= other < 0.2 < same <= 1


@given(st.sampled_from(QUESTIONS), st.sampled_from(QUESTIONS), st.floats(-1, 1))
@settings(max_examples=60, deadline=None)
def test_features_do_not_depend_on_the_order(a: str, b: str, cosine: float) -> None:
    one, other = signature(a), signature(b)
    found = features(one, other, cosine)
    assert found == features(other, one, cosine)
    assert len(found) == len(NAMES)
    assert all(math.isfinite(value) for value in found)
    assert (full_veto(one, other), hard_veto(one, other)) == (
        full_veto(other, one), hard_veto(other, one),
    )  # fmt: skip


def test_the_file_is_small_and_holds_numbers_only() -> None:
    assert FILE.stat().st_size < 100_000
    with np.load(FILE, allow_pickle=False) as kept:
        assert all(kept[name].dtype.kind in "if" for name in kept.files)


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    trees = builtin_trees()
    for name in ("a.npz", "b.npz"):
        trees.save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    row = [0.9] * len(NAMES)
    assert Trees.load(tmp_path / "a.npz").probability(row) == trees.probability(row)


def test_a_file_that_is_no_trees_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "strict.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(LLMOpsError, match="cannot be read"):
        Trees.load(path)
    np.savez(path, roots=np.array([{"a": 1}], dtype=object))  # a pickle
    with pytest.raises(LLMOpsError, match="cannot be read"):
        Trees.load(path)
    with pytest.raises(LLMOpsError, match="cannot be read"):
        Trees.load(tmp_path / "missing.npz")


def test_trees_that_lead_back_are_refused() -> None:
    whole = {
        "roots": np.array([0]), "feature": np.array([0, -1, -1]),
        "number": np.array([0.5, -1.0, 2.0]), "left": np.array([1, 0, 0]),
        "right": np.array([2, 0, 0]),
    }  # fmt: skip
    row = [0.0] * len(NAMES)
    low, high = Trees(**whole, base=0.1), [0.6, *row[1:]]
    assert low.probability(row) == pytest.approx(1 / (1 + math.exp(0.9)))
    assert low.probability(high) == pytest.approx(1 / (1 + math.exp(-2.1)))
    for name, value in (
        ("left", [0, 0, 0]), ("right", [3, 0, 0]), ("feature", [len(NAMES), -1, -1]),
        ("roots", [3]), ("number", [math.nan, 0, 0]), ("left", [1, 0]),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="no trees"):
            Trees(**{**whole, name: np.array(value)}, base=0.1)


def test_the_walk_equals_scikit_learn() -> None:
    pytest.importorskip("sklearn", reason="it grows the trees, and is not needed to walk them")
    sys.path.insert(0, str(SCRIPTS))
    try:
        import build_verifier as build
    finally:
        sys.path.remove(str(SCRIPTS))
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(400, len(NAMES))).round(2)
    labels = (rows[:, 0] + rows[:, 1] * rows[:, 2] > 0).astype(int)
    model = build.fitted(rows, labels, np.ones(len(rows)), trees=15)
    trees = build.exported(model)
    theirs = model.predict_proba(rows)[:, 1]
    ours = np.array([trees.probability(row) for row in rows.tolist()])
    assert np.abs(theirs - ours).max() < 1e-12
    assert ours.min() < 0.4 < 0.6 < ours.max()
