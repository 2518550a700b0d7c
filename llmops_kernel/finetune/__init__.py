"""Fine-tuning: a person's data, a small model, a run that is checked before it costs hours.

`spec` reads the YAML of ``%%finetune``; `data` makes clean rows of many forms and splits them
without leakage; `runs` starts and watches detached runs. `worker` is what runs in the side
environment with torch: pre-flight, training, samples. `export` and `registry` keep what came out.
Importing this room loads the standard library only, because the worker imports it too, in an
environment that has none of our packages.
"""

from typing import TYPE_CHECKING

from llmops_kernel.lazy import lazily

if TYPE_CHECKING:
    from llmops_kernel.finetune.data.manifest import Manifest
    from llmops_kernel.finetune.data.prepare import prepare
    from llmops_kernel.finetune.progress import Progress
    from llmops_kernel.finetune.runs import FineTune, find_run, list_runs, resume, start
    from llmops_kernel.finetune.spec.model import FineTuneSpec
    from llmops_kernel.finetune.spec.reading import read_spec, read_spec_file

# Looked up when they are asked for: pydantic and YAML are not in every environment.
_HOMES = {
    "FineTune": "runs",
    "FineTuneSpec": "spec.model",
    "Manifest": "data.manifest",
    "Progress": "progress",
    "find_run": "runs",
    "list_runs": "runs",
    "prepare": "data.prepare",
    "read_spec": "spec.reading",
    "read_spec_file": "spec.reading",
    "resume": "runs",
    "start": "runs",
}

__all__ = [
    "FineTune",
    "FineTuneSpec",
    "Manifest",
    "Progress",
    "find_run",
    "list_runs",
    "prepare",
    "read_spec",
    "read_spec_file",
    "resume",
    "start",
]

__getattr__ = lazily(__name__, _HOMES)
