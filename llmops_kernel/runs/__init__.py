"""Notebooks as reproducible, budget-capped runs.

A papermill engine (``papermill in.ipynb out.ipynb --engine llmops``) that runs a notebook in the
`llmops` kernel in static mode, refuses unknown parameters, keeps secrets out of the saved file,
notes what each cell cost, and writes a manifest beside the output; and a runner that does this for
one or many notebooks.
"""

from typing import TYPE_CHECKING

# papermill loads our engine through its entry point while it is being imported itself. Imported
# here, before any module of this room, it finds the engine's module whole; imported by that module,
# it would find it half made. For the same reason nothing else is imported yet.
import papermill  # noqa: F401

from llmops_kernel.lazy import lazily

if TYPE_CHECKING:
    from llmops_kernel.runs.costs import Cost, RunCalls, RunCosts
    from llmops_kernel.runs.engine import LLMOpsEngine
    from llmops_kernel.runs.manifest import RunManifest
    from llmops_kernel.runs.runner import RunResult, run_many, run_notebook

_HOMES = {
    "Cost": "costs",
    "LLMOpsEngine": "engine",
    "RunCalls": "costs",
    "RunCosts": "costs",
    "RunManifest": "manifest",
    "RunResult": "runner",
    "run_many": "runner",
    "run_notebook": "runner",
}

__all__ = [
    "Cost",
    "LLMOpsEngine",
    "RunCalls",
    "RunCosts",
    "RunManifest",
    "RunResult",
    "run_many",
    "run_notebook",
]

__getattr__ = lazily(__name__, _HOMES)
