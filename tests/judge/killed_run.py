"""A run to be killed: ``killed_run.py PORT JOURNAL COUNT``; prints what it called when it ends."""

import sys

from llmops_kernel.judge.judges import judge_of
from llmops_kernel.judge.metrics import metrics_of
from llmops_kernel.judge.runner import run
from llmops_kernel.judge.samples import Sample
from llmops_kernel.session import Session


def main() -> None:
    port, journal, count = sys.argv[1:]
    settings = {
        "providers": {"stub": {"base_url": f"http://127.0.0.1:{port}/v1", "free": True}},
        "model": "stub/judge",
        "retries": 0,
    }
    samples = [Sample(f"s{n}", "?", f"Answer number {n}.") for n in range(int(count))]
    with Session(**settings) as session:
        result = run(
            samples,
            metrics_of(["answer_relevance"]),
            judge_of(session),
            concurrency=4,
            journal=journal,
        )
    scored = sum(score.value is not None for score in result.scores)
    print(
        result.calls, result.resumed, scored, " ".join(score.sample_id for score in result.scores)
    )


if __name__ == "__main__":
    main()
