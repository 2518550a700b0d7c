"""The identity of a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.calls.messages import fingerprint

if TYPE_CHECKING:
    from llmops_kernel.calls.request import ChatRequest


def prompt_hash(request: ChatRequest) -> str:
    """Hash what a model is told: messages, tools and output schema (hex, 32 characters).

    Model, sampling fields and limits are left out, so the same prompt has one hash on every model.
    """
    return fingerprint(
        {
            "messages": request.messages,
            "tools": request.tools,
            "tool_choice": request.tool_choice,
            "response_format": request.response_format,
        }
    )
