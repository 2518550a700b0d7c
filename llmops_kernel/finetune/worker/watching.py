"""What the trainer tells while it trains, and how it is stopped."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.worker.answering import answer
from llmops_kernel.finetune.worker.trying import untouched_randomness

if TYPE_CHECKING:
    from llmops_kernel.finetune.worker.job import Job

_SAVE_S = 60.0  # seconds between checkpoints, at least
_SAVE_SHARE = 50.0  # and this many times as long as one takes
_SAMPLE_SHARE = 0.01  # share of the time that samples may take
_SAMPLE_TOKENS = 48


class Watch:
    """Turns a trainer's callbacks into events; stops and saves when it should.

    Args:
        job: The job.
        tokenizer: The tokenizer, for samples.
    """

    def __init__(self, job: Job, tokenizer: Any) -> None:
        self._job = job
        self._tokenizer = tokenizer
        self._began = self._saved_at = time.monotonic()
        self._save_took = 0.0
        self._asked_save: float | None = None
        self._first_step = 0
        self._first_tokens: float | None = None
        self._sampling = 0.0
        self._by_clock = job.train["save_every"] == "auto"
        self.stopped = ""
        self.quiet = False  # before the training, evaluations are told by who asks for them
        self.tokens = 0

    def on_train_begin(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Tell how many steps there are, and from which it goes on."""
        self._began = self._saved_at = time.monotonic()
        self._first_step = state.global_step
        self._job.emit(
            {"event": "train", "steps": state.max_steps, "from_step": state.global_step,
             "batch": args.per_device_train_batch_size * args.gradient_accumulation_steps}
        )  # fmt: skip

    def on_step_end(self, _: Any, __: Any, control: Any, **___: Any) -> Any:
        """Look whether to stop, and whether it is time for a checkpoint."""
        now = time.monotonic()
        if reason := self._job.stop_asked():
            self.stopped = reason
            control.should_save = control.should_training_stop = True
        elif self._by_clock and now - self._saved_at > max(_SAVE_S, _SAVE_SHARE * self._save_took):
            control.should_save = True
        if control.should_save:
            self._asked_save = now
        return control

    def on_log(
        self, _: Any, state: Any, __: Any, logs: dict[str, Any] | None = None, **___: Any
    ) -> None:
        """Tell loss, speed and what is left."""
        if not logs or "loss" not in logs:
            return
        elapsed = time.monotonic() - self._began
        done = state.global_step - self._first_step
        self.tokens = int(logs.get("num_tokens") or self.tokens)
        speed = None
        if self._first_tokens is None:
            # What came before a resumed run is not its own speed.
            self._first_tokens = 0.0 if not self._first_step else self.tokens
        if elapsed > 0 and self.tokens > self._first_tokens:
            speed = (self.tokens - self._first_tokens) / elapsed
        event = {
            "event": "step", "step": state.global_step, "steps": state.max_steps,
            "epoch": round(float(state.epoch or 0), 4), "loss": logs["loss"],
            "lr": logs.get("learning_rate"), "grad_norm": logs.get("grad_norm"),
            "accuracy": logs.get("mean_token_accuracy"), "tokens": self.tokens,
            "tokens_per_s": round(speed, 1) if speed else None, "elapsed_s": round(elapsed, 3),
            "eta_s": round(elapsed / done * (state.max_steps - state.global_step), 1)
            if done else None,
        }  # fmt: skip
        self._job.emit(event)

    def on_evaluate(
        self, _: Any, state: Any, __: Any, metrics: dict[str, Any] | None = None,
        model: Any = None, **___: Any,
    ) -> None:  # fmt: skip
        """Tell the loss on the evaluation rows, and show what the probe prompt gets now."""
        if self.quiet:
            return
        self.tell_eval(state.global_step, metrics or {})
        self.sample(model, state.global_step)

    def on_save(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
        """Tell a checkpoint."""
        now = time.monotonic()
        if self._asked_save is not None:
            self._save_took = now - self._asked_save
        self._saved_at = now
        self._job.emit({"event": "checkpoint", "step": state.global_step,
                        "took_s": round(self._save_took, 3)})  # fmt: skip

    def tell_eval(self, step: int, metrics: dict[str, Any]) -> None:
        """Tell an evaluation."""
        self._job.emit(
            {"event": "eval", "step": step, "loss": metrics.get("eval_loss"),
             "accuracy": metrics.get("eval_mean_token_accuracy")}
        )  # fmt: skip

    def sample(self, model: Any, step: int, *, always: bool = False) -> None:
        """Answer the first probe prompt, unless samples have taken too much time already."""
        probes = self._job.run.get("probes") or []
        elapsed = time.monotonic() - self._began
        if model is None or not probes or (not always and self._sampling > _SAMPLE_SHARE * elapsed):
            return
        began = time.monotonic()
        with untouched_randomness():
            text = answer(
                model, self._tokenizer, [probes[0]],
                system=self._job.run["template"]["system"], new_tokens=_SAMPLE_TOKENS,
            )[0]  # fmt: skip
        self._sampling += time.monotonic() - began
        self._job.emit({"event": "sample", "step": step, "prompt": probes[0], "text": text})


def as_callback(watch: Watch) -> Any:
    """Return a watch as the callback class that transformers asks for."""
    from transformers import TrainerCallback

    names = ("on_train_begin", "on_step_end", "on_log", "on_evaluate", "on_save")
    kind = type("LLMOpsWatch", (TrainerCallback,), {})
    made = kind()
    for name in names:
        setattr(made, name, getattr(watch, name))
    return made
