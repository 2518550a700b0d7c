"""`llmops cache evaluate`: labelled pairs in, figures out."""

import json
from argparse import ArgumentParser

import pytest

from llmops_kernel.cache.semantic.evaluate import Pair, evaluate, read_pairs
from llmops_kernel.cache.semantic.tiers import ExactTier, Tier, default_tiers
from llmops_kernel.cache.semantic.verbatim import Decision
from llmops_kernel.cli import cache_evaluate
from llmops_kernel.errors import UsageProblem

CSV = """\ufeffa,b,label,note
How do I pay?,How do I pay?,1,exact
How do I pay a bill?,"hi, how can i pay a bill",1,near
How do I pay a bill?,How do I settle an invoice?,1,reworded
How do I pay 5 bills?,How do I pay 6 bills?,0,number
What is my balance?,what is my balance,1,personal
Where is the bank?,where is the bank,0,labelled otherwise
only one field
,b,1,x
a,b,maybe,x
"""


@pytest.fixture
def pairs_csv(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(CSV, encoding="utf-8")
    return path


def run(*argv: str) -> int:
    parser = ArgumentParser()
    cache_evaluate.add(parser)
    arguments = parser.parse_args(argv)
    return arguments.call(arguments)


def test_figures_by_tier_and_bad_rows(pairs_csv, capsys) -> None:
    assert run(str(pairs_csv), "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["pairs"], facts["positives"], facts["hits"], facts["errors"]) == (6, 4, 3, 1)
    assert facts["errors_per_hit"]["value"] == pytest.approx(1 / 3)
    assert facts["errors_per_hit"]["low"] < 1 / 3 < facts["errors_per_hit"]["high"]
    assert facts["recall"] == 0.5
    assert facts["cpu_us_per_decision"] > 0
    assert [(tier["tier"], tier["hits"], tier["errors"]) for tier in facts["tiers"]] == [
        ("exact", 1, 0), ("near_verbatim", 2, 1),
    ]  # fmt: skip
    assert facts["wrong"] == [{"line": 7, "tier": "near_verbatim", "reason": "the same words"}]
    assert facts["missed"] == {"it is personal": 1, "words differ": 1}
    assert facts["one_way"] == []
    assert facts["verdict"] == "broken"
    assert facts["bad_rows"] == {
        "count": 3,
        "rows": [
            {"line": 8, "why": "it has not as many fields as the header"},
            {"line": 9, "why": "a text is empty"},
            {"line": 10, "why": "its label is neither 0 nor 1"},
        ],
    }


def test_the_table_names_what_went_wrong(pairs_csv, capsys) -> None:
    assert run(str(pairs_csv), "--target", "0.02") == 0
    shown = capsys.readouterr().out
    for part in (
        "near_verbatim",
        "33.33%",
        "Wrong: line 7",
        "Missed: 1 x it is personal",
        "Left out: 3 rows",
    ):
        assert part in shown


@pytest.mark.parametrize(
    "content", [b"a,b\nx,y\n", b"", b"\xff\xfe\x00", b"question,answer,label\n"]
)
def test_files_that_are_none(tmp_path, content) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes(content)
    with pytest.raises(UsageProblem):
        read_pairs(path)


def test_a_missing_file_and_a_bad_target(tmp_path, pairs_csv) -> None:
    with pytest.raises(UsageProblem):
        read_pairs(tmp_path / "none.csv")
    with pytest.raises(UsageProblem):
        run(str(pairs_csv), "--target", "2")


def test_lines_inside_quotes_are_kept(tmp_path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text('label,b,a\n0,"one\ntwo",x\n1,y,z\n', encoding="utf-8")
    pairs, bad = read_pairs(path)
    assert bad == []
    assert [(pair.a, pair.b, pair.line) for pair in pairs] == [("x", "one\ntwo", 2), ("z", "y", 4)]


def test_no_pairs_say_so() -> None:
    facts = evaluate([]).as_dict()
    assert facts["recall"] is None
    assert facts["errors_per_hit"] == {"value": None, "low": 0.0, "high": 1.0}
    assert facts["verdict"] == "not enough evidence"


def test_a_slip_does_not_hide_what_is_personal() -> None:
    found = evaluate([Pair("What is my salary in euros?", "what is my salry in euros", True)])
    assert found.missed == {"it is personal": 1}
    assert found.one_way == []


class Longer:
    """Serves what is longer than the entry: depends on which text comes first."""

    name = "longer"

    def entry(self, text: str) -> int:
        return len(text)

    def decide(self, entry: object, query: str) -> Decision:
        assert isinstance(entry, int)
        return Decision(len(query) > entry, "the query is longer")


def test_tiers_are_an_argument() -> None:
    tiers: list[Tier] = [ExactTier(), Longer()]
    found = evaluate([Pair("a b", "a b c", True, 2), Pair("a", "a", True, 3)], tiers)
    assert [tier.evidence.hits for tier in found.tiers] == [1, 1]
    assert [pair.line for pair in found.one_way] == [2]
    assert [tier.name for tier in default_tiers()] == ["exact", "near_verbatim"]
