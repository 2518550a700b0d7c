"""TRL's trainer as a plain script would make it: steps, evaluations and logs from the job."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.worker.watching import Watch, as_callback

if TYPE_CHECKING:
    from llmops_kernel.finetune.worker.encode import Encoded
    from llmops_kernel.finetune.worker.job import Job
    from llmops_kernel.finetune.worker.loading import Base

_LOGS = 50  # points of the training curve, about
_EVALS = 10
_EVAL_SHARE = 0.2  # rows that may be evaluated for each row trained on


def trainer_of(job: Job, base: Base, rows: dict[str, Encoded], length: int) -> tuple[Any, Watch]:
    """Return TRL's trainer, and the watch that is among its callbacks."""
    from transformers import PrinterCallback, set_seed
    from trl import SFTConfig, SFTTrainer

    train = job.train
    steps = steps_of(train, len(rows["train"]))
    config = SFTConfig(
        output_dir=str(job.folder.checkpoints),
        num_train_epochs=train["epochs"],
        max_steps=train["max_steps"] or -1,
        per_device_train_batch_size=train["batch"],
        per_device_eval_batch_size=train["batch"],
        gradient_accumulation_steps=train["accumulate"],
        learning_rate=train["lr"],
        lr_scheduler_type=train["schedule"],
        warmup_steps=min(train["warmup_steps"], max(steps - 1, 0)),
        seed=train["seed"],
        bf16=base.precision == "bf16",
        fp16=base.precision == "fp16",
        use_cpu=not base.gpu,
        **_recomputing(SFTConfig, base.checkpointing),
        max_length=length,
        packing=train["packing"],
        logging_steps=max(1, min(10, steps // _LOGS)),
        logging_first_step=True,
        eval_strategy="steps" if len(rows["eval"]) else "no",
        eval_steps=_eval_steps(job, steps, rows) if len(rows["eval"]) else None,
        save_strategy="no" if train["save_every"] == "auto" else "steps",
        save_steps=500 if train["save_every"] == "auto" else train["save_every"],
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=base.gpu,
    )
    if base.tokenizer.pad_token is None:
        base.tokenizer.pad_token = base.tokenizer.eos_token
    watch = Watch(job, base.tokenizer)
    set_seed(train["seed"])
    trainer = SFTTrainer(
        model=base.model,
        args=config,
        train_dataset=_data_set(rows["train"]),
        eval_dataset=_data_set(rows["eval"]) if len(rows["eval"]) else None,
        processing_class=base.tokenizer,
        peft_config=base.peft_config,
        callbacks=[as_callback(watch)],
    )
    trainer.remove_callback(PrinterCallback)
    # TRL writes a card into each checkpoint, and looks the base up on the hub for it.
    trainer.create_model_card = lambda *_, **__: None
    return trainer, watch


def _recomputing(config: Any, on: bool) -> dict[str, bool]:
    """Return the option under the name this version of transformers has for it."""
    known = {each.name for each in fields(config)}
    new = "activation_checkpointing"
    return {new if new in known else "gradient_checkpointing": on}


def _data_set(rows: Encoded) -> Any:
    import datasets
    import numpy as np

    # Arrays, because a list of a million rows' numbers would take ten times the memory.
    columns = {
        name: [np.frombuffer(each, dtype=np.int32) for each in column]
        for name, column in (("input_ids", rows.ids), ("labels", rows.labels))
    }
    return datasets.Dataset.from_dict(columns)


def steps_of(train: dict[str, Any], rows: int) -> int:
    """Return how many optimiser steps a training has (packing makes it fewer)."""
    if train["max_steps"]:
        return int(train["max_steps"])
    batches = -(-rows // int(train["batch"]))
    updates = max(-(-batches // int(train["accumulate"])), 1)
    return max(1, math.ceil(updates * float(train["epochs"])))


def _eval_steps(job: Job, steps: int, rows: dict[str, Encoded]) -> int:
    asked = job.train["eval_every"]
    if asked != "auto":
        return int(asked)
    trained_on = steps * int(job.train["batch"]) * int(job.train["accumulate"])
    times = int(_EVAL_SHARE * trained_on / max(len(rows["eval"]), 1))
    return max(1, math.ceil(steps / min(max(times, 1), _EVALS)))
