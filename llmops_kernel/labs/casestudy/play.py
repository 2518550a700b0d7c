"""A day of the bank's traffic, played through a real session against simulated models.

Answers, tokens, prices, cache and routes are the product's own. What is declared: the seconds of
the models (a virtual clock) and how often the small one is wrong (`quality.WEAKNESS`).
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.calls import ChatRequest
from llmops_kernel.calls.messages import message_text
from llmops_kernel.calls.prices import find_price
from llmops_kernel.calls.usage import Usage
from llmops_kernel.labs import bank
from llmops_kernel.labs.casestudy.desk import PUBLIC
from llmops_kernel.labs.casestudy.levers import (
    COMPRESSION,
    OWN,
    PREFIX,
    SMALL,
    model_of,
    play_of,
    settings_of,
)
from llmops_kernel.labs.casestudy.prefix import PrefixCache, prefixes_of, with_cached
from llmops_kernel.labs.casestudy.quality import holds, is_beyond_small, reachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmops_kernel.calls.genai import GenaiPrice
    from llmops_kernel.calls.messages import Message
    from llmops_kernel.calls.reply import Reply
    from llmops_kernel.labs.bank import Question
    from llmops_kernel.labs.casestudy.desk import Desk
    from llmops_kernel.labs.casestudy.levers import Means
    from llmops_kernel.labs.casestudy.own import Known
    from llmops_kernel.labs.casestudy.prefix import Prefixes
    from llmops_kernel.labs.traffic import Request


@dataclass(frozen=True, slots=True)
class Served:
    """One request, and what came of it.

    Attributes:
        request: The request.
        source: The id of the question that the answer was written for; another than the request's
            where the cache served a like one.
        text: The answer.
        model: Who wrote it.
        tier: The tier of the cache that served it; "" when a model was called.
        usage: Tokens of the calls that were made; none for a hit.
        cost_nano: What they cost, in nano-dollars: of the simulated book, or for one's own model by
            the price that its server was given.
        latency_s: Seconds until the answer: of the models on the virtual clock; for a hit, and
            for one's own model, the seconds that it took here.
        cpu_s: CPU seconds of this process.
        prompt_tokens: Tokens of the prompt, whether it was sent or not.
        told: Whether the answer holds the question's key facts.
        reachable: Whether the prompt that the answer was written from held them.
        prefixes: Beginnings of the prompt that a provider may have in its cache.
        own: Whether it was a question that the model of one's own knows, and was sent there.
    """

    request: Request
    source: str
    text: str
    model: str
    tier: str
    usage: Usage
    cost_nano: int
    latency_s: float
    cpu_s: float
    prompt_tokens: int
    told: bool
    reachable: bool
    prefixes: Prefixes = ()
    own: bool = False

    @property
    def hit(self) -> bool:
        """Whether the cache served it."""
        return bool(self.tier)

    @property
    def by(self) -> str:
        """Who answered: ``cache``, ``own``, ``small`` or ``large``."""
        if self.hit:
            return "cache"
        return "own" if self.own else "small" if _is_small(self.model) else "large"


def play(
    day: Sequence[Request],
    desk: Desk,
    levers: frozenset[str],
    means: Means,
    *,
    before: Sequence[Request] = (),
    folder: str | Path | None = None,
) -> list[Served]:
    """Play a day with some levers pulled, in a record of its own.

    Args:
        day: The requests, in order.
        desk: Builds the prompts.
        levers: The levers; see `levers.LEVERS`, and `levers.OWN`.
        means: What they are made of.
        before: Requests of earlier days, which the cache remembers; they are not reported.
        folder: Where the record is kept (default: a temporary folder).

    Raises:
        UsageProblem: A lever or a route cannot be used.
        StoreError: The record cannot be used.
    """
    from llmops_kernel.session import Session

    known = {each.id: each for each in bank.questions()}
    with tempfile.TemporaryDirectory() as temporary:
        store = f"sqlite:///{Path(folder or temporary) / 'play.db'}"
        session = Session(store=store, **settings_of(levers, means))
        try:
            player = _Player(session.call, desk, levers, means, known)
            for each in before:
                player.serve(each)
            return [player.serve(each) for each in day]
        finally:
            session.close()


class _Player:
    def __init__(
        self,
        call: Callable[..., Reply],
        desk: Desk,
        levers: frozenset[str],
        means: Means,
        known: dict[str, Question],
    ) -> None:
        self._call = call
        self._desk = desk
        self._compressor = means.compressor if COMPRESSION in levers else None
        self._model = model_of(levers, means)
        self._own = means.own if OWN in levers else None
        self._known = known
        self._written: dict[str, tuple[str, str]] = {}  # answers by id: question and prompt

    def serve(self, request: Request) -> Served:
        """Serve a request: a known question by one's own model, any other as before."""
        known = self._own.find(request.text, request.tenant) if self._own is not None else None
        if self._own is not None and known is not None:
            # The question alone, in the wording that was learnt: it needs no rules and passages.
            told: Message = {"role": "user", "content": known.text}
            most = self._own.most_tokens
            asked = ChatRequest(self._model, (told,), temperature=0, max_tokens=most)
            return self._answer(request, asked, known)
        messages = self._desk.messages(request.text, request.tenant)
        if self._compressor is not None:
            made = self._compressor.compress(messages, request.text, stable=1)
            messages = made.messages
        return self._answer(request, ChatRequest(self._model, messages), None)

    def _answer(self, request: Request, asked: ChatRequest, known: Known | None) -> Served:
        wall, cpu = time.perf_counter(), time.process_time()
        reply = self._call(
            asked,
            user=request.user,
            tenant=request.tenant or PUBLIC,
            run_id=request.user,
            purpose="rag",
        )
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        question = self._known[request.question_id]
        prompt = "\n".join(message_text(each) for each in asked.messages[:-1])
        if not reply.cached:
            written_for = question.id if known is None else known.request.question_id
            self._written[reply.id] = (written_for, prompt)
        source, prompt = self._written[reply.id]
        beyond = _is_small(reply.model) and is_beyond_small(self._known[source])
        said = holds(question, reply.text) and not beyond
        # One's own model has no prompt to find facts in: what it can say is what it says.
        shown = said if known is not None else reachable(question, prompt) and not beyond
        return Served(
            request=request,
            source=source,
            text=reply.text,
            model=reply.model,
            tier=reply.tier,
            usage=Usage() if reply.cached else reply.usage or Usage(),
            cost_nano=reply.cost_nano,
            latency_s=wall if reply.cached or reply.latency_s is None else reply.latency_s,
            cpu_s=cpu,
            prompt_tokens=reply.usage.input_tokens if reply.usage else 0,
            told=said,
            reachable=shown,
            prefixes=() if reply.cached else _prefixes(asked.messages),
            own=known is not None,
        )


