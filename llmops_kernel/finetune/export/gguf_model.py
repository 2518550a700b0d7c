"""Our own GGUF writer, for models of Llama's architecture.

Needed because the official converter refuses tokenizers that it does not know by their hash, which
every tokenizer trained at home is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.export.gguf_config import check_config, write_config
from llmops_kernel.finetune.export.gguf_tensors import write_tensors
from llmops_kernel.finetune.export.gguf_vocab import Vocabulary, read_vocabulary
from llmops_kernel.finetune.export.template import for_serving

if TYPE_CHECKING:
    from pathlib import Path


def write_gguf(folder: Path, out: Path, type_: str, *, name: str = "") -> dict[str, Any]:
    """Write a model folder as one GGUF file.

    Args:
        folder: Merged weights (safetensors), ``config.json`` and the tokenizer.
        out: The file; it appears only when it is whole.
        type_: One of `OWN_TYPES`. Matrices whose rows do not fill blocks stay F16.
        name: The model's name in the file.

    Returns:
        ``tensors`` and ``kept`` (how many matrices could not be quantised), ``bpw`` (bits per
        weight, over all tensors), ``parameters``.

    Raises:
        UsageProblem: Architecture or tokenizer are not known to the writer.
    """
    import gguf

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    check_config(config)
    vocabulary = read_vocabulary(folder, config["vocab_size"])
    unfinished = out.with_name(f".{out.name}.part")
    writer = gguf.GGUFWriter(unfinished, "llama", use_temp_file=True)
    try:
        write_config(writer, config, name or folder.name, type_)
        _write_vocabulary(writer, vocabulary, folder)
        facts = write_tensors(writer, folder, config, type_)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    except BaseException:
        writer.close()
        unfinished.unlink(missing_ok=True)
        raise
    writer.close()
    unfinished.replace(out)
    return facts


def _write_vocabulary(writer: Any, vocabulary: Vocabulary, folder: Path) -> None:
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
        writer.add_add_space_prefix(vocabulary.space_prefix)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    special = dict(vocabulary.special)
    for name in ("bos", "eos", "pad", "unk"):
        if (id_ := getattr(tokenizer, f"{name}_token_id")) is not None:
            special[name] = int(id_)
            getattr(writer, f"add_{name}_token_id")(int(id_))
    # An engine adds these by itself where the tokenizer does; a template that has them too
    # would double them, so what is written is what the tokenizer was seen to do.
    ids = tokenizer("a")["input_ids"]
    writer.add_add_bos_token(bool(ids) and "bos" in special and ids[0] == special["bos"])
    writer.add_add_eos_token(bool(ids) and "eos" in special and ids[-1] == special["eos"])
    ends = _ends(folder) - {special.get("eos")}
    if ends:
        writer.add_eot_token_id(min(ends))  # the format has room for one more end
    if tokenizer.chat_template:
        template = tokenizer.chat_template
        if isinstance(template, dict):
            template = template["default"]
        writer.add_chat_template(for_serving(template))


def _ends(folder: Path) -> set[int]:
    """Return the tokens at which generation ends."""
    for name in ("generation_config.json", "config.json"):
        path = folder / name
        if path.is_file():
            ends = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
            if ends is not None:
                return {ends} if isinstance(ends, int) else set(ends)
    return set()
