"""Evaluating real searches of a real index."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmops_kernel.cli import rag_evaluate
from llmops_kernel.cli._parser import Parser
from llmops_kernel.embed import builtin
from llmops_kernel.errors import UsageProblem
from llmops_kernel.rag.evaluate import EvalQuestion, GoldSpan, evaluate
from llmops_kernel.rag.index import Index
from llmops_kernel.rag.ingesting import ingest
from llmops_kernel.rag.library import Library
from llmops_kernel.rag.retrieve import Retriever
from llmops_kernel.session import Session
from llmops_kernel.store import open_store

DOCUMENTS = {
    "cards.md": "# Lost cards\n\nFreeze the card in the app at once. Freezing can be undone.\n",
    "savings.md": "# Savings\n\nThe Notice Pot pays 3.0 % and needs 35 days of notice.\n",
    "abroad.md": "# Transfers abroad\n\nSending money to another country costs $4.00 on Basic.\n",
    "hours.md": "# Opening hours\n\nThe phone line is open from seven in the morning.\n",
    "loans.md": "# Loans\n\nA personal loan runs for 12 to 60 months.\n",
    "cheques.md": "# Cheques\n\nPaper cheques are neither issued nor taken.\n",
    "statements.md": "# Statements\n\nA paper statement by post is charged with three dollars.\n",
    "teens.md": "# Teenagers\n\nParents open an account for children above the age of eleven.\n",
    "metal.md": "# Metal card\n\nThe heavy one is made of steel and ordered once.\n",
    "wallets.md": "# Phone wallets\n\nAdd plastic to the watch and tap to pay in a shop.\n",
    "fraud.md": "# Fraud\n\nReport a payment that you did not make within sixty days.\n",
    "complaints.md": "# Complaints\n\nYou get an answer within fifteen working days.\n",
    "prizes.md": "# Prizes\n\nThere is none in spring. In summer also: there is none in spring.\n",
}
ASKED = {
    "cards.md": ("How do I freeze a lost card?", "Freezing can be undone."),
    "savings.md": ("What does the Notice Pot pay?", "The Notice Pot pays 3.0 %"),
    "abroad.md": ("fee for sending money abroad", "another country costs $4.00"),
    "hours.md": ("When is the phone line open?", "open from seven in the morning"),
    "loans.md": ("For how many months is a personal loan?", "12 to 60 months"),
    "cheques.md": ("Do you take paper cheques?", "neither issued nor taken"),
    "statements.md": ("price of a paper statement by post", "charged with three dollars"),
    "teens.md": ("account for my children", "children above the age of eleven"),
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    home = tmp_path_factory.mktemp("evaluate")
    docs = home / "docs"
    docs.mkdir()
    for name, text in DOCUMENTS.items():
        (docs / name).write_text(text)
    private = home / "private"
    private.mkdir()
    (private / "terms.md").write_text("# Terms\n\nHarbor pays $2 a month for each account.\n")
    store = open_store(f"sqlite:///{home / 'record.db'}")
    library = Library(
        store, home=home / "rag", embedder_of=lambda _: builtin(), embedder="builtin",
        vectors="chroma",
    )  # fmt: skip
    made = library.create("docs")
    ingest(made, [str(docs)])
    ingest(made, [str(private)], tenant="harbor")
    yield made
    library.close()
    store.close()


def spans() -> list[EvalQuestion]:
    return [
        EvalQuestion(name, question, gold_spans=(GoldSpan(name, quote=quote),), kind=name[:1])
        for name, (question, quote) in ASKED.items()
    ]


def test_plain_questions_find_their_passages(index: Index) -> None:
    report = evaluate(index, spans(), draws=200)
    assert report.ok
    assert report.scored == len(ASKED)
    assert [each.mode for each in report.modes] == ["dense", "bm25", "hybrid"]
    hybrid = report.mode("hybrid")
    assert hybrid.metrics["recall"].mean == 1.0
    assert hybrid.metrics["ndcg"].mean > 0.9
    assert hybrid.metrics["token_recall"].mean == 1.0
    assert 0 < hybrid.metrics["token_iou"].mean < 0.5  # five chunks for one sentence
    assert hybrid.metrics["passages"].mean == 5
    assert sum(values["recall"].questions for values in hybrid.kinds.values()) == len(ASKED)
    assert {(each.than, each.metric) for each in report.differences} == {
        (part, metric) for part in ("dense", "bm25") for metric in ("ndcg", "recall")
    }
    assert json.loads(json.dumps(report.as_dict(details=True)))["modes"][2]["questions"]


def test_the_labels_do_not_reach_the_search(index: Index) -> None:
    """A search that returned the gold for whatever it is asked would score full here."""
    names = list(ASKED)
    moved = [
        EvalQuestion(name, ASKED[other][0], gold_spans=(GoldSpan(name, quote=ASKED[name][1]),))
        for name, other in zip(names, names[3:] + names[:3], strict=True)
    ]
    for mode in evaluate(index, moved, k=1, draws=0).modes:
        assert mode.metrics["recall"].mean == 0.0
        assert mode.metrics["mrr"].mean < 0.5


def test_a_search_that_returns_everything_is_seen(index: Index) -> None:
    """Recall alone is bought with tokens; IoU and context tokens tell."""
    few = evaluate(index, spans(), k=1, modes=["hybrid"], draws=0).modes[0].metrics
    every = evaluate(index, spans(), k=50, modes=["hybrid"], draws=0).modes[0].metrics
    assert every["recall"].mean == 1.0
    assert every["passages"].mean == len(DOCUMENTS)
    assert every["token_iou"].mean < 0.3 * few["token_iou"].mean
    assert every["context_tokens"].mean > 5 * few["context_tokens"].mean
    assert every["ndcg"].mean == few["ndcg"].mean


def test_a_wrong_retriever_scores_badly(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Retriever.search

    def upside_down(self, question, options=None, **others):  # type: ignore[no-untyped-def]
        from dataclasses import replace

        return right(self, question, replace(options, k=50), **others)[::-1][: options.k]

    monkeypatch.setattr(Retriever, "search", upside_down)
    # BM25 returns what shares a word and no more; dense orders everything.
    report = evaluate(index, spans(), k=3, modes=["dense"], draws=0)
    assert report.modes[0].metrics["recall"].mean == 0.0


def test_gold_may_be_named_in_every_way(index: Index) -> None:
    record = index.record
    (entry,) = [each for each in record.documents().values() if each.source == "savings.md"]
    (chunk,) = record.chunks_of(entry.doc_id)
    asked = ASKED["savings.md"][0]
    at = chunk.text.index("pays")
    named = [
        EvalQuestion("source", asked, ("savings.md",)),
        EvalQuestion("document", asked, (entry.doc_id,)),
        EvalQuestion("chunk", asked, (chunk.chunk_id,)),
        EvalQuestion("span", asked, gold_spans=(GoldSpan("savings.md", at, at + 10),)),
        EvalQuestion("by id", asked, gold_spans=(GoldSpan(entry.doc_id, quote="35 days"),)),
        EvalQuestion("both", asked, ("savings.md", "savings.md"), (GoldSpan("savings.md", 0, 9),)),
    ]
    report = evaluate(index, named, modes=["hybrid"], draws=0)
    assert report.ok
    for each in report.modes[0].questions:
        assert each.recall == 1.0
        assert (each.token_recall is None) == (each.id in {"source", "document", "both"})


def test_gold_that_is_not_there_is_a_bad_row(index: Index) -> None:
    wrong = {
        "typo": EvalQuestion("typo", "a?", ("saving.md",), line=1),
        "quote": EvalQuestion("quote", "a?", (), (GoldSpan("savings.md", quote="9 %"),), line=2),
        "twice": EvalQuestion(
            "twice", "a?", (), (GoldSpan("prizes.md", quote="is none in"),), line=3
        ),
        "beyond": EvalQuestion("beyond", "a?", (), (GoldSpan("loans.md", 0, 9_999),), line=4),
        "wall": EvalQuestion("wall", "a?", ("terms.md",), line=5),
    }
    asked = [*wrong.values(), EvalQuestion("nothing", "b?", line=6), *spans()]
    report = evaluate(index, asked, modes=["bm25"], draws=0)
    told = {row.id: row for row in report.bad}
    assert not report.ok
    assert [row.line for row in report.bad] == [1, 2, 3, 4, 5]
    assert "savings.md" in told["typo"].detail  # the nearest name
    assert "not in the document" in told["quote"].reason
    assert "more than once" in told["twice"].reason
    assert "tenant's" in told["wall"].reason
    assert report.unanswerable == 1
    assert report.scored == len(ASKED)


def test_a_tenant_finds_their_own(index: Index) -> None:
    own = EvalQuestion("own", "What does Harbor pay a month?", ("terms.md",), tenant="harbor")
    default = EvalQuestion("default", "What does Harbor pay a month?", ("terms.md",))
    report = evaluate(index, [own, default], tenant="harbor", modes=["hybrid"], draws=0)
    assert report.modes[0].metrics["recall"].mean == 1.0
    refused = evaluate(index, [own, default], modes=["hybrid"], draws=0)
    assert [row.id for row in refused.bad] == ["default"]


def test_a_budget_counts_only_what_fits(index: Index) -> None:
    free = evaluate(index, spans(), modes=["hybrid"], draws=0).modes[0].metrics
    tight = evaluate(index, spans(), modes=["hybrid"], budget=110, draws=0).modes[0].metrics
    assert tight["passages"].mean < free["passages"].mean
    assert tight["context_tokens"].mean <= 110
    assert tight["token_iou"].mean > free["token_iou"].mean


def test_what_cannot_be_evaluated_is_refused(index: Index) -> None:
    with pytest.raises(UsageProblem, match="hybrid"):
        evaluate(index, spans(), modes=["hybird"])
    with pytest.raises(UsageProblem):
        evaluate(index, spans(), k=0)
    with pytest.raises(UsageProblem):
        evaluate(index, spans(), budget=0)
    with pytest.raises(UsageProblem, match="no question that can be scored"):
        evaluate(index, [EvalQuestion("x", "a?", ("nothing.md",))])


def command(*argv: str) -> argparse.Namespace:
    parser = Parser(prog="llmops rag evaluate")
    rag_evaluate.add(parser)
    return parser.parse(argv)


def test_the_shell_prints_scores_and_tells_of_bad_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in list(DOCUMENTS)[:6]:
        (docs / name).write_text(DOCUMENTS[name])
    session = Session()
    ingest(session.indexes.create("docs"), [str(docs)])
    session.close()
    rows = [
        {"id": name, "question": ASKED[name][0],
         "gold_spans": [{"source": name, "quote": ASKED[name][1]}]}
        for name in list(ASKED)[:6]
    ]  # fmt: skip
    file = tmp_path / "q.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    arguments = command("docs", str(file), "-k", "3", "--json")
    assert arguments.call(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scored"] == 6
    assert {each["mode"]: each["metrics"]["recall"]["mean"] for each in told["modes"]} == {
        "dense": 1.0, "bm25": 1.0, "hybrid": 1.0,
    }  # fmt: skip

    file.write_text(file.read_text() + '\n{"question": "a"}\nnonsense\n')
    arguments = command("docs", str(file), "--mode", "bm25", "--budget", "500")
    assert arguments.call(arguments) == 1
    out, err = capsys.readouterr()
    assert "nDCG@10" in out
    assert "bm25" in out
    assert "dense" not in out
    assert "line 7" in err
    assert "line 8: not JSON" in err
    assert "2 rows could not be scored" in err
