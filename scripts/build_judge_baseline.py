"""Builds tests/judge/data: what the bank's assistant answers, and the offline judge's scores.

Usage: python scripts/build_judge_baseline.py [--answers FILE] [-k N] [--budget TOKENS]
                                              [--without DOCUMENT]

With ``--answers`` only the answers of this tree are written, to FILE: a pull request's side of the
gate. Without it, answers and scores become the new baseline; commit them together with the change
that made them better. The other flags change the assistant, to try the gate out.

The questions are those about charges: every wording that the price lists and the memos beside them
answer. All of it is offline and comes out the same each time.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.judge import OfflineJudge, Sample, dump, metrics_of, run
from llmops_kernel.judge.results import save
from llmops_kernel.labs import bank
from llmops_kernel.rag.ingesting import ingest
from llmops_kernel.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA = Path(__file__).parents[1] / "tests" / "judge" / "data"
ANSWERS = DATA / "bank_answers.jsonl"
SCORES = DATA / "bank_scores.json"
METRICS = ("lexical_support", "entity_consistency", "semantic_similarity", "recall@5")
_PREFIX = "shared/fees/"
_KINDS = ("answerable", "indirect", "paraphrase", "near_miss")
_CITED = re.compile(r"\s*\[\d+(?:\s*,\s*\d+)*\]")


def questions() -> list[bank.Question]:
    """Return the questions that the documents about charges answer."""
    return [
        each
        for each in bank.questions(_KINDS)
        if not each.tenant and all(gold.source.startswith(_PREFIX) for gold in each.gold)
    ]


def fill(session: Session, index: str, *, without: str = "") -> None:
    """Bring the documents about charges into an index, but for one.

    Raises:
        UsageProblem: There is no document of that name.
    """
    documents = {
        each.name: str(each) for each in sorted((bank.documents_folder() / _PREFIX).iterdir())
    }
    if without and without not in documents:
        raise UsageProblem(
            f"There is no document {without!r} about charges{nearest(without, documents)}",
            hint=f"Known are {', '.join(documents)}",
        )
    targets = [path for name, path in documents.items() if name != without]
    ingest(session.indexes.open_or_create(index), targets, prefix=_PREFIX)


def answers(session: Session, index: str, **options: Any) -> list[Sample]:
    """Ask everything; ``options`` are those of `Session.rag`.

    Only wordings of one question are a cluster. Questions whose answers stand in one price list
    are asked of different rows of it: the gate speaks of these questions, not of other documents.
    """
    return [_sample(each, session.rag(each.question, index, **options)) for each in questions()]


def _sample(question: bank.Question, answer: Any) -> Sample:
    return Sample(
        id=question.id,
        user_input=question.question,
        response=_CITED.sub("", answer.text),  # the marks are no figures of the answer's
        retrieved_contexts=tuple(each.text for each in answer.sources),
        retrieved_context_ids=tuple(each.document for each in answer.sources),
        reference=question.answer,
        reference_context_ids=tuple(dict.fromkeys(gold.source for gold in question.gold)),
        cluster=question.group,
        tags=(question.kind,),
    )


def score(samples: Sequence[Sample], path: Path) -> None:
    """Write the offline judge's scores, without its verdicts and without times."""
    from dataclasses import replace

    judge = OfflineJudge()
    found = run(samples, metrics_of(METRICS), judge)
    scores = tuple(replace(each, verdicts=(), detail={}) for each in found.scores)
    save(path, replace(found, scores=scores, seconds=0.0), judge=judge.id, samples=len(samples))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--answers", type=Path, metavar="FILE")
    parser.add_argument("-k", type=int, default=5, metavar="N")
    parser.add_argument("--budget", type=int, default=1800, metavar="TOKENS")
    parser.add_argument("--without", default="", metavar="DOCUMENT")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as home:
        os.environ["LLMOPS_HOME"] = home  # no settings, caps or indexes of the machine's own
        session = Session()
        try:
            fill(session, "fees", without=given.without)
            found = answers(session, "fees", k=given.k, budget=given.budget)
        except UsageProblem as problem:
            parser.error(problem.sentence())
        finally:
            session.close()
    dump(found, given.answers or ANSWERS)
    if given.answers is None:
        score(found, SCORES)
    sys.stdout.write(f"{len(found)} answers\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
