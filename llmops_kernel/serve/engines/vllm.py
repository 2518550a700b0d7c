"""vLLM: the engine for GPUs. Its command is written and checked here; it runs where it is found."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.errors import EngineFailed, UsageProblem
from llmops_kernel.serve.engines.protocol import Capabilities, Command, Start

if TYPE_CHECKING:
    from llmops_kernel.serve.models import ServedModel

VARIABLE = "LLMOPS_VLLM"


class Vllm:
    """The engine."""

    name = "vllm"
    health = "/health"

    def capabilities(self, start: Start) -> Capabilities:
        """Return what it can do."""
        return Capabilities(
            batches=True,
            lora="model in each request" if start.lora else "",
            prefix_cache=True,
            tokenize="/tokenize",
            metrics="/metrics",
        )

    def available(self) -> str:
        """Return the program: ``LLMOPS_VLLM``, or ``vllm`` on the path."""
        if named := os.environ.get(VARIABLE):
            path = Path(named).expanduser()
            return str(path) if os.access(path, os.X_OK) and path.is_file() else ""
        return shutil.which("vllm") or ""

    def can_serve(self, model: ServedModel) -> str:
        """Return why it cannot: it loads safetensors, AWQ, GPTQ and compressed tensors only."""
        if model.folder is not None or model.remote:
            return ""
        return "it needs a folder of weights, and takes no GGUF file"

    def command(self, start: Start) -> Command:
        """Return the command; the key goes into the environment, not on the command line.

        Raises:
            EngineFailed: vLLM is not on this machine.
            UsageProblem: There are no weights that it takes.
        """
        program = self.available()
        if not program:
            raise EngineFailed(
                "There is no vllm on this machine",
                hint=f"Install it in an environment of its own on a GPU machine and name its "
                f"program in {VARIABLE}, or attach a running server with --url",
            )
        if reason := self.can_serve(start.model):
            raise UsageProblem("vLLM cannot serve this model", detail=reason,
                               hint="Export merged weights")  # fmt: skip
        served = start.model.remote or str(start.model.folder)
        argv = [
            program, "serve", served, "--host", "127.0.0.1", "--port", str(start.port),
            "--served-model-name", start.model.name, "--max-num-seqs", str(start.slots),
            "--enable-prefix-caching",
        ]  # fmt: skip
        if start.context:
            argv += ["--max-model-len", str(start.context)]
        if start.utilisation is not None:
            argv += ["--gpu-memory-utilization", str(start.utilisation)]
        if start.gpus > 1:
            argv += ["--tensor-parallel-size", str(start.gpus)]
        env = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
        if start.lora:
            argv += ["--enable-lora", "--lora-modules"]
            argv += [f"{name}={path}" for name, path in start.lora.items()]
            env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "1"
        if start.key:
            env["VLLM_API_KEY"] = start.key
        return Command((*argv, *start.extra), env, start.model.name)
