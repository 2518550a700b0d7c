"""Loading with Unsloth, which patches what trains; everything after is the same.

The module ``unsloth`` was imported before anything else of this process (see `bring_in`). Where
there is no GPU it trains with transformers, PEFT and TRL as they are, in the precision they are
given; what it leaves out there is told before the training.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.layout import REFUSED
from llmops_kernel.finetune.worker.job import Ended
from llmops_kernel.finetune.worker.loading import (
    Base,
    check_vocabulary,
    entropy_share,
    four_bits,
    native_bf16,
    no_base,
    parameters_of,
    precision_of,
    recomputes,
    set_threads,
    trained_whole,
)

if TYPE_CHECKING:
    from llmops_kernel.finetune.worker.checks import Preflight
    from llmops_kernel.finetune.worker.job import Job

_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def bring_in(job: Job) -> None:
    """Import Unsloth, before transformers, TRL and PEFT, whose classes it rebinds.

    Raises:
        Ended: It cannot be imported.
    """
    # Whatever a person's shell says: it would install system packages as root, and clone.
    os.environ["UNSLOTH_AUTO_INSTALL"] = "0"
    os.environ["UNSLOTH_DISABLE_STATISTICS"] = "1"
    # The code it writes and imports again: this run's own, not found in or left to another's.
    os.environ["UNSLOTH_COMPILE_LOCATION"] = str(job.folder.path / "unsloth_compiled_cache")
    try:
        import unsloth  # noqa: F401
    except Exception as error:
        raise Ended(
            REFUSED, "Unsloth cannot be used here", detail=f"{type(error).__name__}: {error}"[:800],
            hint="llmops env create unsloth --again, or backend: {name: trl}",
        ) from error  # fmt: skip


def load_with_unsloth(job: Job, tokenizer: Any, sample: list[int], longest: int) -> Base:
    """Load base and adapters with ``FastLanguageModel``.

    Args:
        job: The job.
        tokenizer: The tokenizer that rows are encoded with; Unsloth's own is not used, because it
            may change tokens.
        sample: Tokens of training rows, to see whether the base has learnt anything.
        longest: Tokens of the longest row.

    Raises:
        Ended: The method does not fit the base or the machine.
    """
    import torch
    from unsloth import FastLanguageModel

    run, train, lora = job.run, job.train, job.run["lora"]
    method, gpu = run["method"], torch.cuda.is_available()
    if method == "qlora":
        four_bits(gpu=gpu)  # without bitsandbytes Unsloth would load 16 bits and say so in the log
    precision = _precision(job, gpu=gpu)
    asked = train["max_length"]
    try:
        model, _ = FastLanguageModel.from_pretrained(
            model_name=run["base"],
            max_seq_length=longest if asked == "auto" else asked,
            dtype=_weights(job, precision, gpu=gpu),
            load_in_4bit=method == "qlora",
            load_in_16bit=method == "lora",
            full_finetuning=method == "full",
            use_gradient_checkpointing=_recomputing(train["checkpointing"], gpu=gpu),
            random_state=train["seed"],
        )
    except (OSError, ValueError) as error:
        raise no_base(error) from error
    _check_loaded(run, model, gpu=gpu)
    parameters = int(model.num_parameters())
    set_threads(job, parameters)
    check_vocabulary(model, tokenizer)
    entropy = entropy_share(model, sample)
    if method != "full":
        everywhere = _LINEAR if gpu else "all-linear"
        model = FastLanguageModel.get_peft_model(
            model,
            r=lora["r"],
            target_modules=everywhere if lora["targets"] == "all-linear" else lora["targets"],
            lora_alpha=lora["alpha"],
            lora_dropout=lora["dropout"],
            bias="none",
            use_gradient_checkpointing=_recomputing(train["checkpointing"], gpu=gpu),
            random_state=train["seed"],
            **trained_whole(job, model, parameters),
        )
    checkpointing = recomputes(train["checkpointing"], parameters=parameters)
    if gpu and train["checkpointing"] == "auto":
        checkpointing = True
    return Base(model, tokenizer, None, gpu, precision, checkpointing, parameters, entropy)


def check_settings(job: Job, base: Base, found: Preflight) -> None:
    """Say what Unsloth does in another way than was asked for, on this machine."""
    if base.gpu:
        return
    told = []
    if job.train["packing"]:
        # A packed row's examples would see each other: it pads them instead.
        job.train["packing"] = False
        told.append("packing is off")
    asked = job.train["precision"]
    if asked not in ("auto", base.precision):
        told.append(f"{base.precision} is used for {asked}")
    if told:
        found.add(
            "unsloth", "warn", "Unsloth trains in another way on a CPU", detail="; ".join(told),
            hint="backend: {name: trl} keeps to what was asked",
        )  # fmt: skip


def _precision(job: Job, *, gpu: bool) -> str:
    asked, method = job.train["precision"], job.run["method"]
    if gpu:
        return precision_of(asked, method, gpu=True, parameters=0)
    if method == "qlora":
        # As TRL's adapters on 4-bit weights are; autocast puts the two together.
        if not native_bf16():
            raise Ended(
                REFUSED, "QLoRA with Unsloth needs a CPU that has bf16, or a GPU",
                hint="Use method: lora, or backend: {name: trl}",
            )  # fmt: skip
        return "bf16"
    chosen = precision_of(asked, method, gpu=False, parameters=parameters_of(job.run["base"]))
    # It trains in neither fp16 nor a bf16 that the CPU would emulate.
    return "fp32" if chosen == "fp32" or not native_bf16() else "bf16"


def _weights(job: Job, precision: str, *, gpu: bool) -> Any:
    """Return what the weights are loaded in; None leaves it to Unsloth."""
    import torch

    if gpu:
        precision = job.train["precision"]  # by itself it knows which GPU needs what
    elif job.run["method"] == "full":
        precision = "fp32"  # as with TRL: autocast does the rest
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}.get(precision)


def _recomputing(asked: str | bool, *, gpu: bool) -> str | bool:
    """Return Unsloth's own way of recomputing on a GPU; on a CPU the trainer sees to it."""
    return "unsloth" if gpu and asked is not False else False


def _check_loaded(run: dict[str, Any], model: Any, *, gpu: bool) -> None:
    """Refuse what Unsloth took instead of what was asked for, without a word."""
    loaded = str(getattr(model.config, "_name_or_path", ""))
    if not gpu and loaded and loaded != run["base"]:
        raise Ended(
            REFUSED, "Unsloth would train another base than was asked for",
            detail=f"{loaded} for {run['base']}",
            hint="Name that base, or train with backend: {name: trl}",
        )  # fmt: skip
    if run["method"] == "qlora" and getattr(model.config, "quantization_config", None) is None:
        raise Ended(
            REFUSED, "QLoRA does not work on this machine",
            detail="the base was not loaded in 4 bits", hint="Use method: lora, or a GPU",
        )  # fmt: skip
