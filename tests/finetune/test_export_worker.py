"""Exports of real small models, made in the training environment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from export_desk import exported, run_beside

from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune.export.kinds import parse


@pytest.fixture
def folder() -> Path:
    return exported()[0]


@pytest.fixture
def found() -> dict[str, Any]:
    return exported()[1]


def result(found: dict[str, Any], model: str, export: str) -> dict[str, Any]:
    return next(each for each in found[model]["results"] if each["export"] == export)


def test_names_are_read_once_and_in_the_order_they_are_made() -> None:
    names = [each.name for each in parse(["ollama-modelfile", "gguf", "GGUF:Q8_0", "adapter"])]
    assert names == ["adapter", "gguf:q8_0", "ollama-modelfile"]


@pytest.mark.parametrize("name", ["gguf:q8", "gguff", "", "merged:f16", "../merged"])
def test_unknown_exports_are_refused(name: str) -> None:
    with pytest.raises(UsageProblem, match="There is no export"):
        parse([name])


def test_nearest_export_is_named() -> None:
    with pytest.raises(UsageProblem, match=r"did you mean 'gguf:q4_k_m'"):
        parse(["gguf:q4_km"])


def test_every_export_has_a_state(found: dict[str, Any]) -> None:
    states = {
        (model, each["export"]): each["state"]
        for model, job in found.items()
        for each in job["results"]
    }
    assert states["plain", "merged"] == states["plain", "gguf:q8_0"] == "done"
    assert states["plain", "adapter"] == "refused"
    assert states["plain", "awq"] in ("unavailable", "done")  # a GPU decides
    assert states["adapter", "adapter"] == states["adapter", "gguf:f32"] == "done"
    assert states["odd", "merged"] == "done"
    assert states["odd", "gguf:q8_0"] == states["qwen", "gguf:q8_0"] == "refused"
    assert states["on-quantised", "merged"] == states["on-quantised", "gguf:q8_0"] == "refused"
    assert states["on-quantised", "adapter"] == "done"
    for job in found.values():
        for each in job["results"]:
            assert each["state"] == "done" or each["reason"]


def test_the_plan_says_before_training_what_the_exports_say_after(found: dict[str, Any]) -> None:
    for model in ("plain", "odd", "qwen", "on-quantised", "bos"):
        before = {each["export"]: each["state"] for each in found[model]["plan"]}
        after = {each["export"]: each["state"] for each in found[model]["results"]}
        for export in after:
            if export == "adapter":
                continue  # what was trained is not known from the base
            ready = "ready" if after[export] == "done" else after[export]
            assert before[export] == ready, (model, export)


def test_events_tell_start_and_end_of_each(found: dict[str, Any]) -> None:
    for job in found.values():
        told = [each for each in job["events"] if each["event"] == "export"]
        started = [each["export"] for each in told if each["state"] == "started"]
        ended = [each["export"] for each in told if each["state"] != "started"]
        assert started == ended == [each["export"] for each in job["results"]]


def test_an_adapter_is_exported_without_pickles(folder: Path) -> None:
    assert (folder / "adapter" / "training_args.bin").is_file()
    names = {path.name for path in (folder / "out/adapter/adapter").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"} <= names
    assert "training_args.bin" not in names


def test_merging_reports_how_far_logits_moved(found: dict[str, Any]) -> None:
    merged = result(found, "adapter", "merged")
    assert merged["dtype"] == "float32"
    assert 0 <= merged["max_logit_difference"] < 1e-4 * merged["max_logit"] + 1e-3
    assert merged["max_logit"] > 1  # the texts were really answered


def test_nothing_is_left_half_made(folder: Path) -> None:
    for path in (folder / "out").rglob("*"):
        assert not path.name.startswith("."), path
    assert not (
        folder / "out/tied/merged"
    ).exists()  # it was made for GGUF alone, and not asked for


def test_gguf_sizes_follow_bits_per_weight(found: dict[str, Any]) -> None:
    bits = {kind: result(found, "plain", f"gguf:{kind}")["bpw"] for kind in ("f32", "f16", "q8_0")}
    assert bits["f32"] == 32
    assert 16 <= bits["f16"] < 16.2  # norms stay in 32 bits
    assert 8.5 <= bits["q8_0"] < 8.7


_READ = """
import sys, gguf
for path in sys.argv[1:]:
    reader = gguf.GGUFReader(path)
    print(path.split("/")[-3], {name: reader.fields[name].contents() for name in (
        "tokenizer.ggml.pre", "tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token",
        "tokenizer.ggml.eos_token_id", "tokenizer.chat_template", "llama.vocab_size")},
        len(reader.fields["tokenizer.ggml.tokens"].contents()), sep="|")
"""


def test_gguf_files_say_what_the_tokenizer_does(folder: Path) -> None:
    models = ("plain", "tied", "bos", "fallback")
    files = [str(folder / f"out/{name}/gguf/model-f32.gguf") for name in models]
    facts = {}
    for line in run_beside("-c", _READ, *files).splitlines():
        name, told, tokens = line.rsplit("|", 1)[0].split("|", 1)[0], line, line.rsplit("|", 1)[1]
        facts[name] = (told, int(tokens))
    assert "'tokenizer.ggml.pre': 'gpt-2'" in facts["plain"][0]
    assert "'tokenizer.ggml.pre': 'llama-bpe'" in facts["bos"][0]
    assert "'tokenizer.ggml.add_bos_token': True" in facts["bos"][0]
    assert "'tokenizer.ggml.add_bos_token': False" in facts["plain"][0]
    assert "generation %" not in facts["plain"][0]
    assert "if true %" in facts["plain"][0]
    assert facts["tied"][1] == 448  # more rows than tokens: filled up


def test_a_modelfile_is_written_where_the_template_allows_it(
    folder: Path, found: dict[str, Any]
) -> None:
    text = (folder / "out/plain/Modelfile").read_text()
    assert text.startswith("FROM ./gguf/model-q8_0.gguf\n")
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert '{{ if eq .Role "system" }}<|im_start|>system\n{{ .Content }}<|im_end|>\n' in text
    assert "<s>" not in (folder / "out/bos/Modelfile").read_text().split("PARAMETER")[0]
    refused = result(found, "moves", "ollama-modelfile")
    assert "no form that a Modelfile can write" in refused["reason"]
    assert not (folder / "out/moves/Modelfile").exists()


def test_a_reference_is_kept_with_the_weights(folder: Path) -> None:
    reference = json.loads((folder / "out/plain/reference.json").read_text())
    assert len(reference["prompts"]) == 5
    for each in reference["prompts"]:
        assert each["ids"]
        assert len(each["answer_ids"]) == len(each["leads"]) > 0


def test_importing_the_room_needs_the_standard_library_alone() -> None:
    """The worker imports it where none of our packages are."""
    code = (
        "import sys\n"
        "import llmops_kernel.finetune.export.worker, llmops_kernel.finetune.parity\n"
        "import llmops_kernel.labs.tiny_train\n"
        "heavy = {'pydantic', 'torch', 'numpy', 'gguf', 'yaml', 'transformers', 'aiohttp'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
