"""The checks that need the model: exports, memory, disk, dry run, time and cost."""

from __future__ import annotations

import importlib.util
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.quota import memory_quota
from llmops_kernel.finetune.worker.memory import estimate, shape_of
from llmops_kernel.finetune.worker.trying import dry_run

if TYPE_CHECKING:
    from llmops_kernel.finetune.worker.checks import Preflight
    from llmops_kernel.finetune.worker.job import Job
    from llmops_kernel.finetune.worker.loading import Base

_OVER = 1.5  # times the wall limit from which it is no use to begin
_WIDE = 4  # bytes of a number that is trained
_CHECKPOINTS = 3  # two are kept, and one is written before the oldest goes


def check_exports(job: Job, found: Preflight) -> None:
    """Check that what is asked for can be made from this base, on this machine."""
    if not job.run["export"]:
        return
    planned = _planned(job)
    found.figures["exports"] = planned
    refused = [each for each in planned if each["state"] == "refused"]
    absent = [each for each in planned if each["state"] == "unavailable"]
    nothing = len(refused) + len(absent) == len(planned)
    if nothing and job.run["register"]:
        found.add("exports", "stop", "Nothing could be registered: no export can be made",
                  detail=_reasons([*refused, *absent]), hint=(refused or absent)[0]["hint"],
                  fatal=True)  # fmt: skip
    elif refused:
        found.add("exports", "stop", "An export cannot be made from this base",
                  detail=_reasons(refused), hint=refused[0]["hint"])  # fmt: skip
    elif absent:
        said = "None of the exports can" if nothing else "An export cannot"
        found.add("exports", "stop" if nothing else "warn", f"{said} be made on this machine",
                  detail=_reasons(absent), hint=absent[0]["hint"])  # fmt: skip
    elif not Path(job.run["base"]).is_dir() and job.run["export"] != ["adapter"]:
        found.add("exports", "warn", "Whether the exports can be made was not looked at",
                  detail="the base comes from the hub")  # fmt: skip
    else:
        found.add("exports", "ok", "The exports can be made",
                  detail=", ".join(each["export"] for each in planned))  # fmt: skip


def _planned(job: Job) -> list[dict[str, str]]:
    """Return what the exports' own look says, and what keeps one from being made beside it."""
    from llmops_kernel.finetune.export.worker import plan

    planned = plan(job.run)
    files = [each for each in planned if each["export"].startswith("gguf")]
    if importlib.util.find_spec("gguf") is None:
        for each in files:
            if each["state"] == "ready":
                each |= {"state": "unavailable", "reason": "GGUF files need the package gguf",
                         "hint": "Install gguf into the training environment"}  # fmt: skip
    models = [each for each in files if each["export"].startswith("gguf:")]
    for each in planned:
        if each["export"] == "ollama-modelfile" and each["state"] == "ready":
            lost = next((one for one in models if one["state"] != "ready"), None)
            if lost is not None and all(one["state"] != "ready" for one in models):
                each |= {"state": lost["state"], "reason": "its GGUF file cannot be made",
                         "hint": lost["hint"]}  # fmt: skip
    return planned


def _reasons(planned: list[dict[str, str]]) -> str:
    return "; ".join(f"{each['export']}: {each['reason']}" for each in planned)


def check_disk(job: Job, found: Preflight) -> None:
    """Check that checkpoints, the trained model and its exports find room; after the memory.

    A checkpoint holds what is trained in 32 bits and its two moments (Kingma and Ba 2015); three
    of them lie there while the oldest is given up. They are gone before exports are made.
    """
    trainable, parameters = found.figures["trainable"], found.figures["parameters"]
    whole = job.run["method"] == "full"
    final = _WIDE * (parameters if whole else trainable)
    training = _CHECKPOINTS * (_WIDE + 2 * _WIDE) * trainable + final
    exports, base = 0, Path(job.run["base"])
    asked = job.run["export"]
    if any(each not in ("adapter", "gguf-adapter", "ollama-modelfile") for each in asked):
        from llmops_kernel.finetune.export.worker import disk_needed

        exports = disk_needed(base) if base.is_dir() else 3 * 2 * parameters
    elif asked:
        exports = final
    needed = max(training, final + exports)
    free = shutil.disk_usage(job.folder.path).free
    found.figures["disk"] = {"free": free, "training": training, "exports": exports}
    detail = f"{free:,} bytes free, {needed:,} needed"
    if free < needed:
        found.add("disk", "stop", "The disk has too little room",
                  detail=f"{detail} ({_CHECKPOINTS} checkpoints, the model and its exports)",
                  hint="Free some disk, or set LLMOPS_HOME to a larger one")  # fmt: skip
    else:
        found.add("disk", "ok", "The disk has room", detail=detail)


