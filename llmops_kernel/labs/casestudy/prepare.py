"""What is decided before the day: how much to compress, and what the small model is sent.

Both are chosen on earlier days (other seeds), never on the day that is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.calls.messages import message_text
from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.samples import Sample
from llmops_kernel.labs import bank
from llmops_kernel.labs.casestudy.quality import is_beyond_small, reachable
from llmops_kernel.prompts.compress import accept

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from llmops_kernel.embed import Embedder
    from llmops_kernel.labs.casestudy.desk import Desk
    from llmops_kernel.labs.traffic import Request
    from llmops_kernel.prompts.compress import Acceptance, Compressor
    from llmops_kernel.routing.training import Learned

MARGIN = 0.03


@dataclass(frozen=True)
class Tried:
    """A compressor that was tried on earlier days.

    Attributes:
        name: What it is called.
        compressor: The compressor.
        tokens: Mean tokens of a prompt under it.
        acceptance: Whether the facts that answers need are still in the prompts.
    """

    name: str
    compressor: Compressor
    tokens: float
    acceptance: Acceptance


def try_compressors(
    days: Sequence[Request],
    desk: Desk,
    compressors: Mapping[str, Compressor],
    *,
    margin: float = MARGIN,
) -> list[Tried]:
    """Try compressors on earlier requests.

    What is compared is whether a prompt holds the facts that the answer needs: a model can use no
    others. That is stricter than comparing the answers of a model that misses some anyway.

    Args:
        days: Requests of earlier days; one wording of one question counts once.
        desk: Builds the prompts.
        compressors: By name.
        margin: The loss that is tolerated; a part of what all levers together may lose.
    """
    known = {each.id: each for each in bank.questions()}
    asked = {(each.tenant, each.text): each for each in days}
    samples = [
        Sample(str(number), text, cluster=each.question_id, extra={"tenant": tenant})
        for number, ((tenant, text), each) in enumerate(sorted(asked.items()))
    ]
    originals = {each.id: desk.messages(each.user_input, each.extra["tenant"]) for each in samples}

    def original(sample: Sample) -> str:
        return "\n".join(message_text(each) for each in originals[sample.id][:-1])

    def has_facts(sample: Sample, prompt: str) -> float:
        return float(reachable(known[sample.cluster], prompt))

    found = []
    for name, compressor in compressors.items():
        sizes = []

        def shorter(sample: Sample, made_by: Compressor = compressor) -> str:
            made = made_by.compress(originals[sample.id], sample.user_input, stable=1)
            sizes.append(made.after)  # noqa: B023 - used up within this turn of the loop
            return "\n".join(message_text(each) for each in made.messages[:-1])

        decided = accept(original, shorter, samples, has_facts, margin=margin)
        found.append(Tried(name, compressor, sum(sizes) / len(sizes), decided))
    return found


def shortest_accepted(tried: Sequence[Tried]) -> Tried:
    """Return the compressor with the shortest prompts among those that were accepted.

    Raises:
        UsageProblem: None was accepted.
    """
    accepted = [each for each in tried if each.acceptance.ok]
    if not accepted:
        raise UsageProblem(
            "No compressor was accepted", hint="Try gentler ones, or judge more requests"
        )
    return min(accepted, key=lambda each: each.tokens)


def learn_route(
    days: Sequence[Request],
    embedder: Embedder,
    path: Path,
    *,
    small: str,
    large: str,
    target_loss: float = 0.02,
) -> Learned:
    """Learn from earlier requests which ones the small model may answer, and write the route.

    The verdicts are the declared weakness of the small model (`quality.WEAKNESS`), question by
    question; the route sees texts only.

    Raises:
        UsageProblem: There are too few requests.
        MissingExtra: scikit-learn is not installed.
        SettingsError: The route cannot be written.
    """
    from llmops_kernel.routing.saved import save
    from llmops_kernel.routing.table import Row, Table
    from llmops_kernel.routing.training import learn

    known = {each.id: each for each in bank.questions()}
    verdicts = {each.text: float(not is_beyond_small(known[each.question_id])) for each in days}
    table = Table(tuple(Row(text, ok) for text, ok in sorted(verdicts.items())), {})
    learned = learn(table, small=small, large=large, embedder=embedder, target_loss=target_loss)
    save(path, learned.saved)
    return learned
