"""Reads a GGUF file back with transformers: a check of the file where no engine is at hand.

It is another program than the writer, but no engine: what an engine makes of the file (its own
template language, its own arithmetic) shows only there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune.agreement import Parity, Tally, ids_apart
from llmops_kernel.finetune.export.reference import greedy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def compare_file(gguf: Path, reference: Mapping[str, Any], config: Path) -> Parity:
    """Compare a GGUF file, as transformers reads it, with a reference.

    Args:
        gguf: The file.
        reference: From `parity.read_reference`.
        config: ``config.json`` of the weights that it was made from.

    Raises:
        UsageProblem: transformers' reader leaves out what this model needs.
    """
    import gguf as package
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    fields = package.GGUFReader(gguf).fields
    rope = json.loads(config.read_text(encoding="utf-8")).get("rope_parameters") or {}
    if fields["tokenizer.ggml.model"].contents() != "gpt2" or (
        rope.get("rope_type", "default") != "default"
    ):
        raise UsageProblem(
            "This file can be compared by an engine alone",
            detail="transformers reads neither its tokenizer's form nor its rope scaling back",
        )
    logging.set_verbosity_error()
    folder, name = str(gguf.parent), gguf.name
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=name, dtype=torch.float32, local_files_only=True
        ).eval()
    except Exception as error:
        # Some versions read no file that names no BOS: their fault, and no end of a finished run.
        raise UsageProblem(
            "This file can be compared by an engine alone",
            detail=f"transformers does not read it back: {type(error).__name__}: {error}"[:300],
        ) from error
    tokens, answers = Tally("token_ids"), Tally("greedy_ids")
    most = int(reference.get("new_tokens", 24))
    for number, each in enumerate(reference["prompts"], 1):
        wanted = list(each["ids"])
        got = tokenizer(each["prompt"], add_special_tokens=False)["input_ids"]
        tokens.add("" if got == wanted else ids_apart(number, wanted, got))
        said, _ = greedy(model, wanted, {tokenizer.eos_token_id}, most)
        expected = list(each["answer_ids"])
        tell = ids_apart(number, expected, said, each.get("leads"))
        answers.add("" if said == expected else tell)
    return Parity(
        "transformers, reading the file back", "file", (tokens.check(), answers.check()),
        {"file": name, "quantisation": gguf.stem.removeprefix("model-")},
    )  # fmt: skip
