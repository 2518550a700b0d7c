"""Starting, measuring and stopping servers, as verbs and magics do it: flags and functions."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from llmops_kernel.serve.loadtest import LoadTest
    from llmops_kernel.serve.servers.wanted import Started

Flags = tuple[tuple[tuple[str, ...], dict[str, Any]], ...]

START: Flags = (
    (("source",), {"nargs": "?", "default": "", "metavar": "NAME|PATH",
                   "help": "a registered model, a .gguf file, a folder of weights or of exports"}),
    (("--as",), {"dest": "name", "default": "", "metavar": "NAME", "help": "call it local/NAME"}),
    (("--engine",), {"default": "auto", "metavar": "E",
                     "help": "auto, vllm, llama-server, transformers or ollama"}),
    (("--slots",), {"type": int, "default": 8, "metavar": "N", "help": "requests at once (8)"}),
    (("--ctx",), {"type": int, "default": 0, "metavar": "N",
                  "help": "tokens of one request (the model's own, at most 4096)"}),
    (("--replicas",), {"type": int, "default": 1, "metavar": "N", "help": "processes (1)"}),
    (("--port",), {"type": int, "default": 0, "metavar": "N", "help": "port (any free one)"}),
    (("--threads",), {"type": int, "default": 0, "metavar": "N", "help": "CPU threads"}),
    (("--batching",), {"action": "store_true",
                       "help": "let transformers batch, within bounds on its memory"}),
    (("--lora",), {"action": "append", "default": [], "metavar": "NAME[=REF]",
                   "help": "load an adapter of this base, a registered version; it is called as "
                   "local/SERVER:NAME; repeatable"}),
    (("--idle-stop",), {"type": float, "metavar": "MIN",
                        "help": "stop it after so many minutes without a call; 0 for never"}),
    (("--wait",), {"type": float, "default": 180.0, "metavar": "S",
                   "help": "seconds until it must answer (180)"}),
    (("--no-parity",), {"action": "store_true",
                        "help": "do not compare its answers with the trained model's"}),
    (("--url",), {"default": "", "metavar": "URL",
                  "help": "attach a server that runs already, in place of starting one"}),
    (("--model",), {"default": "", "metavar": "NAME", "help": "the model's name at --url"}),
    (("--key-env",), {"default": "", "metavar": "VAR", "help": "variable with the key of --url"}),
    (("--usd-per-hour",), {"type": float, "metavar": "USD",
                           "help": "what the machine costs; needs --throughput"}),
    (("--throughput",), {"type": float, "metavar": "TOK/S",
                         "help": "output tokens a second, as measured by bench"}),
    (("--usd-input",), {"type": Decimal, "default": Decimal(0), "metavar": "USD",
                        "help": "price of 1M input tokens (0)"}),
    (("--usd-output",), {"type": Decimal, "default": Decimal(0), "metavar": "USD",
                         "help": "price of 1M output tokens (0)"}),
)  # fmt: skip

BENCH: Flags = (
    (("name",), {"nargs": "?", "default": "", "metavar": "NAME", "help": "a server of ours"}),
    (("--url",), {"default": "", "metavar": "URL", "help": "any other server, up to /v1"}),
    (("--model",), {"default": "", "metavar": "NAME", "help": "the model's name at --url"}),
    (("--key-env",), {"default": "", "metavar": "VAR", "help": "variable with the key of --url"}),
    (("--clients",), {"default": "1,4,16", "metavar": "N,N",
                      "help": "closed loops of so many clients (1,4,16)"}),
    (("--rates",), {"default": "", "metavar": "R,R",
                    "help": "open loops of so many arrivals a second"}),
    (("--requests",), {"type": int, "default": 48, "metavar": "N", "help": "of each load (48)"}),
    (("--max-tokens",), {"type": int, "default": 32, "metavar": "N", "help": "of an answer (32)"}),
    (("--prompts",), {"default": "", "metavar": "FILE", "help": "a prompt a line"}),
    (("--seed",), {"type": int, "default": 7, "metavar": "N", "help": "draws the arrivals (7)"}),
)  # fmt: skip

LORA: Flags = (
    (("name",), {"metavar": "NAME", "help": "the server"}),
    (("--load",), {"action": "append", "default": [], "metavar": "NAME[=REF]",
                   "help": "load an adapter into a vLLM that runs; repeatable"}),
    (("--unload",), {"action": "append", "default": [], "metavar": "NAME",
                     "help": "take an adapter out of a vLLM that runs; repeatable (both follow "
                     "vLLM's wire format, and were never tried on a real vLLM)"}),
)  # fmt: skip


def adapters_of(args: argparse.Namespace) -> dict[str, Any]:
    """Load and unload what the flags say, and return what is loaded then."""
    from llmops_kernel.serve.adapters import read_pairs
    from llmops_kernel.serve.switching import adapters_loaded, load_adapters, unload_adapters

    name = args.name.removeprefix("local/").partition(":")[0]
    if args.unload:
        unload_adapters(name, args.unload)
    if args.load:
        load_adapters(name, read_pairs(args.load))
    return adapters_loaded(name)


def started(
    args: argparse.Namespace,
    *,
    keep: bool,
    idle_min: float,
    say: Callable[[str], None] = lambda _: None,
) -> Started:
    """Start or attach what the flags say.

    Args:
        args: The values of `START`.
        keep: Whether it outlives this process.
        idle_min: Minutes without a call after which it is stopped, where no flag says it.
        say: Told what is being done.
    """
    from dataclasses import replace

    from llmops_kernel.serve.adapters import read_pairs
    from llmops_kernel.serve.models import find_model
    from llmops_kernel.serve.servers.attaching import attach, start_ollama
    from llmops_kernel.serve.servers.starting import add_replicas, start_server
    from llmops_kernel.serve.servers.wanted import Wanted

    given, output = args.idle_stop, _output_price(args)
    wanted = Wanted(
        slots=args.slots,
        context=args.ctx,
        port=args.port,
        threads=args.threads,
        batching=True if args.batching else None,
        keep=keep,
        idle_s=60 * (idle_min if given is None else given),
        wait_s=args.wait,
        parity=not args.no_parity,
        usd_input=args.usd_input,
        usd_output=output,
        lora=read_pairs(args.lora),
    )
    if wanted.lora and (args.url or args.engine == "ollama"):
        raise UsageProblem(
            "Adapters are loaded into servers that are started here",
            hint="For a vLLM that runs already: attach it, then llmops serve lora SERVER --load "
            "NAME=REF",
        )
    if args.url:
        return attach(
            args.name or args.source or args.model.rpartition("/")[2],
            args.url,
            model=args.model,
            key_env=args.key_env,
            wanted=wanted,
        )
    if not args.source:
        raise UsageProblem("What shall be served?", hint="Give a model's name or path, or --url")
    if args.engine == "ollama":
        return start_ollama(find_model(args.source, args.name), wanted=wanted)
    made = start_server(args.source, engine=args.engine, name=args.name, wanted=wanted, say=say)
    if args.replicas > len(made.record.replicas):
        return replace(made, record=add_replicas(made.record.name, args.replicas, say))
    return made


def _output_price(args: argparse.Namespace) -> Decimal:
    """Return USD for 1M output tokens: given, or from an hour's price and a throughput."""
    if args.usd_per_hour is None:
        return Decimal(args.usd_output)
    if args.throughput is None:
        raise UsageProblem(
            "A price per hour becomes one per token by a throughput",
            hint="Give --throughput in output tokens a second; %serve bench measures it",
        )
    from llmops_kernel.serve.plan.figure import Figure
    from llmops_kernel.serve.plan.money import usd_per_million

    usd = usd_per_million(Figure.exact(args.usd_per_hour), Figure.exact(args.throughput)).best
    return Decimal(f"{usd:.6f}")


