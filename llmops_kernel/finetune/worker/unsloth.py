"""Loading with Unsloth, which patches what trains; everything after is the same.

The module ``unsloth`` was imported before anything else of this process (see ``__main__``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.worker.loading import Base, entropy_share, saved_whole, set_threads

if TYPE_CHECKING:
    from llmops_kernel.finetune.worker.job import Job

_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def load_with_unsloth(job: Job, tokenizer: Any, sample: list[int], longest: int) -> Base:
    """Load base and adapters with ``FastLanguageModel``.

    Args:
        job: The job.
        tokenizer: The tokenizer that rows are encoded with; Unsloth's own is not used, because it
            may change tokens.
        sample: Tokens of training rows, to see whether the base has learnt anything.
        longest: Tokens of the longest row.
    """
    import torch
    from unsloth import FastLanguageModel

    run, train, lora = job.run, job.train, job.run["lora"]
    method, gpu = run["method"], torch.cuda.is_available()
    asked = train["max_length"]
    model, _ = FastLanguageModel.from_pretrained(
        model_name=run["base"],
        max_seq_length=longest if asked == "auto" else asked,
        dtype={"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}.get(
            train["precision"]
        ),
        load_in_4bit=method == "qlora",
        load_in_16bit=method == "lora",
        full_finetuning=method == "full",
        random_state=train["seed"],
    )
    parameters = int(model.num_parameters())
    set_threads(job, parameters)
    entropy = entropy_share(model, sample)
    if method != "full":
        tied = bool(getattr(model.config, "tie_word_embeddings", False))
        whole = lora["save_modules"]
        whole = saved_whole(parameters, tied=tied) if whole == "auto" else whole
        options: dict[str, Any] = {"ensure_weight_tying": True} if whole and tied else {}
        model = FastLanguageModel.get_peft_model(
            model,
            r=lora["r"],
            target_modules=_LINEAR if lora["targets"] == "all-linear" else lora["targets"],
            lora_alpha=lora["alpha"],
            lora_dropout=lora["dropout"],
            bias="none",
            use_gradient_checkpointing="unsloth" if gpu else False,
            random_state=train["seed"],
            modules_to_save=whole or None,
            **options,
        )
    half = "bf16" if not gpu or torch.cuda.is_bf16_supported() else "fp16"
    precision = half if train["precision"] == "auto" else train["precision"]
    checkpointing = train["checkpointing"]
    return Base(
        model,
        tokenizer,
        None,
        gpu,
        precision,
        gpu if checkpointing == "auto" else bool(checkpointing),
        parameters,
        entropy,
    )
