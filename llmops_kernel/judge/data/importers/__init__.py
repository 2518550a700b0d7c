"""Other tools' data sets, as samples.

Each importer reads files, rows or columns, and counts what it could not read.
"""

from llmops_kernel.judge.data.importers.deepeval import from_deepeval
from llmops_kernel.judge.data.importers.hub import from_datasets, to_datasets
from llmops_kernel.judge.data.importers.langfuse import from_langfuse
from llmops_kernel.judge.data.importers.phoenix import from_phoenix
from llmops_kernel.judge.data.importers.promptflow import from_promptflow
from llmops_kernel.judge.data.importers.ragas import from_ragas
from llmops_kernel.judge.data.importers.traces import from_traces
from llmops_kernel.judge.data.importers.trulens import from_trulens

__all__ = [
    "from_datasets",
    "from_deepeval",
    "from_langfuse",
    "from_phoenix",
    "from_promptflow",
    "from_ragas",
    "from_traces",
    "from_trulens",
    "to_datasets",
]
