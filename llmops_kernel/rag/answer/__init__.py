"""Answers from what was found: packed to a budget, fenced as data, citations checked."""

from llmops_kernel.rag.answer.answer import NOT_IN_DOCUMENTS, RagAnswer, Source
from llmops_kernel.rag.answer.answering import RagOptions, answer_from

__all__ = ["NOT_IN_DOCUMENTS", "RagAnswer", "RagOptions", "Source", "answer_from"]
