"""A made-up bank's texts, and a short way to ask the offline engine."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from llmops_kernel.calls import CallContext, ChatRequest, Reply, ReplyStream
from llmops_kernel.calls.catalog import Target
from llmops_kernel.calls.offline import OfflineEngine
from llmops_kernel.calls.prices import FreePrice

POLICY = """# Cards
Card replacement costs 5 EUR. It is free once a year for Plus customers.
A new card arrives within 3 to 5 business days; express delivery takes 1 day and costs 15 EUR.
If your card is lost or stolen, freeze it in the app at once and call us on +47 22 33 44 55.

# Limits
You can withdraw up to 500 EUR a day at cash machines. The first three withdrawals each month are
free; after that each costs 2 EUR.
Transfers abroad are not free: we charge 0.5 %, at least 1 EUR.

# Closing an account
To close your account:
1. Empty the account.
2. Open Profile and tap Close account.
3. Confirm with your PIN.

# Disputes
Why was I charged twice? Hotels often hold a deposit because the final bill is not known.
Refunds are paid within 10 days. We do not offer mortgages to customers outside Norway.
Skerry Bank was founded by Ida Holm in Bergen in 2016.
"""

COMPLAINT = (
    "Hi, I'm Anna Berg. I was charged €49.90 twice by Hertz on 12 May 2024 for order ORD-20391. "
    "Please refund me urgently! My email is anna@example.com. We were 3 guests and stayed 2 "
    "nights. My card is not blocked."
)

ENGINE = OfflineEngine()


def context(model: str = "offline/extractive") -> CallContext:
    provider, _, name = model.partition("/")
    target = Target(model, provider, name, FreePrice("test"), "simulated")
    return CallContext("call", target=target)


def system(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def called(name: str, arguments: dict[str, Any], call_id: str = "call_1") -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"id": call_id, "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def result(text: str, call_id: str = "call_1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def request(*messages: Any, **fields: Any) -> ChatRequest:
    turns = tuple(user(m) if isinstance(m, str) else m for m in messages)
    return ChatRequest(model="any", messages=turns, **fields)


def run(asked: ChatRequest, model: str = "offline/extractive") -> Reply | ReplyStream:
    return asyncio.run(ENGINE(asked, context(model)))


def reply_to(*messages: Any, model: str = "offline/extractive", **fields: Any) -> Reply:
    found = run(request(*messages, **fields), model)
    assert isinstance(found, Reply)
    return found


def ask(*messages: Any, **fields: Any) -> str:
    return reply_to(*messages, **fields).text


def ask_policy(question: str, rules: str = "", **fields: Any) -> str:
    told = f"You are the support assistant of Skerry Bank. {rules}\n\nPolicy:\n{POLICY}"
    return ask(system(told), user(question), **fields)


def typed(schema: dict[str, Any], *messages: Any, **fields: Any) -> Any:
    form = {"type": "json_schema", "json_schema": {"name": "out", "schema": schema}}
    return json.loads(ask(*messages, response_format=form, **fields))


def record(**properties: Any) -> dict[str, Any]:
    """Return a strict object schema in which every property is required."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def function(
    name: str, description: str, properties: dict[str, Any], required: list[str] | None = None
) -> dict[str, Any]:
    needed = list(properties) if required is None else required
    parameters = {"type": "object", "properties": properties, "required": needed}
    about = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": about}