def check_memory(job: Job, base: Base, trainer: Any, found: Preflight) -> None:
    """Estimate what the training takes, and compare it with what there is."""
    parameters = list(trainer.model.parameters())
    trainable = sum(each.numel() for each in parameters if each.requires_grad)
    embedding = base.model.get_input_embeddings().weight.numel()
    head = base.model.get_output_embeddings()
    if head is not None and not base.model.config.get_text_config().tie_word_embeddings:
        embedding += head.weight.numel()
    longest = max((len(each) for each in trainer.train_dataset["input_ids"]), default=0)
    batch = 1 if job.train["packing"] else job.train["batch"]
    parts = estimate(
        shape_of(base.model.config, base.parameters, trainable, embedding),
        method=job.run["method"],
        precision=base.precision,
        tokens=longest * batch,
        longest=longest,
        checkpointing=base.checkpointing,
        gpu=base.gpu,
    )
    found.figures |= {
        "memory": parts, "parameters": base.parameters, "trainable": trainable,
        "precision": base.precision, "checkpointing": base.checkpointing,
        "entropy_share": base.entropy, "device": device_name(gpu=base.gpu),
    }  # fmt: skip
    limit, whose = memory_limit(job, gpu=base.gpu)
    judge_memory(parts, limit, whose, found)


def judge_memory(parts: dict[str, int], limit: int, whose: str, found: Preflight) -> None:
    """Compare an estimate with the bytes there are."""
    detail = f"{_gib(parts['low'])} to {_gib(parts['high'])} estimated, {_gib(limit)} {whose}"
    hint = "Use a smaller batch with more accumulate, a shorter max_length, or method: lora"
    if parts["low"] > limit:
        found.add("memory", "stop", "The training needs more memory than there is",
                  detail=detail, hint=hint)  # fmt: skip
    elif parts["high"] > limit:
        found.add("memory", "warn", "The training may need more memory than there is",
                  detail=detail, hint=hint)  # fmt: skip
    else:
        found.add("memory", "ok", "The memory is enough", detail=detail)


def check_dry_run(job: Job, base: Base, trainer: Any, found: Preflight) -> None:
    """Train and evaluate on the longest batch; from its time and memory judge the whole run."""
    measured = dry_run(trainer, job.run["preflight"]["dry_run_steps"])
    found.figures["dry_run"] = measured
    if not math.isfinite(measured["loss"]):
        found.add("dry run", "stop", "The loss is not a number on the longest batch", fatal=True,
                  hint="Try precision: fp32, and look at the rows")  # fmt: skip
        return
    limit, whose = memory_limit(job, gpu=base.gpu)
    peak = f"{_gib(measured['peak'])} at most, {_gib(limit)} {whose}"
    batch = f"{measured['rows']} rows of {measured['longest']} tokens"
    if measured["peak"] > limit:
        found.add("dry run", "stop", "The longest batch takes more memory than there is",
                  detail=f"{peak}; {batch}",
                  hint="Use a smaller batch with more accumulate")  # fmt: skip
    else:
        found.add("dry run", "ok", "The longest batch can be trained", detail=f"{peak}; {batch}")
    _check_time(job, trainer, measured, found)


def _check_time(job: Job, trainer: Any, measured: dict[str, Any], found: Preflight) -> None:
    from llmops_kernel.finetune.worker.trainer import steps_of

    lengths = [len(each) for each in trainer.train_dataset["input_ids"]]
    size = job.train["batch"] * job.train["accumulate"]
    steps = steps_of(job.train, len(lengths))
    # By tokens, because most batches are shorter than the longest one.
    mean = sum(lengths) / len(lengths) * min(size, len(lengths))
    seconds = steps * measured["step_s"] * mean / max(measured["tokens"], 1)
    limits = job.run["limits"]
    price = float(limits["gpu_hour_usd"] or 0)
    usd = seconds / 3_600 * price
    found.figures |= {"estimated_s": round(seconds, 1), "estimated_usd": round(usd, 4)}
    detail = f"about {spell_time(seconds)} for {steps:,} steps"
    if limits["wall"]:
        detail += f", limits.wall is {spell_time(limits['wall'])}"
    if price:
        detail += f", about ${usd:.2f}"
    if limits["cost"] is not None and usd > float(limits["cost"]):
        found.add("time and cost", "stop", "The training would cost more than it may",
                  detail=detail, hint="Fewer epochs, or a higher limits.cost")  # fmt: skip
    elif limits["wall"] and seconds > _OVER * limits["wall"]:
        found.add("time and cost", "stop", "The training would take much longer than it may",
                  detail=detail, hint="Fewer epochs or rows, or a higher limits.wall")  # fmt: skip
    elif limits["wall"] and seconds > limits["wall"]:
        found.add("time and cost", "warn", "The training may reach its wall limit",
                  detail=detail, hint="It would stop there with a checkpoint")  # fmt: skip
    else:
        found.add("time and cost", "ok", "Time and cost are within the limits", detail=detail)


def memory_limit(job: Job, *, gpu: bool) -> tuple[int, str]:
    """Return the bytes a training may take, and whose they are."""
    limit = job.run["limits"]["memory"]
    if gpu:
        import torch

        # Asking for what is free would take a part of it for good, beside a program that trains.
        return int(torch.cuda.get_device_properties(0).total_memory), "on the GPU"
    total = memory_quota()
    if limit and limit < total:
        return int(limit), "allowed (limits.memory)"
    return total, "on this machine"


def device_name(*, gpu: bool) -> str:
    """Return what trains."""
    if not gpu:
        return "CPU"
    import torch

    return str(torch.cuda.get_device_name())


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB"


def spell_time(seconds: float) -> str:
    """Return seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"
