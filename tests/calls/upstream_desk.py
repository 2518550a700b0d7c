"""Requests to a provider on loopback, and what an error says in all places."""

import json

from llmops_kernel.calls import CallContext, ChatRequest

KEY = "sk-secret-0123456789"


def chat(**fields):
    return ChatRequest.from_body(
        {"model": "small", "messages": [{"role": "user", "content": "Hi"}], **fields}
    )


def context_of(stub, **changes):
    return CallContext("call-1", target=stub.target(**changes))


def parts_of(error):
    return "\n".join(
        [error.sentence(), repr(error), json.dumps(error.body()), json.dumps(error.upstream_body)]
    )
