"""What a rater sees, and what a rater may say."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.labelling.pairs import OTHER

if TYPE_CHECKING:
    from llmops_kernel.judge.samples import Sample

# Which answer of a pair stands first: "ab" the sample's own, "ba" the other one; "" for no pair.
Order = Literal["", "ab", "ba"]
MOST_GRADES = 9  # one key each


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing a rater may say.

    Attributes:
        key: The key to press, one character.
        label: What it means, in words.
        score: What it is worth (0 to 1); of a pair 1 is for the answer that is shown first.
    """

    key: str
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to label.

    Attributes:
        key: Names the item; tells nothing of its sample.
        sample_id: The sample; raters do not see it.
        digest: Hash of what is shown: a label counts for this content only.
        order: Of a pair, which answer is shown first.
        question: What was asked.
        answers: The answer, or the two answers in the order shown.
        contexts: The passages the answer was made from.
        reference: The right answer, where one is known.
    """

    key: str
    sample_id: str
    digest: str
    order: Order
    question: str
    answers: tuple[str, ...]
    contexts: tuple[str, ...] = ()
    reference: str = ""

    def shown(self) -> dict[str, Any]:
        """Return what a rater sees: no id of a sample, no score, no name of a system."""
        return {
            "key": self.key,
            "question": self.question,
            "answers": list(self.answers),
            "contexts": list(self.contexts),
            "reference": self.reference,
        }

    def score(self, choice: Choice) -> float:
        """Return what a choice says of the sample's own answer."""
        return 1 - choice.score if self.order == "ba" else choice.score


def choices_of(*, pairs: bool = False, grades: int = 0) -> tuple[Choice, ...]:
    """Return what a rater may say: yes or no, a grade, or which of two answers is better.

    Args:
        pairs: Two answers are shown.
        grades: Levels of a rubric, lowest first (2 to 9); 0 for yes or no.

    Raises:
        UsageProblem: There cannot be so many grades, or grades of pairs.
    """
    if pairs:
        if grades:
            raise UsageProblem("Pairs are not graded", hint="Leave out --grades or --pairwise")
        return (Choice("1", "the first is better", 1.0), Choice("2", "the second is better", 0.0),
                Choice("0", "tie", 0.5))  # fmt: skip
    if not grades:
        return (Choice("1", "yes", 1.0), Choice("0", "no", 0.0))
    if not 2 <= grades <= MOST_GRADES:
        raise UsageProblem("There can be 2 to 9 grades", detail=str(grades))
    ends = {1: "1, the lowest", grades: f"{grades}, the highest"}
    return tuple(
        Choice(str(grade), ends.get(grade, str(grade)), (grade - 1) / (grades - 1))
        for grade in range(1, grades + 1)
    )


def item_of(sample: Sample, order: Order = "", *, seed: int = 0) -> Item:
    """Return a sample as an item; with an order as a pair with its other answer."""
    answers: tuple[str, ...] = (sample.response,)
    if order:
        answers = (sample.response, str(sample.extra[OTHER]))
    digest = digest_of(sample, pairs=bool(order))
    key = hashlib.sha256(f"{seed}\0{sample.id}\0{digest}\0{order}".encode("utf-8", "replace"))
    return Item(
        key=key.hexdigest()[:16],
        sample_id=sample.id,
        digest=digest,
        order=order,
        question=sample.user_input,
        answers=answers[::-1] if order == "ba" else answers,
        contexts=sample.retrieved_contexts,
        reference=sample.reference,
    )


def digest_of(sample: Sample, *, pairs: bool) -> str:
    """Return a hash of what a rater sees of a sample, in either order."""
    if not pairs:
        return sample.digest
    text = json.dumps([sample.digest, sample.extra.get(OTHER)], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
