"""``transformers serve``: weights as they are, on any machine, one request after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.envs import command_env, find, python_of
from llmops_kernel.errors import UsageProblem
from llmops_kernel.serve.engines.protocol import Capabilities, Command, Start

if TYPE_CHECKING:
    from llmops_kernel.serve.models import ServedModel

ENVIRONMENT = "trl"
# Without these bounds continuous batching takes all the memory there is.
_BLOCK, _BATCH_TOKENS = 32, 512
_CONTEXT = 2_048


class TransformersServe:
    """The engine."""

    name = "transformers"
    health = "/health"

    def capabilities(self, start: Start) -> Capabilities:
        """Return what it can do; it knows no key, so it listens on loopback only."""
        return Capabilities(batches=bool(start.batching), keyed=False)

    def available(self) -> str:
        """Return the interpreter of its environment."""
        environment = find(ENVIRONMENT)
        return str(environment.python) if environment.made else ""

    def can_serve(self, model: ServedModel) -> str:
        """Return why it cannot: without a folder of weights."""
        return "" if model.folder is not None else "it needs a folder of weights"

    def command(self, start: Start) -> Command:
        """Return the command.

        Raises:
            MissingEnvironment: Its environment was not made.
            UsageProblem: There is no folder of weights.
        """
        python = python_of(ENVIRONMENT)
        if start.model.folder is None:
            raise UsageProblem(
                "transformers serve needs a folder of weights",
                detail=start.model.name,
                hint="Export merged weights, or serve with --engine llama-server",
            )
        folder = str(start.model.folder)
        argv = [
            str(python), "-m", "transformers.cli.transformers", "serve", folder,
            "--host", "127.0.0.1", "--port", str(start.port), "--default-seed", "0",
        ]  # fmt: skip
        if start.batching:
            tokens = (start.context or _CONTEXT) * start.slots
            argv += [
                "--continuous-batching", "--cb-block-size", str(_BLOCK),
                "--cb-num-blocks", str(-(-tokens // _BLOCK)),
                "--cb-max-batch-tokens", str(_BATCH_TOKENS),
            ]  # fmt: skip
        env = {key: value for key, value in command_env(ENVIRONMENT, {}).items() if value}
        env |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "warning"}
        if start.threads:
            env["OMP_NUM_THREADS"] = str(start.threads)
        return Command((*argv, *start.extra), env, folder)
