"""A model of one's own in the case: what it learns, and who is sent to it.

It learns what customers of earlier days asked most, with the answers that the bank has checked. It
is asked about nothing else: whether a text asks one of these is decided by the near-verbatim rule,
so a question that only sounds alike goes on to the large model.
"""

from __future__ import annotations

from dataclasses import dataclass
from re import escape
from typing import TYPE_CHECKING

from llmops_kernel.cache.semantic.verbatim import NearVerbatim, signature
from llmops_kernel.errors import UsageProblem
from llmops_kernel.labs.tiny_served import BY_HEART, tiny_served
from llmops_kernel.settings import RouteSettings, RuleSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmops_kernel.cache.semantic.verbatim import Signature
    from llmops_kernel.finetune.registry import Version
    from llmops_kernel.labs.traffic import Request

NAME = "moorhen-known"
_LONGEST = 96  # tokens of an answer; none of the bank's is as long


@dataclass(frozen=True, slots=True)
class Known:
    """A question that the model learns.

    Attributes:
        request: The first request that asked it.
        answer: The checked answer.
        times: How often it was asked, in any manners.
    """

    request: Request
    answer: str
    times: int

    @property
    def text(self) -> str:
        """The wording that it is learnt in."""
        return self.request.text


class KnownQuestions:
    """What a model of one's own knows, and how a question is recognised as one of these.

    Args:
        known: The questions.
        name: The model's name in the registry, and its server's.

    Raises:
        UsageProblem: There is no question.
    """

    most_tokens = _LONGEST

    def __init__(self, known: Sequence[Known], name: str = NAME) -> None:
        if not known:
            raise UsageProblem("A model of one's own needs questions to learn")
        self.known = tuple(known)
        self.name = name
        self._asked = _Asked()
        for each in known:
            self._asked.add(each.text)

    @property
    def model(self) -> str:
        """What it is called by."""
        return f"local/{self.name}"

    def find(self, text: str, tenant: str = "") -> Known | None:
        """Return the known question that a text asks in other manners, or None.

        None also where it could be two of them, and for tenants: what holds for them may differ.
        """
        found = [] if tenant else self._asked.find(text)
        return self.known[found[0]] if len(found) == 1 else None

    def route(self, otherwise: str) -> RouteSettings:
        """Return the route in front: known wordings to this model, everything else as before.

        Args:
            otherwise: The model, or the route, that answered everything so far.
        """
        texts = "|".join(escape(each.text) for each in self.known)
        rule = RuleSettings(model=self.model, pattern=rf"\A(?:{texts})\Z")
        return RouteSettings(kind="rules", rules=(rule,), model=otherwise)

    def train(self) -> Version:
        """Train and register the model, or return the version that has learnt just this.

        Raises:
            MissingEnvironment: The training environment was not made yet.
            RunFailed: Training or export failed.
        """
        return tiny_served(self.name, {each.text: each.answer for each in self.known}, BY_HEART)


def most_asked(
    earlier: Iterable[Request], answers: Mapping[str, str], number: int
) -> tuple[Known, ...]:
    """Return what was asked most on earlier days, the most frequent first.

    Texts count as one question where the near-verbatim rule says so. What tenants asked is left
    out (a model keeps no walls), and so is a question whose texts were about different matters.

    Args:
        earlier: Requests of earlier days, and only of these.
        answers: The checked answer, by the id of a question.
        number: How many questions at most.
    """
    asked = _Asked()
    groups: list[list[Request]] = []
    for each in earlier:
        if each.tenant:
            continue
        found = asked.find(each.text)
        if found:
            groups[found[0]].append(each)
        else:
            asked.add(each.text)
            groups.append([each])
    known = [
        Known(group[0], answers[group[0].question_id], len(group))
        for group in groups
        if len({answers[each.question_id] for each in group}) == 1
    ]
    return tuple(sorted(known, key=lambda each: (-each.times, each.text))[:number])


class _Asked:
    """Texts, found by what near-verbatim repeats of them have in common."""

    def __init__(self) -> None:
        self._signatures: list[Signature] = []
        self._by_key: dict[tuple[int, str], list[int]] = {}
        self._rule = NearVerbatim()

    def add(self, text: str) -> None:
        signed = signature(text)
        for key in enumerate(signed.keys):
            self._by_key.setdefault(key, []).append(len(self._signatures))
        self._signatures.append(signed)

    def find(self, text: str) -> list[int]:
        """Return the places of the texts that ask the same."""
        signed = signature(text)
        near = {place for key in enumerate(signed.keys) for place in self._by_key.get(key, ())}
        return [
            place
            for place in sorted(near)
            if self._rule.compare_signatures(self._signatures[place], signed).same
        ]
