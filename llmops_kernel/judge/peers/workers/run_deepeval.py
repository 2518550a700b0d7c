"""DeepEval's metrics, one object a measurement: they keep their state on themselves."""

from __future__ import annotations

import asyncio
from typing import Any

from llmops_kernel.judge.peers.workers.work import job_named, measured


def main() -> None:
    """Run the job of the command line."""
    from deepeval import metrics as have  # type: ignore[import-not-found]
    from deepeval.models import OpenAIModel  # type: ignore[import-not-found]
    from deepeval.test_case import LLMTestCase  # type: ignore[import-not-found]

    job = job_named()
    judge = OpenAIModel(
        model=job.model, api_key=job.key, base_url=job.base_url, temperature=0,
        # Only for models it does not know: its own ledger is not read, ours is.
        cost_per_input_token=0.0, cost_per_output_token=0.0,
    )  # fmt: skip
    kinds = {
        "faithfulness": have.FaithfulnessMetric,
        "answer_relevancy": have.AnswerRelevancyMetric,
        "contextual_precision": have.ContextualPrecisionMetric,
        "contextual_recall": have.ContextualRecallMetric,
        "contextual_relevancy": have.ContextualRelevancyMetric,
    }

    async def measure(sample: dict[str, Any], name: str) -> tuple[float | None, str]:
        metric = kinds[name](model=judge, async_mode=True)
        case = LLMTestCase(
            input=sample["user_input"],
            actual_output=sample["response"],
            expected_output=sample["reference"] or None,
            retrieval_context=sample["retrieved_contexts"] or None,
        )
        await metric.a_measure(case, _show_indicator=False)
        return metric.score, str(metric.reason or "")

    asyncio.run(measured(job, measure))


if __name__ == "__main__":
    main()
