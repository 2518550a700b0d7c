"""The pre-flight of a training that another program does: all that needs no training loop.

The weights are not loaded for it: a model without data has the same shapes. Only a small base is,
to see whether it has learnt anything; a large one would take minutes and the memory of the
training.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.layout import STOPPED
from llmops_kernel.finetune.worker import looking, preflight
from llmops_kernel.finetune.worker.checks import Preflight
from llmops_kernel.finetune.worker.job import Ended
from llmops_kernel.finetune.worker.loading import (
    entropy_share,
    load_tokenizer,
    looks_random,
    no_base,
    precision_of,
)
from llmops_kernel.finetune.worker.memory import estimate, shape_of
from llmops_kernel.finetune.worker.verdict import refuse_if_fatal

if TYPE_CHECKING:
    from llmops_kernel.finetune.worker.encode import Encoded
    from llmops_kernel.finetune.worker.job import Job

_LOADED = 300_000_000  # parameters up to which a base is loaded to be looked at


def look_beforehand(job: Job, *, here: bool = True) -> tuple[Preflight, int]:
    """Check data, template, lengths, labels, ends, exports, memory, disk and cost.

    Args:
        job: The job.
        here: Whether it trains on this machine; else memory, disk and exports are not compared.

    Returns:
        What was found, without the verdict, and the tokens a row may have.

    Raises:
        Ended: It was refused or stopped.
    """
    import torch

    found = Preflight()
    tokenizer = load_tokenizer(job)
    whole = looking.read_rows(job, tokenizer, found)
    if reason := job.stop_asked():
        raise Ended(STOPPED, reason)
    base = _outline(job)
    rows, length = looking.check_rows(job, whole, base, tokenizer, found)
    parameters = int(base.model.num_parameters())
    if job.run["method"] != "full" and (why := _random(job, base, whole["train"], parameters)):
        found.add(
            "base", "stop", "LoRA cannot teach a base with random weights", detail=why, fatal=True,
            hint="Train the base whole first (method: full), then adapt it",
        )  # fmt: skip
    if here:
        preflight.check_exports(job, found)
    refuse_if_fatal(job, found)
    gpu = torch.cuda.is_available()
    _estimate_memory(job, base, rows["train"], parameters, found, gpu=gpu or not here)
    if here:
        limit, whose = preflight.memory_limit(job, gpu=gpu)
        preflight.judge_memory(found.figures["memory"], limit, whose, found)
        found.figures["device"] = preflight.device_name(gpu=gpu)
        preflight.check_disk(job, found)
        _bound_cost(job, found)
    else:
        low, high = (found.figures["memory"][name] / 2**30 for name in ("low", "high"))
        found.add("memory", "ok", "The memory of the training is estimated",
                  detail=f"{low:.2f} to {high:.2f} GiB on a GPU")  # fmt: skip
    return found, length


def _outline(job: Job) -> Any:
    """Return the base as shapes without data, with its configurations."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    name = job.run["base"]
    try:
        config = AutoConfig.from_pretrained(name)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError) as error:
        raise no_base(error) from error
    try:
        generation = GenerationConfig.from_pretrained(name)
    except OSError:  # there is none beside the configuration
        generation = GenerationConfig.from_model_config(config)
    return SimpleNamespace(model=model, config=config, generation_config=generation)


def _random(job: Job, base: Any, rows: Encoded, parameters: int) -> str:
    """Return why the base seems never to have been trained; a large one is taken at its word."""
    entropy = None
    if parameters <= _LOADED:
        import torch
        from transformers import AutoModelForCausalLM

        try:
            loaded = AutoModelForCausalLM.from_pretrained(job.run["base"], dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise no_base(error) from error
        entropy = entropy_share(loaded, [token for ids in rows.ids[:16] for token in ids])
    seen: Any = SimpleNamespace(model=base.model, entropy=entropy)
    return looks_random(job, seen)


def _estimate_memory(
    job: Job, base: Any, rows: Encoded, parameters: int, found: Preflight, *, gpu: bool
) -> None:
    """Put the estimate among the figures."""
    model, train, lora = base.model, job.train, job.run["lora"]
    embedding = model.get_input_embeddings().weight.numel()
    head = model.get_output_embeddings()
    if head is not None and not base.config.get_text_config().tie_word_embeddings:
        embedding += head.weight.numel()
    trainable = parameters
    if job.run["method"] != "full":
        from peft import LoraConfig, get_peft_model

        whole = lora["save_modules"]
        options = LoraConfig(
            r=lora["r"], target_modules=lora["targets"], task_type="CAUSAL_LM",
            modules_to_save=None if whole == "auto" else whole or None,
        )  # fmt: skip
        try:
            adapted = get_peft_model(model, options)
        except ValueError as error:
            found.add("adapters", "stop", "The adapters do not fit the base", fatal=True,
                      detail=str(error)[:300], hint="Look at lora.targets")  # fmt: skip
            refuse_if_fatal(job, found)
            raise
        trainable = sum(each.numel() for each in adapted.parameters() if each.requires_grad)
    longest = max((len(each) for each in rows.ids), default=0)
    packed = found.figures["max_length"] if train["packing"] else longest
    precision = precision_of(
        train["precision"], job.run["method"], gpu=_has_cuda(), parameters=parameters
    )
    checkpointing = train["checkpointing"] in ("auto", True)  # as it is written for Axolotl
    found.figures |= {
        "memory": estimate(
            shape_of(base.config, parameters, trainable, embedding),
            method=job.run["method"], precision=precision, tokens=packed * train["batch"],
            longest=packed, checkpointing=checkpointing, gpu=gpu,
        ),
        "parameters": parameters, "trainable": trainable, "precision": precision,
        "checkpointing": checkpointing,
    }  # fmt: skip


def _has_cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _bound_cost(job: Job, found: Preflight) -> None:
    """Say what bounds time and cost, where no step was timed."""
    limits = job.run["limits"]
    wall, price = limits["wall"], float(limits["gpu_hour_usd"] or 0)
    if not wall:
        found.add("time and cost", "warn", "Nothing bounds the time of the training",
                  detail="its program trains by itself, no step was timed",
                  hint="limits.wall ends it")  # fmt: skip
        return
    detail = f"limits.wall is {preflight.spell_time(wall)}"
    if price:
        worst = wall / 3_600 * price
        detail += f", ${worst:.2f} at most"
        if limits["cost"] is not None and worst > float(limits["cost"]):
            found.add("time and cost", "stop", "The training could cost more than it may",
                      detail=detail, hint="Lower limits.wall, or raise limits.cost")  # fmt: skip
            return
    found.add("time and cost", "ok", "Time and cost are bounded", detail=detail)
