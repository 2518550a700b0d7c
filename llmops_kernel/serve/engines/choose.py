"""Which engine serves a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.errors import EngineFailed, UsageProblem, nearest
from llmops_kernel.serve.engines.llama_server import LlamaServer
from llmops_kernel.serve.engines.transformers_serve import TransformersServe
from llmops_kernel.serve.engines.vllm import Vllm

if TYPE_CHECKING:
    from llmops_kernel.serve.engines.protocol import Engine
    from llmops_kernel.serve.models import ServedModel

# The order in which ``auto`` tries them: what is quickest where it can run at all.
_ENGINES: dict[str, Engine] = {
    each.name: each for each in (Vllm(), LlamaServer(), TransformersServe())
}
ENGINE_NAMES = ("auto", *_ENGINES, "ollama")
_SAME = {"llama.cpp": "llama-server", "llamacpp": "llama-server", "hf": "transformers",
         "transformers-serve": "transformers"}  # fmt: skip


def engine_named(name: str) -> Engine:
    """Return an engine that we start.

    Raises:
        UsageProblem: There is no such engine.
    """
    engine = _ENGINES.get(_SAME.get(name, name))
    if engine is None:
        raise UsageProblem(
            f"There is no engine {name!r}{nearest(name, ENGINE_NAMES)}",
            hint=f"Choose {', '.join(ENGINE_NAMES)}; or give --url of a server that runs",
        )
    return engine


def choose_engine(model: ServedModel, asked: str = "auto") -> Engine:
    """Return the engine to serve a model with.

    Args:
        model: What is to be served.
        asked: An engine's name, or ``auto``: the first of vLLM, llama-server and transformers that
            is on this machine and can serve it.

    Raises:
        UsageProblem: The engine cannot serve the model.
        EngineFailed: None that could is on this machine.
    """
    if asked != "auto":
        engine = engine_named(asked)
        if reason := engine.can_serve(model):
            raise UsageProblem(
                f"{engine.name} cannot serve this model",
                detail=f"{model.name}: {reason}",
                hint="Give the model in that form, or another --engine",
            )
        return engine
    able = [engine for engine in _ENGINES.values() if not engine.can_serve(model)]
    for engine in able:
        if engine.available():
            return engine
    hints = {
        "llama-server": "llmops serve build llama-server",
        "transformers": "llmops env create trl",
    }
    raise EngineFailed(
        "No engine on this machine can serve the model",
        detail=f"{model.name}; it could be served by {', '.join(each.name for each in able)}",
        hint=" or ".join(hints[each.name] for each in able if each.name in hints),
    )
