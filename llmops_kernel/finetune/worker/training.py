"""Pre-flight, training, answers and exports with TRL, in one process.

Rows are encoded here and handed to TRL as tokens with labels: what is cut, masked or left out is
counted and never silent. What TRL then does is what a plain script of its own does.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.layout import STOPPED, write_json
from llmops_kernel.finetune.worker import looking, preflight
from llmops_kernel.finetune.worker.answering import exactly_right
from llmops_kernel.finetune.worker.checks import Preflight
from llmops_kernel.finetune.worker.job import Ended
from llmops_kernel.finetune.worker.loading import load_base, load_tokenizer, looks_random
from llmops_kernel.finetune.worker.trainer import trainer_of
from llmops_kernel.finetune.worker.verdict import give_verdict, refuse_if_fatal

if TYPE_CHECKING:
    from pathlib import Path

    from llmops_kernel.finetune.worker.encode import Encoded
    from llmops_kernel.finetune.worker.job import Job
    from llmops_kernel.finetune.worker.loading import Base
    from llmops_kernel.finetune.worker.watching import Watch

_ANSWERS = 200


def carry_out(job: Job, *, only_preflight: bool = False) -> None:
    """Do a job from its rows to its exports.

    Raises:
        Ended: It was refused or stopped.
    """
    write_packages(job)
    if job.folder.trained.exists() and not only_preflight:
        export(job, job.folder.read_json(job.folder.trained))  # trained before it was broken off
        return
    found = Preflight()
    tokenizer = load_tokenizer(job)
    whole = looking.read_rows(job, tokenizer, found)
    _stop_if_asked(job)
    base = _load(job, tokenizer, whole["train"])
    rows, length = looking.check_rows(job, whole, base.model, tokenizer, found)
    if job.run["method"] != "full" and (why := looks_random(job, base)):
        found.add(
            "base", "stop", "LoRA cannot teach a base with random weights", detail=why, fatal=True,
            hint="Train the base whole first (method: full), then adapt it",
        )  # fmt: skip
    preflight.check_exports(job, found)
    refuse_if_fatal(job, found)
    if job.run["backend_name"] == "unsloth":
        from llmops_kernel.finetune.worker.unsloth import check_settings

        check_settings(job, base, found)
    trainer, watch = trainer_of(job, base, rows, length)
    preflight.check_memory(job, base, trainer, found)
    preflight.check_disk(job, found)
    if job.run["preflight"]["dry_run_steps"] and not found.stops(job.run["preflight"]["on_fail"]):
        preflight.check_dry_run(job, base, trainer, found)
    give_verdict(job, found)
    if only_preflight:
        return
    _stop_if_asked(job)
    trained = _train(job, base, trainer, watch, rows)
    export(job, trained)


def _stop_if_asked(job: Job) -> None:
    if reason := job.stop_asked():
        raise Ended(STOPPED, reason)


def _load(job: Job, tokenizer: Any, rows: Encoded) -> Base:
    sample = [token for ids in rows.ids[:16] for token in ids]
    if job.run["backend_name"] == "unsloth":
        from llmops_kernel.finetune.worker.unsloth import load_with_unsloth

        return load_with_unsloth(job, tokenizer, sample, max(rows.lengths, default=8))
    return load_base(job, tokenizer, sample)


def _train(
    job: Job, base: Base, trainer: Any, watch: Watch, rows: dict[str, Encoded]
) -> dict[str, Any]:
    """Train, write the model to ``final`` and its figures to ``trained.json``."""
    from llmops_kernel.finetune.worker.trying import untouched_randomness

    checkpoint = job.folder.checkpoint() if job.run.get("resume") else None
    _drop_broken(job.folder.checkpoints, checkpoint)
    before = None
    if job.run["eval"]["compare_with"] == "base" and len(rows["eval"]):
        before = _loss_before(job, trainer, watch, resumed=checkpoint is not None)
    began = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seconds = time.monotonic() - began
    step = trainer.state.global_step
    if watch.stopped and step < trainer.state.max_steps:
        raise Ended(STOPPED, watch.stopped, detail=f"step {step} of {trainer.state.max_steps}")
    metrics: dict[str, Any] = {
        "steps": step, "train_s": round(seconds, 3), "tokens": watch.tokens,
        "train_loss": _last_loss(trainer), "base_eval_loss": before,
    }  # fmt: skip
    if len(rows["eval"]):
        metrics["eval_loss"] = _loss_after(trainer, watch, step)
        metrics["eval_rows"] = len(rows["eval"])
    with untouched_randomness():
        watch.sample(trainer.model, step, always=True)
    _save(job, base, trainer)
    if count := _answers_asked(job):
        job.emit({"event": "answers"})
        held_out = [row for row, _ in zip(job.rows("eval"), range(count), strict=False)]
        if held_out:
            found = exactly_right(
                trainer.model, base.tokenizer, held_out, system=job.run["template"]["system"]
            )
            metrics["answers"] = found
            job.emit({"event": "answers", **found})
    trained = {"metrics": metrics, "gate": _gate(job, metrics)}
    write_json(job.folder.trained, trained)
    shutil.rmtree(job.folder.checkpoints, ignore_errors=True)  # the optimiser's states are large
    return trained


def _loss_before(job: Job, trainer: Any, watch: Watch, *, resumed: bool) -> float | None:
    """Return the evaluation loss of the base itself; a resumed run has measured it before."""
    from llmops_kernel.finetune.events import Tail
    from llmops_kernel.finetune.worker.trying import untouched_randomness

    if resumed:
        told = [e for e in Tail(job.folder.events).read() if e["event"] == "eval"]
        return next((e.get("loss") for e in told if not e.get("step")), None)
    watch.quiet = True
    with untouched_randomness():
        metrics = trainer.evaluate()
    watch.quiet = False
    watch.tell_eval(0, metrics)
    return float(metrics["eval_loss"])


def _loss_after(trainer: Any, watch: Watch, step: int) -> float:
    for entry in reversed(trainer.state.log_history):
        if "eval_loss" in entry and entry.get("step") == step:
            return float(entry["eval_loss"])
    watch.quiet = True
    metrics = trainer.evaluate()
    watch.quiet = False
    watch.tell_eval(step, metrics)
    return float(metrics["eval_loss"])


def _last_loss(trainer: Any) -> float | None:
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return float(losses[-1]) if losses else None


def _save(job: Job, base: Base, trainer: Any) -> None:
    """Write weights and tokenizer, and nothing that would have to be unpickled."""
    final = job.folder.final
    part = final.with_name(".final")
    shutil.rmtree(part, ignore_errors=True)
    model = trainer.accelerator.unwrap_model(trainer.model)
    model.save_pretrained(str(part))
    base.tokenizer.save_pretrained(str(part))
    shutil.rmtree(final, ignore_errors=True)
    part.replace(final)


def _gate(job: Job, metrics: dict[str, Any]) -> dict[str, Any] | None:
    """Return whether the model passed its gate; None without one."""
    gate = job.run["eval"]["gate"]
    if not gate or not gate["eval_loss_not_worse"]:
        return None
    before, after = metrics.get("base_eval_loss"), metrics.get("eval_loss")
    if before is None or after is None:
        return {"passed": False, "detail": "there were no rows to evaluate on"}
    passed = math.isfinite(after) and after <= before
    return {"passed": passed, "detail": f"evaluation loss {before:.4f} before, {after:.4f} after"}


def export(job: Job, trained: dict[str, Any]) -> None:
    """Make the exports; what cannot be made is told and stops nothing else."""
    gate = trained.get("gate")
    if gate is not None and not gate["passed"]:
        return
    asked = job.run["export"]
    _stop_if_asked(job)
    if not asked:
        return
    from llmops_kernel.finetune.export.worker import run_exports

    job.folder.out.mkdir(exist_ok=True)
    run = {**job.run, "base": _on_disk(job.run["base"])}
    trained["exports"] = run_exports(run, job.folder.final, job.folder.out, job.emit)
    write_json(job.folder.trained, trained)


def _on_disk(base: str) -> str:
    """Return the folder of a base; of one from the hub, where the training has put it."""
    if os.path.isdir(base):  # noqa: PTH112 - a hub id is no path
        return base
    from huggingface_hub import snapshot_download

    return str(snapshot_download(base, local_files_only=True))


def _answers_asked(job: Job) -> int:
    asked = job.run["eval"]["answers"]
    if asked is None:
        return _ANSWERS if job.run["task"] == "classify" else 0
    return int(asked)


def _drop_broken(folder: Path, whole: Path | None) -> None:
    """Remove checkpoints that were broken off, or that a run which starts anew does not want."""
    for path in folder.glob("checkpoint-*"):
        if whole is None or not (path / "trainer_state.json").exists():
            shutil.rmtree(path, ignore_errors=True)


def write_packages(job: Job) -> None:
    """Write the versions of all packages here, to make the environment again."""
    found = sorted(
        {f"{each.metadata['Name']}=={each.version}" for each in distributions()}, key=str.lower
    )
    job.folder.packages.write_text("\n".join([*found, ""]), encoding="utf-8")
