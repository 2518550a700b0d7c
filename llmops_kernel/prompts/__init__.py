"""Prompts: what is sent to a model, and what is made of its reply.

Templates fill in names and keep what was filled in apart from what was typed; messages are put
together from a system text, examples, context and a question; typed output is asked for by schema,
checked, and repaired a bounded number of times; reasoning is parted from answers. Nothing here
calls a model: `ask_steps` yields the requests of one question and takes the replies, so that
blocking and asynchronous callers share one logic, and `Answer` is what a person gets.
"""

from llmops_kernel.prompts.answer import Answer
from llmops_kernel.prompts.ask import (
    AskResult,
    AskSpec,
    ask_steps,
    build_request,
    run_ask,
    run_ask_async,
)
from llmops_kernel.prompts.cot import split_answer, split_thinking
from llmops_kernel.prompts.fewshot import build_messages
from llmops_kernel.prompts.hashing import prompt_hash
from llmops_kernel.prompts.structured import OutputSchema, Parsed
from llmops_kernel.prompts.template import Interpolated, Segment, Template, interpolate

__all__ = [
    "Answer",
    "AskResult",
    "AskSpec",
    "Interpolated",
    "OutputSchema",
    "Parsed",
    "Segment",
    "Template",
    "ask_steps",
    "build_messages",
    "build_request",
    "interpolate",
    "prompt_hash",
    "run_ask",
    "run_ask_async",
    "split_answer",
    "split_thinking",
]
