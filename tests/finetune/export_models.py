"""Makes small models of many kinds, exports them, and says what came of it.

Runs in the training environment: ``python export_models.py FOLDER``; prints JSON.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from llmops_kernel.finetune.export.worker import plan, run_exports

LINES = [
    "What does a transfer abroad cost? It costs $4.50 for each of them, my card was stolen.",
    "Hi :) when will my new card come?  It's been 9 days… please block it! Zahlung über 1.250 €",
    "The quick brown fox jumps over the lazy dog 1234567890 times, they've said we'll see.",
] * 8
CHATML = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['role'] == 'assistant' %}
{%- generation %}{{- message['content'] + '<|im_end|>' }}{%- endgeneration %}{{- '\\n' }}
{%- else %}{{- message['content'] + '<|im_end|>\\n' }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""
# BOS in the template and added by the tokenizer: where doubled BOS comes from.
WITH_BOS = """\
{{- bos_token }}
{%- for message in messages %}
{{- '[' + message['role'] + '] ' + message['content'] + '</s>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '[assistant] ' }}{%- endif %}"""
MOVES_SYSTEM = """\
{%- for message in messages %}{%- if message['role'] == 'user' %}
{{- '<u>' + message['content'] + (' (first)' if loop.first else '') + '</s>' }}
{%- else %}{{- message['content'] + '</s>' }}{%- endif %}{%- endfor %}"""


def byte_level(split: Any, specials: list[str], size: int = 400) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = split
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(LINES, trainer)
    return made


def with_fallback(specials: list[str]) -> Tokenizer:
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    octets = [f"<0x{n:02X}>" for n in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=520, special_tokens=specials + octets, show_progress=False
    )
    made.train_from_iterator([made.normalizer.normalize_str(line) for line in LINES], trainer)
    raw = json.loads(made.to_str())
    raw["added_tokens"] = [each for each in raw["added_tokens"] if each["content"] in specials]
    return Tokenizer.from_str(json.dumps(raw))


def adds_bos(made: Tokenizer, bos: str) -> None:
    made.post_processor = TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=[(bos, made.token_to_id(bos))]
    )


def llama(folder: Path, made: Tokenizer, template: str, *, seed: int = 3, rows: int = 0,
          bos: str | None = None, eos: str = "<|im_end|>", **config: Any) -> None:  # fmt: skip
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=bos, eos_token=eos, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = template
    torch.manual_seed(seed)
    # Wide weights: random logits that are close together would be ties that rounding decides.
    given: dict[str, Any] = {
        "vocab_size": rows or len(tokenizer), "hidden_size": 64, "intermediate_size": 96,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "initializer_range": 0.4, "max_position_embeddings": 512, "tie_word_embeddings": False,
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
    }  # fmt: skip
    model = LlamaForCausalLM(LlamaConfig(**{**given, **config}))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def adapter(base: Path, out: Path, strength: float = 0.1, **options: Any) -> None:
    model = AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(5)
    adapted = get_peft_model(
        model,
        LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": "all-linear",
                      "modules_to_save": ["embed_tokens"], "task_type": "CAUSAL_LM", **options}),
    )  # fmt: skip
    with torch.no_grad():
        for name, weights in adapted.named_parameters():
            if "lora_B" in name or "modules_to_save" in name:
                weights.add_(strength * torch.randn_like(weights))
    adapted.save_pretrained(out)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(base / file, out / file)
    torch.save({"learning_rate": 1}, out / "training_args.bin")


def make(folder: Path) -> None:
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    marks = ["<|im_start|>", "<|im_end|>"]
    llama(folder / "plain", byte_level(gpt2, marks), CHATML, hidden_size=256)
    llama(folder / "tied", byte_level(gpt2, marks), CHATML, tie_word_embeddings=True, rows=448)
    llama3 = pre_tokenizers.Sequence([
        pre_tokenizers.Split(_pattern(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
            r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    made = byte_level(llama3, ["<s>", "</s>"])
    adds_bos(made, "<s>")
    llama(folder / "bos", made, WITH_BOS, bos="<s>", eos="</s>", rope_parameters={
        "rope_type": "llama3", "rope_theta": 10_000.0, "factor": 4.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 64})  # fmt: skip
    made = with_fallback(["<unk>", "<s>", "</s>"])
    adds_bos(made, "<s>")
    llama(folder / "fallback", made, WITH_BOS, bos="<s>", eos="</s>")
    llama(folder / "moves", byte_level(gpt2, ["</s>"]), MOVES_SYSTEM, eos="</s>")
    odd = pre_tokenizers.Sequence([
        pre_tokenizers.Split(_pattern("a+"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    llama(folder / "odd", byte_level(odd, marks), CHATML)
    adapter(folder / "tied", folder / "adapter")
    adapter(folder / "tied", folder / "bare", 0.6, modules_to_save=None)
    adapter(
        folder / "tied",
        folder / "uneven",
        0.6,
        modules_to_save=None,
        use_rslora=True,
        rank_pattern={"q_proj": 2},
        alpha_pattern={"k_proj": 3},
    )
    adapter(folder / "tied", folder / "dora", modules_to_save=None, use_dora=True)
    shutil.copytree(folder / "plain", folder / "quantised")
    config = json.loads((folder / "quantised/config.json").read_text())
    config["quantization_config"] = {"load_in_4bit": True, "quant_method": "bitsandbytes"}
    (folder / "quantised/config.json").write_text(json.dumps(config))
    shutil.copytree(folder / "plain", folder / "qwen")
    Qwen2ForCausalLM(
        Qwen2Config(vocab_size=402, hidden_size=64, intermediate_size=96, num_hidden_layers=1,
                    num_attention_heads=4, num_key_value_heads=2)
    ).save_pretrained(folder / "qwen")  # fmt: skip
    shutil.copytree(folder / "adapter", folder / "on-quantised")


def _pattern(text: str) -> Any:
    from tokenizers import Regex

    return Regex(text)


JOBS: dict[str, dict[str, Any]] = {
    "plain": {"export": ["gguf:f32", "gguf:f16", "gguf:bf16", "gguf:q8_0", "gguf:q4_k_m",
                         "ollama-modelfile", "adapter", "awq", "merged"]},
    "tied": {"export": ["gguf:f32"]},
    "adapter": {"base": "tied", "export": ["adapter", "gguf-adapter", "merged", "gguf:f32"]},
    "bare": {"base": "tied", "export": ["gguf-adapter", "adapter", "gguf:f32"]},
    "uneven": {"base": "tied", "export": ["gguf-adapter", "gguf:f32"]},
    "dora": {"base": "tied", "export": ["gguf-adapter"]},
    "bos": {"export": ["gguf:f32", "ollama-modelfile"]},
    "fallback": {"export": ["gguf:f32"]},
    "moves": {"export": ["gguf:f16", "ollama-modelfile"]},
    "odd": {"export": ["merged", "gguf:q8_0"]},
    "qwen": {"export": ["merged", "gguf:q8_0"]},
    "on-quantised": {"base": "quantised", "export": ["merged", "gguf:q8_0", "adapter"]},
}  # fmt: skip


def main(folder: Path) -> None:
    make(folder)
    found: dict[str, Any] = {}
    for name, job in JOBS.items():
        run = {"base": str(folder / job.get("base", name)), "export": job["export"], "name": name}
        events: list[dict[str, Any]] = []
        found[name] = {
            "plan": plan(run),
            "results": run_exports(run, folder / name, folder / "out" / name, events.append),
            "events": events,
        }
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
