"""A provider that answers by topic, and many wordings of few questions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import cache_desk
from aiohttp import web
from stub_upstream import Seen, StubUpstream, completion

from llmops_kernel import Session
from llmops_kernel.calls import ChatRequest, Reply
from llmops_kernel.calls.wire import read_bounded

Make = Callable[..., Session]

WORDINGS = {
    "block": [
        "How do I block my card?",
        "What is the way to freeze a lost card?",
        "My card was stolen, how can it be blocked?",
        "I want to lock my debit card at once",
        "Which steps block a card that was stolen?",
        "Please help me freeze my bank card",
        "Where can somebody block a missing card?",
        "I lost the card and want it blocked",
        "How can I put a freeze on my card?",
        "Someone took my card, how do I lock it?",
    ],
    "pin": [
        "How do I change my PIN?",
        "What is the way to set another PIN code?",
        "I want to pick a new PIN for the machine",
        "Where can the PIN code be changed?",
        "Which steps change the PIN code?",
        "Please help me set a new PIN code",
        "Can the PIN be replaced by another one?",
        "I forgot the PIN and want another",
        "How can I choose a different PIN code?",
        "Which menu changes the secret PIN?",
    ],
    "loan": [
        "How do I apply for a mortgage?",
        "What is the way to ask for a home loan?",
        "I want to borrow money to buy a house",
        "Where can somebody request a mortgage loan?",
        "Which papers does a home loan application need?",
        "Please help me apply for a house loan",
        "Can a mortgage be requested by post?",
        "I plan to buy a flat and need a loan",
        "How can I request a loan for my house?",
        "Which steps lead to a mortgage?",
    ],
    "hours": [
        "When does the branch open?",
        "What are the opening hours of the branch?",
        "I want to visit the branch, when is it open?",
        "At which hours is the bank branch open?",
        "Which opening hours does the office have?",
        "Please tell me the hours of the branch office",
        "How long is the branch office open?",
        "Which hours does the counter of the branch have?",
        "How early does the branch office open?",
        "When can customers come into the branch?",
    ],
}
TOPIC = {text: topic for topic, texts in WORDINGS.items() for text in texts}
# Enough for a partition to serve: three wordings, sixteen judged lookups, one error in five.
EAGER = {
    "semantic": "margin", "min_wordings": 3, "min_judged": 16, "target": 0.2, "audit_share": 1.0,
}  # fmt: skip


def lessons(most: int = 8) -> list[str]:
    """Return the first wordings of every topic, in turn."""
    return [texts[n] for n in range(most) for texts in WORDINGS.values()]


class TopicUpstream(StubUpstream):
    """Answers every wording of a topic the same; ``judge-1`` compares two answers by their texts.

    Attributes:
        wordy: Whether every answer is worded anew.
        shift: Text that answers begin with: what they say has changed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wordy = False
        self.shift = ""

    @property
    def judged(self) -> int:
        """How often the judge was asked."""
        return sum(seen.body.get("model") == "judge-1" for seen in self.requests)

    @property
    def asked(self) -> list[str]:
        """What the model was asked, in order."""
        bodies = [seen.body for seen in self.requests if seen.body.get("model") == "stub-1"]
        return [body["messages"][-1]["content"] for body in bodies]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = json.loads(await read_bounded(request.content, 2**30))
        self.requests.append(Seen(request.path, dict(request.headers), body))
        return web.json_response(completion(self._said(body)))

    def _said(self, body: dict[str, Any]) -> str:
        text = body["messages"][-1]["content"]
        if body["model"] == "judge-1":
            one, other = json.loads(text)
            return json.dumps({"same": _gist(one["answer"]) == _gist(other["answer"])})
        answer = f"{self.shift}The answer about {TOPIC.get(text, text)}"
        return f"{answer}, in take {len(self.requests)}" if self.wordy else answer


def _gist(answer: str) -> str:
    return answer.partition(",")[0]


def ask(session: Session, text: str, **fields: Any) -> Reply:
    """Ask for a text's answer; ``context`` says who asks."""
    context = fields.pop("context", {})
    return session.call(ChatRequest.from_body(cache_desk.body(text, **fields)), **context)


def teach(session: Session, texts: list[str] | None = None, **fields: Any) -> None:
    """Ask all of them, and wait until what was learnt from them is written."""
    for text in lessons() if texts is None else texts:
        assert ask(session, text, **fields).tier in ("", "margin")
    session.cache.margin.finish()
    session.store.flush()


def new(topic: str = "block") -> str:
    """Return a wording of a topic that no lesson has."""
    return WORDINGS[topic][8]
