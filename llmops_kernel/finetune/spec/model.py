"""The schema of ``%%finetune``; unknown names are refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune.export.kinds import parse
from llmops_kernel.finetune.spec.units import duration, size

Task = Literal["chat", "completion", "classify"]
Method = Literal["full", "lora", "qlora"]
Format = Literal[
    "auto", "messages", "prompt-completion", "sharegpt", "alpaca", "csv", "traces", "feedback"
]
BackendName = Literal["auto", "trl", "unsloth", "axolotl", "axolotl-export"]
Schedule = Literal[
    "linear", "cosine", "constant", "constant_with_warmup", "polynomial", "inverse_sqrt"
]

Seconds = Annotated[float, BeforeValidator(duration)]
Bytes = Annotated[int, BeforeValidator(size)]
Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BackendSpec(_Part):
    """What trains.

    Attributes:
        name: ``auto`` takes Unsloth where a GPU and its environment are, and TRL elsewhere.
        python: An interpreter to use in place of the side environment's.
        threads: CPU threads; ``auto`` follows the machine's real quota.
    """

    name: BackendName = "auto"
    python: str | None = None
    threads: Literal["auto"] | Count = "auto"


class DataSpec(_Part):
    """Where the rows come from, and how they are cleaned and split.

    Attributes:
        path: A file (JSONL, JSON, CSV); for traces ``record`` reads the record of this machine.
        format: Form of the rows; ``auto`` looks at them.
        eval_path: Rows to evaluate on, in place of a share of the others.
        eval_fraction: Share of rows that is kept for evaluation.
        split_seed: Seed of the split.
        dedupe: ``true`` leaves out repeats and near-repeats, ``exact`` only repeats.
        group: Field whose equal values stay on one side of the split (a customer, a document).
        columns: Names of CSV columns or fields by what they hold (``text``, ``label``, ``prompt``,
            ``completion``, ``system``).
        personal: What is done about personal data: ``keep`` (and say so), ``mask`` or ``drop``.
            Rows with secrets are always left out.
        limit: How many rows are read at most.
    """

    path: Annotated[str, Field(min_length=1)]
    format: Format = "auto"
    eval_path: str | None = None
    eval_fraction: Annotated[float, Field(ge=0, le=0.9, allow_inf_nan=False)] = 0.1
    split_seed: Annotated[int, Field(ge=0, lt=2**32)] = 7
    dedupe: bool | Literal["exact"] = True
    group: str | None = None
    columns: dict[str, str] = {}
    personal: Literal["keep", "mask", "drop"] = "keep"
    limit: Count | None = None


class TemplateSpec(_Part):
    """How chats become text.

    Attributes:
        source: ``tokenizer``, or a file with a Jinja template.
        system: A system message for chats that have none.
    """

    source: Annotated[str, Field(min_length=1)] = "tokenizer"
    system: str | None = None


class LoraSpec(_Part):
    """Low-rank adapters (Hu et al. 2021).

    Attributes:
        r: Rank.
        alpha: Scale; updates are multiplied by alpha / r.
        dropout: Share of inputs of the adapters that is dropped while training.
        targets: ``all-linear``, or names of modules.
        save_modules: Modules trained whole. ``auto`` takes the embeddings of small models, whose
            frozen embeddings would bound what can be learnt.
    """

    r: Annotated[int, Field(gt=0, le=1024)] = 16
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 32
    dropout: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0
    targets: Literal["all-linear"] | list[str] = "all-linear"
    save_modules: Literal["auto"] | list[str] = "auto"


class TrainSpec(_Part):
    """How long, how large the steps, and what is learnt.

    Attributes:
        epochs: Passes over the rows.
        max_steps: Optimiser steps, over ``epochs``.
        max_length: Tokens of a row; ``auto`` takes what the rows need, within the model's limit.
        packing: Put several rows into one sequence.
        loss_on: Whose tokens are learnt: the assistant's, the completion's, or all.
        batch: Rows of a step on a device.
        accumulate: Batches of one optimiser step.
        lr: Peak learning rate.
        schedule: How the rate falls.
        warmup_steps: Steps over which it rises.
        seed: Of everything that is drawn.
        precision: ``auto`` is fp32 on CPUs without bf16 and for models under 10 M parameters.
        checkpointing: Recompute activations to save memory; ``auto`` from 300 M parameters.
        eval_every: Steps between evaluations; ``auto`` keeps them to a share of the time.
        save_every: Steps between checkpoints; ``auto`` goes by the clock.
    """

    epochs: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)] = 3
    max_steps: Count | None = None
    max_length: Literal["auto"] | Annotated[int, Field(ge=8, le=10_000_000)] = "auto"
    packing: bool = False
    loss_on: Literal["assistant", "completion", "all"] = "assistant"
    batch: Annotated[int, Field(gt=0, le=65_536)] = 8
    accumulate: Annotated[int, Field(gt=0, le=65_536)] = 1
    lr: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 2e-4
    schedule: Schedule = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 10
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 7
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    checkpointing: Literal["auto"] | bool = "auto"
    eval_every: Literal["auto"] | Count = "auto"
    save_every: Literal["auto"] | Count = "auto"


class LimitSpec(_Part):
    """What a run may take.

    Attributes:
        wall: Seconds; a run that reaches it keeps a checkpoint and ends.
        memory: Bytes of the training process; None bounds it by the machine alone.
        cost: US dollars, with ``gpu_hour_usd``; refused before it starts if it would pass it.
        gpu_hour_usd: Price of an hour of the device; a machine of one's own costs nothing.
    """

    wall: Seconds | None = None
    memory: Bytes | None = None
    cost: Annotated[Decimal, Field(ge=0, max_digits=12)] | None = None
    gpu_hour_usd: Annotated[Decimal, Field(ge=0, max_digits=12)] = Decimal(0)

    @field_validator("cost", "gpu_hour_usd", mode="before")
    @classmethod
    def _exact(cls, value: Any) -> Any:
        return str(value) if isinstance(value, float) else value


class PreflightSpec(_Part):
    """What the checks before the training allow.

    Attributes:
        truncated_max: Share of rows that may lose tokens.
        masked_max: Share of rows that may have nothing left to learn.
        dry_run_steps: Optimiser steps on the longest batch; 0 leaves the dry run out.
        on_fail: ``stop``, or ``warn`` to go on with a warning where that is possible at all.
    """

    truncated_max: Share = 0.01
    masked_max: Share = 0.0
    dry_run_steps: Annotated[int, Field(ge=0, le=20)] = 2
    on_fail: Literal["stop", "warn"] = "stop"


class GateSpec(_Part):
    """What a trained model must reach to be registered."""

    eval_loss_not_worse: bool = True


class EvalSpec(_Part):
    """What is looked at beside the loss.

    Attributes:
        prompts: Probe prompts: a JSONL file with ``prompt`` or ``messages``.
        compare_with: ``base`` measures the model before training, too.
        gate: Conditions for registering; needs ``compare_with``.
        answers: How many rows of the evaluation split are answered after training, to count the
            answers that are exactly right (0 for none; by default only for ``task: classify``).
    """

    prompts: str | None = None
    compare_with: Literal["base"] | None = "base"
    gate: GateSpec | None = None
    answers: Annotated[int, Field(ge=0, le=10_000)] | None = None


class FineTuneSpec(_Part):
    """One fine-tuning job; see ``%%finetune --help`` for an example."""

    task: Task = "chat"
    base: Annotated[str, Field(min_length=1, max_length=500)]
    backend: BackendSpec = BackendSpec()
    data: DataSpec
    template: TemplateSpec = TemplateSpec()
    method: Method = "lora"
    lora: LoraSpec = LoraSpec()
    train: TrainSpec = TrainSpec()
    limits: LimitSpec = LimitSpec()
    preflight: PreflightSpec = PreflightSpec()
    eval: EvalSpec = EvalSpec()
    export: list[str] = []
    register_as: Annotated[str | None, Field(alias="register")] = None

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=False, validate_by_alias=True
    )

    @field_validator("export")
    @classmethod
    def _known_exports(cls, value: list[str]) -> list[str]:
        try:
            return [export.name for export in parse(value)]
        except UsageProblem as problem:
            raise ValueError(f"{problem.message}. {problem.hint}") from None

    @model_validator(mode="after")
    def _fits(self) -> FineTuneSpec:
        if self.method == "full" and {"adapter", "gguf-adapter"} & set(self.export):
            raise ValueError("method full makes no adapter to export")
        if "ollama-modelfile" in self.export and not any(
            each.startswith("gguf:") for each in self.export
        ):
            raise ValueError("an ollama-modelfile names a GGUF file: export gguf:q8_0 as well")
        gate = self.eval.gate
        if gate is not None and gate.eval_loss_not_worse and self.eval.compare_with is None:
            raise ValueError("the gate eval_loss_not_worse needs compare_with: base")
        return self

    def plain(self) -> dict[str, Any]:
        """Return the specification as JSON-like data, under the names of the YAML."""
        return self.model_dump(mode="json", by_alias=True)
