"""The exports there are, and how their names are read.

Imported by the kernel (which checks a request) and by the training environment (which does it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

# What the `gguf` package quantises by itself, and bits per weight of each.
OWN_TYPES = {
    "f32": 32.0, "f16": 16.0, "bf16": 16.0, "q8_0": 8.5,
    "q5_1": 6.0, "q5_0": 5.5, "q4_1": 5.0, "q4_0": 4.5,
}  # fmt: skip
# What llama.cpp's own quantiser adds: mixtures, so bits per weight depend on the model.
LLAMA_TYPES = (
    "q2_k", "q3_k_s", "q3_k_m", "q3_k_l", "q4_k_s", "q4_k_m", "q5_k_s", "q5_k_m", "q6_k",
)  # fmt: skip
PLAIN = ("adapter", "gguf-adapter", "merged", "awq", "gptq", "ollama-modelfile")
KNOWN = (*PLAIN, *(f"gguf:{each}" for each in (*OWN_TYPES, *LLAMA_TYPES)))


@dataclass(frozen=True, slots=True)
class Export:
    """One export.

    Attributes:
        name: As it was asked for, like ``gguf:q8_0``.
        kind: ``adapter``, ``gguf-adapter`` (an adapter for llama-server), ``merged``, ``gguf``,
            ``awq``, ``gptq`` or ``ollama-modelfile``.
        type: The quantisation of a GGUF file; "" for the others.
    """

    name: str
    kind: str
    type: str = ""

    @property
    def own(self) -> bool:
        """Whether our own writer makes it, without a compiled quantiser."""
        return self.kind == "gguf" and self.type in OWN_TYPES

    @property
    def needs_merged(self) -> bool:
        """Whether it is made from merged weights."""
        return self.kind in ("merged", "gguf", "awq", "gptq")


def parse(names: Iterable[str]) -> list[Export]:
    """Read names of exports, in the order in which they are made, each once.

    ``gguf`` alone is ``gguf:q8_0``.

    Raises:
        UsageProblem: There is no such export.
    """
    found: dict[str, Export] = {}
    for given in names:
        name = str(given).strip().lower()
        name = "gguf:q8_0" if name == "gguf" else name
        if name not in KNOWN:
            raise UsageProblem(
                f"There is no export {name!r}{nearest(name, KNOWN)}",
                hint=f"Known are {', '.join(PLAIN)} and gguf:TYPE, with TYPE one of "
                f"{', '.join((*OWN_TYPES, *LLAMA_TYPES))}",
            )
        kind, _, type_ = name.partition(":")
        found[name] = Export(name, kind, type_)
    order = ("adapter", "gguf-adapter", "merged", "gguf", "awq", "gptq", "ollama-modelfile")
    return sorted(found.values(), key=lambda each: order.index(each.kind))
