"""What goes into each side environment."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

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
    """

    name: str
    purpose: str
    requirements: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""

    @property
    def lock(self) -> Path | None:
        """The file of exact versions that were tested together; None where none were."""
        path = _LOCKS / f"{self.name}.txt"
        return path if path.is_file() else None

    @property
    def digest(self) -> str:
        """Changes whenever the environment has to be made anew."""
        text = "\n".join(self.requirements)
        if self.lock is not None:
            text += "\n" + self.lock.read_text(encoding="utf-8")
        return hashlib.sha256(text.encode()).hexdigest()[:16]


_QUIET = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
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
                "gguf==0.19.0",
                "scikit-learn>=1.7",
            ),
            _QUIET,
        ),
        Recipe(
            "unsloth",
            "fine-tuning with Unsloth, fastest on a GPU",
            ("unsloth==2026.10.9", "unsloth_zoo==2026.10.9", "gguf==0.19.0"),
            # Its exporter would install system packages as root without asking.
            {**_QUIET, "UNSLOTH_AUTO_INSTALL": "0", "UNSLOTH_DISABLE_STATISTICS": "1"},
            "an NVIDIA GPU for speed; several GB of disk",
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


def recipe_named(name: str) -> Recipe:
    """Return a recipe.

    Raises:
        UsageProblem: There is none of that name.
    """
    if name not in RECIPES:
        raise UsageProblem(
            f"There is no environment {name!r}{nearest(name, RECIPES)}",
            hint=f"Choose {', '.join(RECIPES)}",
        )
    return RECIPES[name]
