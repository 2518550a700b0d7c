"""What goes into each side environment."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.envs.machine import has_gpu
from llmops_kernel.errors import UsageProblem, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOCKS = Path(__file__).parent / "locks"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one side environment holds.

    Attributes:
        name: The environment's name.
        purpose: What it is for, in a few words.
        requirements: What pip is asked for.
        variables: Set for every process that runs there: no telemetry, no surprises.
        needs: What the machine must have, in words; "" for nothing special.
        variant: Which of the recipes of this name it is; "" for the one with everything.
        alone: Installed last and without their dependencies, for packages that also run with
            less, or with other versions, than they ask for.
        untried: Why nobody has run what the lock says; "" where it was run.
    """

    name: str
    purpose: str
    requirements: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""
    variant: str = ""
    alone: tuple[str, ...] = ()
    untried: str = ""

    @property
    def lock(self) -> Path | None:
        """The file of exact versions that fit together; None where there is none."""
        path = _LOCKS / f"{'-'.join(filter(None, (self.name, self.variant)))}.txt"
        return path if path.is_file() else None

    @property
    def digest(self) -> str:
        """Changes whenever the environment has to be made anew."""
        text = "\n".join(self.requirements)
        if self.alone:
            text += "\n--no-deps\n" + "\n".join(self.alone)
        if self.lock is not None:
            text += "\n" + self.lock.read_text(encoding="utf-8")
        return hashlib.sha256(text.encode()).hexdigest()[:16]


_QUIET = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

_UNSLOTH = ("unsloth==2026.10.9", "unsloth_zoo==2026.10.9")
_UNSLOTH_VARIABLES = {
    **_QUIET,
    # Its exporter would install system packages as root without asking.
    "UNSLOTH_AUTO_INSTALL": "0",
    "UNSLOTH_DISABLE_STATISTICS": "1",
}

RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "trl",
            "fine-tuning with TRL and PEFT, export, and `transformers serve`",
            (
                "torch==2.13.0",
                "transformers[serving]==5.23.0",
                "trl==1.16.0",
                "peft==0.21.2",
                "datasets==5.2.0",
                "accelerate==1.15.0",
                "bitsandbytes==0.50.2",
                "gguf==0.19.0",
                "scikit-learn>=1.7",
            ),
            _QUIET,
        ),
        Recipe(
            "unsloth",
            "fine-tuning with Unsloth, fastest on a GPU",
            (*_UNSLOTH, "gguf==0.19.0"),
            _UNSLOTH_VARIABLES,
            "an NVIDIA GPU; several GB of disk",
            untried="its versions were resolved together, and not run: that needs a GPU",
        ),
        Recipe(
            "axolotl",
            "fine-tuning with Axolotl from the YAML we write",
            ("axolotl==0.19.0",),
            {**_QUIET, "AXOLOTL_DO_NOT_TRACK": "1"},
            "an NVIDIA GPU; several GB of disk",
        ),
        Recipe(
            "ragas",
            "metrics of Ragas, over our endpoint",
            # Ragas cannot be imported beside the newest langchain-community.
            ("ragas==0.4.3", "langchain-community<0.4", "langchain-openai<1.0"),
            {**_QUIET, "RAGAS_DO_NOT_TRACK": "true"},
        ),
        Recipe(
            "deepeval",
            "metrics of DeepEval, over our endpoint",
            ("deepeval==4.3.1",),
            {**_QUIET, "DEEPEVAL_TELEMETRY_OPT_OUT": "YES", "DEEPEVAL_NO_INSPECT_PROMPT": "1"},
        ),
        Recipe(
            "trulens",
            "metrics of TruLens, over our endpoint",
            ("trulens-feedback==2.16.0", "trulens-providers-openai==2.16.0"),
            {**_QUIET, "TRULENS_OTEL_TRACING": "0"},
        ),
    )
}

# Taken in place of the recipe of that name where no NVIDIA GPU answers.
WITHOUT_GPU: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "unsloth",
            "fine-tuning with Unsloth on a CPU: LoRA, QLoRA and full, text only",
            (
                "torch==2.13.0",
                "transformers==5.17.0",
                "trl==1.15.0",
                "peft==0.21.2",
                "datasets==4.8.5",
                "accelerate==1.15.0",
                "bitsandbytes==0.50.2",
                "gguf==0.19.0",
            ),
            _UNSLOTH_VARIABLES,
            variant="cpu",
            # Their dependencies are CUDA's libraries, several GB of them; the CPU's part of their
            # code uses none.
            alone=_UNSLOTH,
        ),
    )
}


def recipe_named(name: str) -> Recipe:
    """Return the recipe of a name that fits this machine.

    Raises:
        UsageProblem: There is none of that name.
    """
    if name not in RECIPES:
        raise UsageProblem(
            f"There is no environment {name!r}{nearest(name, RECIPES)}",
            hint=f"Choose {', '.join(RECIPES)}",
        )
    if name in WITHOUT_GPU and not has_gpu():
        return WITHOUT_GPU[name]
    return RECIPES[name]
