"""What our runner costs over the bare TRL script that trains the same: time, and the losses.

Both train the same base on the same rows with the same seed, evaluation and logging, on one thread,
each in fresh processes, turn by turn. Ours also prepares the data, makes the pre-flight with its
dry run, measures the base, watches limits and writes a journal.

Needs the training environment: llmops env create trl.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import _measure as measure

from llmops_kernel import envs
from llmops_kernel.finetune import read_spec, start
from llmops_kernel.finetune.launch import variables

SEED, BATCH, RATE, LENGTH = 7, 16, 1e-3, 176
SCRIPT = Path(__file__).with_name("_bare_trl.py")


def rows(count: int) -> list[dict[str, Any]]:
    draw = random.Random(SEED)
    words = [
        "block",
        "send",
        "lend",
        "freeze",
        "wire",
        "borrow",
        "stop",
        "move",
        "finance",
        "card",
        "loan",
        "fee",
        "rate",
        "limit",
    ]
    made = []
    for number in range(count):
        asked = " ".join([str(number), *(draw.choice(words) for _ in range(12))])
        made.append(
            {
                "messages": [
                    {"role": "user", "content": asked},
                    {"role": "assistant", "content": " ".join(sorted(set(asked.split()[1:])))},
                ]
            }
        )
    return made


def spec_of(base: Path, data: Path, steps: int) -> str:
    return (
        f"task: chat\nbase: {base}\nmethod: full\nbackend: {{threads: 1}}\n"
        f"data: {{path: {data}, dedupe: false}}\n"
        f"train: {{max_steps: {steps}, batch: {BATCH}, lr: {RATE}, warmup_steps: 10, "
        f"max_length: {LENGTH}, seed: {SEED}, precision: fp32, checkpointing: false, "
        f"eval_every: {steps // 4}}}\n"
    )


def ours(text: str) -> tuple[float, float, Any]:
    began = time.perf_counter()
    run = start(read_spec(text), "bench")
    outcome = run.wait()
    wall = time.perf_counter() - began
    if outcome["state"] != "done":
        raise SystemExit(f"{outcome}\n{run.log()}")
    return wall, outcome["cpu_s"], run


def bare(python: Path, job: dict[str, Any], folder: Path) -> tuple[float, float, dict[str, Any]]:
    path = folder / "job.json"
    path.write_text(json.dumps(job))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(
        [str(python), str(SCRIPT), "train", str(path)],
        env=variables("trl", 1), capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    wall = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, json.loads(Path(job["told"]).read_text())


def job_of(run: Any, base: Path, folder: Path, steps: int) -> dict[str, Any]:
    """Return what the bare script is told, with our run's rows and logging."""
    points = [step for step, _ in run.progress.train_loss]
    return {
        "base": str(base),
        "seed": SEED,
        "files": {name: str(run.folder.data / f"{name}.jsonl") for name in ("train", "eval")},
        "out": str(folder / "out"),
        "told": str(folder / "told.json"),
        "config": {
            "output_dir": str(folder / "checkpoints"), "max_steps": steps,
            "per_device_train_batch_size": BATCH, "per_device_eval_batch_size": BATCH,
            "learning_rate": RATE, "lr_scheduler_type": "cosine", "warmup_steps": 10,
            "seed": SEED, "bf16": False, "use_cpu": True, "activation_checkpointing": False,
            "max_length": LENGTH, "assistant_only_loss": True,
            "logging_steps": points[2] - points[1], "logging_first_step": True,
            "eval_strategy": "steps", "eval_steps": steps // 4, "save_strategy": "no",
            "report_to": "none", "disable_tqdm": True,
        },
    }  # fmt: skip


def difference(one: list[Any], other: list[Any]) -> float:
    if [step for step, _ in one] != [step for step, _ in other]:
        raise SystemExit("the curves have different steps")
    return max(abs(a - b) for (_, a), (_, b) in zip(one, other, strict=True))


def main() -> None:
    options = measure.arguments(str(__doc__).partition("\n")[0]).parse_args()
    rounds, steps, hidden, layers = (1, 40, 64, 2) if options.quick else (3, 240, 128, 4)
    python = envs.python_of("trl")
    report = measure.Report(
        "finetune",
        "A training by our runner, and by the bare TRL script",
        ("what", "wall s", "CPU s", "train loss", "eval loss"),
        ("llmops-kernel",),
        {"rounds": rounds, "steps": steps, "hidden": hidden, "layers": layers, "batch": BATCH,
         "threads": 1},
    )  # fmt: skip
    figures: dict[str, list[tuple[float, float]]] = {"ours": [], "bare": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # A home of its own for runs; the environments stay where they are.
        os.environ["LLMOPS_ENVS"] = str(envs.root())
        os.environ["LLMOPS_HOME"] = str(folder / "home")
        base, data = folder / "base", folder / "rows.jsonl"
        subprocess.run(
            [str(python), str(SCRIPT), "make", str(base), str(hidden), str(layers)],
            env=variables("trl", 1), check=True, capture_output=True,
        )  # fmt: skip
        data.write_text("".join(json.dumps(row) + "\n" for row in rows(600)))
        text = spec_of(base, data, steps)
        for _ in range(rounds):
            wall, cpu, run = ours(text)
            figures["ours"].append((wall, cpu))
            job = job_of(run, base, folder, steps)
            wall, cpu, told = bare(python, job, folder)
            figures["bare"].append((wall, cpu))
        mine = run.progress
        apart = difference(mine.train_loss, told["train"])
        held_out = difference([p for p in mine.eval_loss if p[0]], told["eval"])
        for what, train, evals in (
            ("ours", mine.train_loss, mine.eval_loss),
            ("bare", told["train"], told["eval"]),
        ):
            report.add(
                **{
                    "what": what,
                    "wall s": measure.Figure.of([wall for wall, _ in figures[what]]),
                    "CPU s": measure.Figure.of([cpu for _, cpu in figures[what]]),
                    "train loss": train[-1][1],
                    "eval loss": evals[-1][1],
                }
            )
    for what, place in (("wall", 0), ("CPU", 1)):
        ratio = measure.Figure.of(
            [a[place] / b[place] for a, b in zip(figures["ours"], figures["bare"], strict=True)]
        )
        report.targets.append(
            measure.Target(f"{what} over the bare script", 1.03, ratio.median, "x")
        )
    report.targets += [
        measure.Target("largest difference of a training loss", 1, apart * 1e6, "millionths"),
        measure.Target("largest difference of an evaluation loss", 1, held_out * 1e6, "millionths"),
    ]
    report.finish(options)


if __name__ == "__main__":
    main()
