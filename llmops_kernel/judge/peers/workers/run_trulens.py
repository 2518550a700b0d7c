"""TruLens' feedback functions, in threads: they are synchronous."""

from __future__ import annotations

import asyncio
from typing import Any

from llmops_kernel.judge.peers.workers.work import job_named, measured

# Its default of 60 a minute would pace the run; the door's limits count here.
_A_MINUTE = 60_000


def main() -> None:
    """Run the job of the command line."""
    from trulens.core.feedback import feedback as settings  # type: ignore[import-not-found]
    from trulens.providers.openai import OpenAI  # type: ignore[import-not-found]

    job = job_named()
    judge = OpenAI(model_engine=job.model, base_url=job.base_url, api_key=job.key, rpm=_A_MINUTE)
    # The default splits and filters by running Python's eval on what the judge wrote.
    harmless = settings.GroundednessConfigs(
        use_sent_tokenize=False, filter_trivial_statements=False
    )

    def score(sample: dict[str, Any], name: str) -> tuple[float | None, str]:
        passages = sample["retrieved_contexts"]
        if name == "relevance":
            return float(judge.relevance(sample["user_input"], sample["response"])), ""
        if name == "context_relevance":
            each = [float(judge.context_relevance(sample["user_input"], p)) for p in passages]
            failed = next((value for value in each if not 0 <= value <= 1), None)
            return (sum(each) / len(each) if failed is None else failed), ""
        options = {} if name == "groundedness_default" else {"groundedness_configs": harmless}
        value, why = judge.groundedness_measure_with_cot_reasons(
            "\n".join(passages), sample["response"], **options
        )
        return float(value), str(why.get("reasons", ""))[:500]

    async def measure(sample: dict[str, Any], name: str) -> tuple[float | None, str]:
        return await asyncio.to_thread(score, sample, name)

    asyncio.run(measured(job, measure))


if __name__ == "__main__":
    main()
