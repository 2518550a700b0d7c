"""Data sets to judge.

Read and written, taken over from other tools and from traces, split without tearing documents
apart, freed of near-duplicates, and made from documents.

A row that cannot be read is a `Problem` with its line and is counted; it never ends a run.
"""

from llmops_kernel.judge.data.dedupe import Duplicate, dedupe, similarity
from llmops_kernel.judge.data.importers import (
    from_datasets,
    from_deepeval,
    from_langfuse,
    from_phoenix,
    from_promptflow,
    from_ragas,
    from_traces,
    from_trulens,
    to_datasets,
)
from llmops_kernel.judge.data.labels import human_value
from llmops_kernel.judge.data.load import dump, load
from llmops_kernel.judge.data.problems import Dataset, Problem
from llmops_kernel.judge.data.splits import split
from llmops_kernel.judge.data.synthetic import synthesize

__all__ = [
    "Dataset",
    "Duplicate",
    "Problem",
    "dedupe",
    "dump",
    "from_datasets",
    "from_deepeval",
    "from_langfuse",
    "from_phoenix",
    "from_promptflow",
    "from_ragas",
    "from_traces",
    "from_trulens",
    "human_value",
    "load",
    "similarity",
    "split",
    "synthesize",
    "to_datasets",
]
