"""The dry run: a few steps on the longest batch, measured, leaving no trace in the model.

The learning rate is zero, so AdamW allocates its moments and moves nothing; the states of the
random generators are put back. Out of memory comes now and not after hours, when the longest rows
happen to fall into one batch.
"""

from __future__ import annotations

import gc
import random
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.worker.job import peak_memory

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def untouched_randomness() -> Iterator[None]:
    """Put back the random generators' states, so that what runs within changes no result."""
    import numpy as np
    import torch

    kept = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    try:
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
        torch.set_rng_state(kept[2])
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


def dry_run(trainer: Any, steps: int) -> dict[str, Any]:
    """Train and evaluate on the longest batch.

    Args:
        trainer: A TRL trainer that has not trained yet.
        steps: Optimiser steps.

    Returns:
        ``loss``, ``step_s`` (seconds of the last step, one batch), ``tokens`` of the batch with
        padding, ``rows`` in it, ``peak`` bytes (of the process, or of the GPU), ``eval_s``.
    """
    import torch

    rows = trainer.train_dataset
    lengths = [len(each) for each in rows["input_ids"]]
    size = trainer.args.per_device_train_batch_size
    longest = sorted(range(len(lengths)), key=lambda place: -lengths[place])[:size]
    model = trainer.model
    if next(model.parameters()).device != trainer.args.device:
        model.to(trainer.args.device)  # a quantised one is there, and cannot be moved
    if trainer.args.gradient_checkpointing:
        model.gradient_checkpointing_enable(trainer.args.gradient_checkpointing_kwargs)
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.0)
    loss = step_s = 0.0
    try:
        with untouched_randomness():
            for _ in range(steps):
                began = time.perf_counter()
                model.train()
                loss = _step(trainer, [rows[place] for place in longest])
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                _synchronised(torch)
                step_s = time.perf_counter() - began
            began = time.perf_counter()
            model.eval()
            held_out = trainer.eval_dataset if trainer.eval_dataset is not None else rows
            few = range(min(trainer.args.per_device_eval_batch_size, len(held_out)))
            with torch.no_grad():
                _loss(trainer, [held_out[place] for place in few])
            _synchronised(torch)
            eval_s = time.perf_counter() - began
    finally:
        optimizer.zero_grad(set_to_none=True)
        del optimizer
        _forget(trainer)
        gc.collect()
    gpu = torch.cuda.is_available()
    peak = torch.cuda.max_memory_allocated() if gpu else peak_memory()
    widest = max(lengths[place] for place in longest)
    return {
        "loss": loss,
        "step_s": step_s,
        "eval_s": eval_s,
        "rows": len(longest),
        "tokens": widest * len(longest),
        "longest": widest,
        "peak": int(peak),
        "steps": steps,
    }


def _step(trainer: Any, rows: list[dict[str, Any]]) -> float:
    loss = _loss(trainer, rows)
    trainer.accelerator.backward(loss)
    return float(loss.detach())


def _loss(trainer: Any, rows: list[dict[str, Any]]) -> Any:
    columns = {"input_ids", "labels", "position_ids", "seq_lengths"}
    batch = trainer.data_collator([{k: v for k, v in row.items() if k in columns} for row in rows])
    batch = trainer._prepare_inputs(batch)  # noqa: SLF001 - moves it to the device as training does
    with trainer.accelerator.autocast():
        return trainer.compute_loss(trainer.model, batch)


def _forget(trainer: Any) -> None:
    """Take the dry run's figures out of TRL's running means."""
    for each in getattr(trainer, "_metrics", {}).values():
        each.clear()
    if hasattr(trainer, "_total_train_tokens"):
        trainer._total_train_tokens = 0  # noqa: SLF001


def _synchronised(torch: Any) -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
