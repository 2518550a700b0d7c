"""The door: every model call of a process goes through here.

Requests come from magics and Python (`Session`) or over HTTP (`endpoint`), pass the stages that
`session.py` puts in order, and end at an upstream, in OpenAI's vocabulary throughout. This room
knows HTTP, models, prices and tokens; money is kept in `budget`, the record in `trace`.
"""

from llmops_kernel.calls.context import CallContext, Purpose
from llmops_kernel.calls.messages import Message, fingerprint
from llmops_kernel.calls.reply import Chunk, Outcome, Reply, ReplyStream
from llmops_kernel.calls.request import ChatRequest, EmbeddingRequest, Request
from llmops_kernel.calls.stage import Handler, build_path
from llmops_kernel.calls.usage import Usage

__all__ = [
    "CallContext",
    "ChatRequest",
    "Chunk",
    "EmbeddingRequest",
    "Handler",
    "Message",
    "Outcome",
    "Purpose",
    "Reply",
    "ReplyStream",
    "Request",
    "Usage",
    "build_path",
    "fingerprint",
]