def _prefixes(messages: Sequence[Message]) -> Prefixes:
    return prefixes_of(messages[:-1])


@lru_cache(maxsize=16)
def _price(model: str) -> GenaiPrice:
    """Return the real price of a simulated model."""
    price = find_price("", model.rpartition("/")[2])
    assert price is not None, "a call was charged by it"
    return price


def _is_small(model: str) -> bool:
    return model.rpartition("/")[2] == SMALL.rpartition("/")[2]


def with_prompt_cache(served: Sequence[Served]) -> list[Served]:
    """Price a play anew as if the provider kept prompts' prefixes; nothing else changes."""
    kept = PrefixCache()
    found = []
    for each in served:
        if each.hit or each.own or not each.usage.input_tokens:
            found.append(each)
            continue
        cached = kept.read(each.model, each.prefixes, each.request.time)
        usage = with_cached(each.usage, cached)
        found.append(replace(each, usage=usage, cost_nano=_price(each.model).cost(usage)))
    return found


def priced(plays: Mapping[frozenset[str], list[Served]], levers: frozenset[str]) -> list[Served]:
    """Return the play of a set of levers, priced with or without the provider's prompt cache."""
    served = plays[play_of(levers, plays)]
    return with_prompt_cache(served) if PREFIX in levers else served
