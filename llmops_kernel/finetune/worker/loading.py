"""The base: tokenizer, weights, adapters to be, and whether it has learnt anything yet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.layout import REFUSED
from llmops_kernel.finetune.worker.job import Ended

if TYPE_CHECKING:
    from llmops_kernel.finetune.worker.job import Job

_SMALL = 10_000_000  # parameters below which bf16 wins nothing on a CPU
_SMALL_BASE = 50_000_000  # below this, frozen embeddings bound what an adapter can learn
_RECOMPUTE = 300_000_000  # parameters from which activations are recomputed
_PROBED = 512  # tokens the entropy of a base is measured on
# Share of the largest entropy there is (that of a uniform draw) from which a base knows nothing.
# A random model lies at .9 and above; one that has learnt its vocabulary's frequencies at .7.
_RANDOM = 0.85


@dataclass(slots=True)
class Base:
    """What is trained.

    Attributes:
        model: The model; with adapters already where the backend puts them in.
        tokenizer: Its tokenizer.
        peft_config: What TRL makes adapters from; None where there are none to be made.
        gpu: Whether it trains on a GPU.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        checkpointing: Whether activations are recomputed.
        parameters: All parameters of the base.
        entropy: Mean entropy of its predictions as a share of the largest; None if not measured.
    """

    model: Any
    tokenizer: Any
    peft_config: Any
    gpu: bool
    precision: str
    checkpointing: bool
    parameters: int
    entropy: float | None = None


def load_tokenizer(job: Job) -> Any:
    """Load the tokenizer, with the template that was asked for.

    Raises:
        Ended: There is none that can be used.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(job.run["base"])
    except (OSError, ValueError) as error:
        raise Ended(
            REFUSED, "the base's tokenizer cannot be loaded", detail=str(error)[:800],
            hint="Name a folder with tokenizer.json, or a hub id while the hub can be reached",
        ) from error  # fmt: skip
    source = job.run["template"]["source"]
    if source != "tokenizer":
        tokenizer.chat_template = Path(source).read_text(encoding="utf-8")
    if tokenizer.eos_token is None:
        raise Ended(
            REFUSED, "the tokenizer has no end token",
            hint="Set eos_token in the base's tokenizer_config.json: a model must learn to stop",
        )  # fmt: skip
    return tokenizer


def load_base(job: Job, tokenizer: Any, sample: list[int]) -> Base:
    """Load the weights for training with TRL and PEFT.

    Args:
        job: The job.
        tokenizer: Its tokenizer.
        sample: Tokens of a training row, to see whether the base has learnt anything.

    Raises:
        Ended: The method does not fit the base or the machine.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    run, train = job.run, job.train
    gpu = torch.cuda.is_available()
    try:
        config = AutoConfig.from_pretrained(run["base"])
    except (OSError, ValueError) as error:
        raise no_base(error) from error
    options: dict[str, Any] = {}
    if run["method"] == "qlora":
        options["quantization_config"] = four_bits(gpu=gpu)
        if gpu:
            options["device_map"] = {"": 0}
    guess = parameters_of(run["base"])
    precision = precision_of(train["precision"], run["method"], gpu=gpu, parameters=guess)
    # A base that is trained whole keeps its weights in 32 bits; autocast does the rest.
    wide = run["method"] == "full" or precision == "fp32"
    dtype = torch.float32 if wide else {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    model = AutoModelForCausalLM.from_pretrained(run["base"], config=config, dtype=dtype, **options)
    keep_trainable(model)
    parameters = int(model.num_parameters())
    set_threads(job, parameters)
    check_vocabulary(model, tokenizer)
    if gpu and run["method"] != "qlora":
        model.to("cuda")
    entropy = entropy_share(model, sample)
    return Base(
        model,
        tokenizer,
        None if run["method"] == "full" else adapters(job, model, parameters),
        gpu,
        precision,
        recomputes(train["checkpointing"], parameters=parameters),
        parameters,
        entropy,
    )


def no_base(error: Exception) -> Ended:
    """Return how a job ends whose base cannot be loaded."""
    return Ended(
        REFUSED, "the base cannot be loaded", detail=str(error)[:800],
        hint="Name a model's folder, or a hub id while the hub can be reached",
    )  # fmt: skip


def adapters(job: Job, model: Any, parameters: int) -> Any:
    """Return the configuration of the adapters."""
    from peft import LoraConfig

    lora = job.run["lora"]
    return LoraConfig(
        r=lora["r"],
        lora_alpha=lora["alpha"],
        lora_dropout=lora["dropout"],
        target_modules=lora["targets"],
        task_type="CAUSAL_LM",
        **trained_whole(job, model, parameters),
    )


def trained_whole(job: Job, model: Any, parameters: int) -> dict[str, Any]:
    """Return PEFT's options for what is trained whole beside the adapters."""
    tied = bool(getattr(model.config.get_text_config(), "tie_word_embeddings", False))
    whole = job.run["lora"]["save_modules"]
    if whole == "auto":
        whole = saved_whole(parameters, tied=tied)
    options: dict[str, Any] = {"modules_to_save": whole or None}
    if "embed_tokens" in whole and tied:
        options["ensure_weight_tying"] = True
    return options