def load_tested(args: argparse.Namespace, say: Callable[[str], None] = lambda _: None) -> LoadTest:
    """Put the load on a server that the flags say.

    Args:
        args: The values of `BENCH`.
        say: Told what is being done.
    """
    from llmops_kernel.serve.loadtest import PROMPTS, Load, load_test

    loads = [Load(clients=int(each), requests=_requests(args, each))
             for each in _numbers(args.clients, "--clients", whole=True)]  # fmt: skip
    loads += [
        Load(rate=each, requests=args.requests, seed=args.seed)
        for each in _numbers(args.rates, "--rates")
    ]
    prompts = _prompts(args.prompts) if args.prompts else PROMPTS
    return load_test(_goal(args), loads, prompts=prompts, max_tokens=args.max_tokens, say=say)


def _requests(args: argparse.Namespace, clients: float) -> int:
    if args.requests < 1 or args.max_tokens < 1:
        raise UsageProblem("--requests and --max-tokens must be at least 1")
    return max(int(args.requests), int(clients))


def _goal(args: argparse.Namespace) -> Any:
    import os

    from llmops_kernel.serve.adapters import fields_for
    from llmops_kernel.serve.loadtest import Goal
    from llmops_kernel.serve.record import read_record
    from llmops_kernel.serve.servers.attaching import checked_url, model_at
    from llmops_kernel.serve.servers.ready import Caller
    from llmops_kernel.serve.servers.stopping import key_of

    if args.url:
        url = checked_url(args.url)
        key = os.environ.get(args.key_env, "").strip() if args.key_env else ""
        model = model_at(Caller(url, key), args.model)
        return Goal(url, model, key, model)
    if not args.name:
        raise UsageProblem("What shall be measured?", hint="Give a server's name, or --url")
    called = args.name.removeprefix("local/")
    name, _, adapter = called.partition(":")
    record = read_record(name)
    key = os.environ.get(record.key_env, "").strip() if record.key_env else key_of(record)
    about = {"engine": record.engine, "file_type": record.file_type, "ready_s": record.ready_s}
    return Goal(record.replicas[0].url, record.model, key, f"local/{called}",
                fields_for(record, adapter), about)  # fmt: skip


def _numbers(text: str, flag: str, *, whole: bool = False) -> list[float]:
    try:
        found = [float(each) for each in text.split(",") if each.strip()]
    except ValueError:
        found = [0.0]
    if any(each <= 0 or each > 1e6 or (whole and each != int(each)) for each in found):
        raise UsageProblem(f"{flag} takes numbers above zero, with commas", detail=repr(text))
    return found


def _prompts(file: str) -> list[str]:
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem("The prompts cannot be read", detail=f"{file}: {error}") from error
    found = [line.strip() for line in text.splitlines() if line.strip()]
    if not found:
        raise UsageProblem("The file has no prompts", detail=file)
    return found
