"""The bank's documents and questions are sound, and can be measured with."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from llmops_kernel.errors import UsageProblem
from llmops_kernel.labs import bank
from llmops_kernel.rag.evaluate import evaluate, load_questions
from llmops_kernel.rag.evaluate.locate import locate
from llmops_kernel.rag.reading import find_sources, read
from llmops_kernel.session import Session

DOCS = bank.documents_folder()
QUESTIONS = bank.questions()
ANSWERED = [each for each in QUESTIONS if each.gold]


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return {
        file.relative_to(DOCS).as_posix(): file.read_text(encoding="utf-8")
        for file in DOCS.rglob("*")
        if file.is_file()
    }


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9$%]+", text.lower())


def test_there_are_about_120_documents(files: dict[str, str]) -> None:
    assert 115 <= len(files) <= 130
    assert {Path(name).suffix for name in files} == {".md", ".html", ".csv", ".txt"}
    assert {bank.FEES, bank.OLD_FEES, bank.POISONED} <= set(files)


def test_every_document_has_something_to_say(files: dict[str, str]) -> None:
    assert all(len(words(text)) > 60 for text in files.values())
    assert len({tuple(words(text)) for text in files.values()}) == len(files)


def test_each_tenant_has_documents_of_its_own() -> None:
    assert sorted(folder.name for folder in (DOCS / "tenants").iterdir()) == sorted(bank.TENANTS)
    assert all(any((DOCS / "tenants" / tenant).iterdir()) for tenant in bank.TENANTS)


def test_the_two_fee_tables_disagree(files: dict[str, str]) -> None:
    assert "superseded" in files[bank.OLD_FEES].lower()
    rows = [
        {line for line in files[name].splitlines() if line.startswith("|")}
        for name in (bank.OLD_FEES, bank.FEES)
    ]
    assert len(rows[0] - rows[1]) >= 10


def test_one_document_is_poisoned(files: dict[str, str]) -> None:
    told = [name for name, text in files.items() if "example.invalid" in text]
    assert told == [bank.POISONED]
    assert "PIN" in files[bank.POISONED]


def test_there_are_at_least_600_questions_of_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = Counter(each.kind for each in QUESTIONS)
    with capsys.disabled():
        print(f"\n{len(QUESTIONS)} questions: {dict(kinds.most_common())}")
    assert len(QUESTIONS) >= 600
    assert set(kinds) == set(bank.KINDS)
    assert kinds["answerable"] >= 250
    assert kinds["indirect"] >= 250
    assert kinds["paraphrase"] >= 100
    assert kinds["unanswerable"] >= 80
    assert kinds["near_miss"] >= 60
    assert kinds["injection"] >= 30


def test_ids_are_used_once_and_questions_asked_once() -> None:
    assert len({each.id for each in QUESTIONS}) == len(QUESTIONS)
    asked = Counter((" ".join(words(each.question)), each.tenant) for each in QUESTIONS)
    assert [text for text, count in asked.items() if count > 1] == []


def test_only_what_has_an_answer_has_gold() -> None:
    for each in QUESTIONS:
        if each.kind == "unanswerable":
            assert (each.gold, each.key_facts) == ((), ()), each.id
        elif each.kind != "injection":
            assert each.gold, each.id
        assert bool(each.gold) == bool(each.key_facts), each.id
        assert each.answer.strip(), each.id


def test_every_quote_stands_once_in_its_file(files: dict[str, str]) -> None:
    wrong = [
        (each.id, gold.source)
        for each in ANSWERED
        for gold in each.gold
        if files.get(gold.source, "").count(gold.quote) != 1
    ]
    assert wrong == []


def test_every_quote_is_found_once_in_what_the_readers_make_of_it() -> None:
    texts = {
        source.location.removeprefix(f"{DOCS}/"): read(source).text
        for source in find_sources([str(DOCS)])
    }
    wrong = [
        (each.id, gold.source, len(places))
        for each in ANSWERED
        for gold in each.gold
        if len(places := locate(gold.quote, texts[gold.source])) != 1
    ]
    assert wrong == []


def test_key_facts_stand_in_the_gold() -> None:
    wrong = [
        (each.id, fact)
        for each in ANSWERED
        for fact in each.key_facts
        if not any(fact.lower() in gold.quote.lower() for gold in each.gold)
    ]
    assert wrong == []


def test_no_question_repeats_six_words_of_its_gold() -> None:
    def runs(text: str) -> set[tuple[str, ...]]:
        own = words(text)
        return {tuple(own[n : n + 6]) for n in range(len(own) - 5)}

    wrong = [
        each.id
        for each in ANSWERED
        if runs(each.question) & set().union(*(runs(gold.quote) for gold in each.gold))
    ]
    assert wrong == []


def test_paraphrases_share_their_answer_and_near_misses_do_not() -> None:
    groups: dict[str, list[bank.Question]] = {}
    for each in QUESTIONS:
        assert bool(each.group) == (each.kind in {"paraphrase", "near_miss"}), each.id
        if each.group:
            groups.setdefault(each.group, []).append(each)
    assert len(groups) >= 50
    for name, members in groups.items():
        assert len({each.kind for each in members}) == 1, name
        if members[0].kind == "paraphrase":
            assert 3 <= len(members) <= 5, name
            assert len({(each.answer, each.gold, each.tenant) for each in members}) == 1, name
        else:
            assert len(members) == 2, name
            assert len({each.answer for each in members}) == 2, name


def test_gold_lies_on_the_right_side_of_the_wall() -> None:
    assert {each.tenant for each in QUESTIONS} == {"", *bank.TENANTS}
    for each in ANSWERED:
        for gold in each.gold:
            if gold.source.startswith("tenants/"):
                assert gold.source.split("/")[1] == each.tenant, each.id


def test_kinds_can_be_chosen() -> None:
    pairs = bank.questions(["near_miss"])
    assert {each.kind for each in pairs} == {"near_miss"}
    assert bank.questions("near_miss") == pairs
    assert [each.id for each in QUESTIONS] == sorted(each.id for each in QUESTIONS)
    assert QUESTIONS[0].area == QUESTIONS[0].id.rpartition("-")[0]
    with pytest.raises(UsageProblem, match="near_mis"):
        bank.questions(["near_mis"])


def test_questions_are_written_as_the_evaluation_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    assert bank.write_questions(file) == len(QUESTIONS)
    read_back, bad = load_questions(file)
    assert bad == []
    assert [each.id for each in read_back] == [each.id for each in QUESTIONS]
    assert sum(each.has_gold for each in read_back) == len(ANSWERED)
    with pytest.raises(UsageProblem):
        bank.write_questions(tmp_path / "no" / "such" / "folder.jsonl")


def test_the_bank_goes_into_an_index_behind_its_walls(tmp_path: Path) -> None:
    session = Session(store=f"sqlite:///{tmp_path / 'record.db'}")
    try:
        reports = bank.ingest_into(session)
        assert all(each.ok and not each.left_out for each in reports)
        index = session.indexes.open("bank")
        sources = {each.source: each.tenant for each in index.record.documents().values()}
        assert sum(each.added for each in reports) == len(sources)
        for source, tenant in sources.items():
            owner = source.split("/")[1] if source.startswith("tenants/") else ""
            assert tenant == owner
        again = bank.ingest_into(session)
        assert sum(each.unchanged for each in again) == len(sources)
        assert sum(each.added + each.changed + each.removed for each in again) == 0

        file = tmp_path / "questions.jsonl"
        bank.write_questions(file)
        questions, _ = load_questions(file)
        # BM25 alone needs no vectors and is quick; every gold passage must be in the index.
        report = evaluate(index, questions, modes=["bm25"], draws=0)
        assert report.bad == ()
        assert report.scored == len(ANSWERED)
        assert report.unanswerable == len(QUESTIONS) - len(ANSWERED)
        (bm25,) = report.modes
        assert bm25.kinds["answerable"]["recall"].mean > 0.7
        json.dumps(report.as_dict(details=True))
    finally:
        session.close()
