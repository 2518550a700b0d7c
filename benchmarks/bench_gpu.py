"""What training costs on a GPU: LoRA and QLoRA, merged and checked, with TRL and with Unsloth.

Each is a short run of our own runner with the pre-flight's dry run, the merged weights as export
and their largest difference from the adapter's. Without a GPU nothing is measured, and the reason
is told; results carry the device's name and the date. Needs ``llmops env create trl``, and for
Unsloth ``llmops env create unsloth``. With ``--base`` a model of real size is trained in place of
the tiny one.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import _measure as measure

from llmops_kernel import envs
from llmops_kernel.finetune import read_spec, start
from llmops_kernel.finetune.launch import has_gpu
from llmops_kernel.labs import intents, tiny

_SPEC = """\
task: classify
base: {base}
backend: {{name: {backend}}}
data: {{path: {data}, group: phrasing, eval_fraction: 0.1, dedupe: exact}}
method: {method}
lora: {{r: 16, alpha: 32}}
train: {{max_steps: {steps}, batch: 16, lr: 2.0e-3, warmup_steps: 5, seed: 7}}
limits: {{wall: 9m}}
export: [merged]
"""


def main() -> None:
    parser = measure.arguments(str(__doc__).partition("\n")[0])
    parser.add_argument("--base", help="folder or hub id of a model (default: the lab's tiny one)")
    parser.add_argument("--steps", type=int, default=60, help="steps (default: %(default)s)")
    parser.add_argument("--cpu", action="store_true", help="go through it without a GPU as well")
    options = parser.parse_args()
    if not has_gpu() and not options.cpu:
        print("Nothing was measured: there is no NVIDIA GPU on this machine (nvidia-smi -L)")
        return
    report = measure.Report(
        "gpu",
        "How long does a short run take on a GPU, and what do its merged weights differ by?",
        ("backend", "method", "wall_s", "tokens_per_s", "memory_gib", "last_loss",
         "merged_differs"),
        setup={"device": _device(), "base": options.base or "tiny", "steps": options.steps},
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        data = intents.write_csv(
            Path(folder) / "messages.csv", intents.messages(intents.known(6), 3)
        )
        base = options.base or str(tiny.tiny_base())
        for backend in ("trl", "unsloth"):
            if not envs.find(backend).made:
                report.notes.append(f"{backend} was not run: llmops env create {backend}")
                continue
            for method in ("lora", "qlora"):
                text = _SPEC.format(base=base, backend=backend, data=data, method=method,
                                    steps=options.steps)  # fmt: skip
                _add(report, backend, method, text)
    options.quick = options.quick or options.cpu  # a CPU's figures replace no GPU's
    report.finish(options)


def _add(report: measure.Report, backend: str, method: str, text: str) -> None:
    began = time.perf_counter()
    run = start(read_spec(text), f"gpu-{backend}-{method}")
    outcome = run.wait()
    wall = time.perf_counter() - began
    if outcome["state"] != "done":
        report.notes.append(f"{backend} {method}: {outcome['state']}, {outcome.get('reason', '')}")
        return
    progress = run.progress
    merged: dict[str, Any] = next(
        (each for each in progress.exports if each.get("kind") == "merged"), {}
    )
    report.add(
        backend=backend, method=method, wall_s=wall, tokens_per_s=progress.tokens_per_s,
        memory_gib=progress.memory / 2**30, last_loss=progress.train_loss[-1][1],
        merged_differs=merged.get("max_logit_difference"),
    )  # fmt: skip


def _device() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return "CPU"
    asked = [program, "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
