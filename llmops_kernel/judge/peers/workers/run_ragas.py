"""Ragas' metrics ("collections"), on an asynchronous client.

With the synchronous client, which Ragas makes by itself, calls go out one after the other.
"""

from __future__ import annotations

import asyncio
from typing import Any

from llmops_kernel.judge.peers.workers.work import job_named, measured


def main() -> None:
    """Run the job of the command line."""
    from openai import AsyncOpenAI
    from ragas.embeddings.base import embedding_factory  # type: ignore[import-not-found]
    from ragas.llms import llm_factory  # type: ignore[import-not-found]
    from ragas.metrics import collections as have  # type: ignore[import-not-found]

    job = job_named()
    client = AsyncOpenAI(base_url=job.base_url, api_key=job.key)
    judge = llm_factory(job.model, client=client)
    makers = {
        "faithfulness": lambda: have.Faithfulness(llm=judge),
        "answer_relevancy": lambda: have.AnswerRelevancy(
            llm=judge,
            embeddings=embedding_factory("openai", model=job.embedding_model, client=client),
        ),
        "context_precision": lambda: have.ContextPrecisionWithReference(llm=judge),
        "context_recall": lambda: have.ContextRecall(llm=judge),
        "context_relevance": lambda: have.ContextRelevance(llm=judge),
        "response_groundedness": lambda: have.ResponseGroundedness(llm=judge),
        "factual_correctness": lambda: have.FactualCorrectness(llm=judge),
        "answer_accuracy": lambda: have.AnswerAccuracy(llm=judge),
    }
    takes = {
        "faithfulness": ("user_input", "response", "retrieved_contexts"),
        "answer_relevancy": ("user_input", "response"),
        "context_precision": ("user_input", "reference", "retrieved_contexts"),
        "context_recall": ("user_input", "retrieved_contexts", "reference"),
        "context_relevance": ("user_input", "retrieved_contexts"),
        "response_groundedness": ("response", "retrieved_contexts"),
        "factual_correctness": ("response", "reference"),
        "answer_accuracy": ("user_input", "response", "reference"),
    }
    metrics = {name: makers[name]() for name in job.metrics}

    async def measure(sample: dict[str, Any], name: str) -> tuple[float | None, str]:
        found = await metrics[name].ascore(**{field: sample[field] for field in takes[name]})
        value = found.value
        return (None if value is None else float(value)), str(found.reason or "")

    asyncio.run(measured(job, measure))


if __name__ == "__main__":
    main()