def saved_whole(parameters: int, *, tied: bool) -> list[str]:
    """Return the modules of a small base that are trained whole beside the adapters."""
    if parameters >= _SMALL_BASE:
        return []
    return ["embed_tokens"] if tied else ["embed_tokens", "lm_head"]


def set_threads(job: Job, parameters: int) -> None:
    """Use the machine's threads, and a single one for a small model on a CPU.

    The matrices of a small model are done before threads have met; where others use the CPUs too,
    waiting for each other made a training 30 times slower.
    """
    import torch

    alone = job.run["backend"]["threads"] == "auto" and parameters < _SMALL
    torch.set_num_threads(1 if alone else int(job.run["threads"]))


def looks_random(job: Job, base: Base) -> str:
    """Return why the base seems never to have been trained, or "" where it was."""
    config = base.model.config
    if getattr(config, "random", False) is True or _marked(job.run["base"]):
        return "its own files say so"
    if base.entropy is not None and base.entropy > _RANDOM:
        return f"its predictions have {base.entropy:.0%} of the entropy of a uniform draw"
    return ""


def _marked(base: str) -> bool:
    import json

    path = Path(base) / "llmops.json"
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")).get("random"))
    except (OSError, ValueError, AttributeError):
        return False


def entropy_share(model: Any, sample: list[int]) -> float | None:
    """Return the mean entropy of the next-token predictions, as a share of ln(vocabulary)."""
    import torch

    ids = sample[:_PROBED]
    if len(ids) < 4:
        return None
    was = model.training
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids], device=model.device)).logits[0].float()
        entropy = torch.distributions.Categorical(logits=logits).entropy().mean().item()
        size = logits.shape[-1]
    model.train(was)
    return float(entropy / math.log(size))


def four_bits(*, gpu: bool) -> Any:
    """Return NF4 with double quantisation (Dettmers et al. 2023).

    Raises:
        Ended: bitsandbytes cannot be used here.
    """
    import torch
    from transformers import BitsAndBytesConfig

    try:
        import bitsandbytes  # noqa: F401
    except Exception as error:
        raise Ended(
            REFUSED, "QLoRA needs bitsandbytes, which cannot be used here",
            detail=str(error)[:300],
            hint="llmops env create trl makes an environment with it; or use method: lora",
        ) from error  # fmt: skip
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if not gpu or torch.cuda.is_bf16_supported()
        else torch.float16,
    )  # fmt: skip


def keep_trainable(model: Any) -> None:
    """Keep 4-bit weights as they can be trained on a CPU.

    bitsandbytes packs them anew for its fastest kernel when they first answer without gradients,
    as in an evaluation before the training; gradients through the packed ones are wrong.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def precision_of(asked: str, method: str, *, gpu: bool, parameters: int) -> str:
    """Return ``fp32``, ``bf16`` or ``fp16``: what was asked for, or what is fastest here."""
    if asked != "auto":
        return asked
    if gpu:
        import torch

        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    if method == "qlora":
        return "bf16"  # TRL makes adapters on 4-bit weights in bf16, whatever they are told
    return "bf16" if parameters >= _SMALL and native_bf16() else "fp32"


def native_bf16() -> bool:
    """Whether this CPU multiplies in bf16 itself."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def parameters_of(base: str) -> int:
    """Return about how many parameters a base has, by the size of its files; many if unknown."""
    size = sum(path.stat().st_size for path in Path(base).glob("*.safetensors"))
    return size // 4 if size else _SMALL_BASE


def recomputes(asked: str | bool, *, parameters: int) -> bool:
    """Return whether activations are recomputed: as was asked for, or for a large base."""
    return parameters >= _RECOMPUTE if asked == "auto" else bool(asked)


def check_vocabulary(model: Any, tokenizer: Any) -> None:
    """Refuse a tokenizer that has tokens the base cannot embed (raises `Ended`)."""
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise Ended(
            REFUSED, "the tokenizer has more tokens than the base has embeddings",
            detail=f"{len(tokenizer):,} tokens, {rows:,} rows",
            hint="Take the tokenizer that belongs to the base",
        )  # fmt: skip
