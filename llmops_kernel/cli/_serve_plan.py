"""The planner as verb and magic ask it: one list of flags, one function."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse

    from llmops_kernel.serve.plan.answer import Planned
    from llmops_kernel.session import Session

# (names, options) of the planner's flags; the magic declares the same ones.
FLAGS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("--model",), {"metavar": "NAME|PATH", "required": True,
                    "help": "a known or registered model, a config.json or a model's folder"}),
    (("--gpu",), {"metavar": "NAME|BYTES", "required": True, "help": "H100, L4, 24GiB, ..."}),
    (("--ctx",), {"type": int, "default": 8192, "metavar": "N",
                  "help": "tokens of the longest sequence (8192)"}),
    (("--concurrency",), {"type": int, "metavar": "N",
                          "help": "such sequences at once (1; for dollars as many as fit)"}),
    (("--engine",), {"default": "vllm", "metavar": "E",
                     "help": "vllm, sglang, llama-server, ollama or transformers"}),
    (("--dtype",), {"default": "", "metavar": "D",
                    "help": "weights as bf16, fp8, int8, awq, gptq, nf4, q4_k_m, ..."}),
    (("--kv-dtype",), {"default": "auto", "metavar": "D",
                       "help": "keys and values as fp8, q8_0, ... (16 bits)"}),
    (("--utilisation",), {"type": float, "metavar": "SHARE",
                          "help": "share of the GPU the engine takes (its default)"}),
    (("--gpus",), {"type": int, "default": 1, "metavar": "N", "help": "tensor parallel over N"}),
    (("--usd-per-hour",), {"type": float, "metavar": "USD", "help": "what a GPU costs"}),
    (("--throughput",), {"type": float, "metavar": "TOK/S",
                         "help": "measured output tokens a second"}),
    (("--busy",), {"type": float, "default": 1.0, "metavar": "SHARE",
                   "help": "share of the time with work (1)"}),
    (("--versus",), {"default": "", "metavar": "MODEL",
                     "help": "break-even against this model's price"}),
    (("--input-tokens",), {"type": int, "default": 500, "metavar": "N",
                           "help": "of an average request (500)"}),
    (("--output-tokens",), {"type": int, "default": 150, "metavar": "N",
                            "help": "of an average request (150)"}),
    (("--train",), {"default": "", "metavar": "METHOD", "help": "also plan full, lora or qlora"}),
    (("--trainer",), {"default": "trl", "metavar": "T", "help": "trl or unsloth"}),
    (("--tokens",), {"type": int, "default": 2048, "metavar": "N",
                     "help": "tokens of a training batch (2048)"}),
    (("--rank",), {"type": int, "default": 16, "metavar": "R", "help": "rank of the LoRA (16)"}),
)  # fmt: skip


def planned(args: argparse.Namespace, session: Session | None = None) -> Planned:
    """Ask the planner what the flags say.

    Args:
        args: The values of `FLAGS`.
        session: Whose catalog knows prices; a comparison without one opens its own.

    Raises:
        UsageProblem: A name is unknown or a figure cannot be.
        UnknownModel: Nobody knows the model to compare with.
    """
    from llmops_kernel.serve.plan.answer import plan
    from llmops_kernel.serve.plan.demand import Demand
    from llmops_kernel.serve.plan.money import Work

    return plan(
        args.model,
        args.gpu,
        Demand(
            context=args.ctx,
            concurrency=1 if args.concurrency is None else args.concurrency,
            engine=args.engine,
            dtype=args.dtype,
            kv_dtype=args.kv_dtype,
            utilisation=args.utilisation,
            gpus=args.gpus,
        ),
        work=Work(args.input_tokens, args.output_tokens),
        usd_per_hour=args.usd_per_hour,
        tokens_per_second=args.throughput,
        busy=args.busy,
        versus=args.versus,
        price=_price(args.versus, session) if args.versus else None,
        training=_training(args) if args.train else None,
        fill=args.concurrency is None,
    )


def _training(args: argparse.Namespace) -> Any:
    from llmops_kernel.serve.plan.answer import TRAINERS
    from llmops_kernel.serve.plan.training import TrainingDemand

    if args.trainer not in TRAINERS:
        raise UsageProblem(
            f"The planner does not know the trainer {args.trainer!r}", hint="Choose trl or unsloth"
        )
    return replace(
        TrainingDemand(args.train, args.tokens, rank=args.rank), **TRAINERS[args.trainer]
    )


def _price(model: str, session: Session | None) -> Any:
    """Return a model's price; no key is needed to know it."""
    from llmops_kernel.calls.catalog import Catalog
    from llmops_kernel.settings import Settings

    if session is not None:
        catalog = session.catalog
    else:
        catalog = Catalog(Settings.load(), has_key=lambda _: False)
    name = model if model.startswith(("sim/", "offline/", "local/")) else f"sim/{model}"
    return catalog.resolve(name).price
