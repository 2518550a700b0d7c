"""The specification: everything it takes, and every mistake named with its place."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.errors import LLMOpsError, SettingsError, UsageProblem
from llmops_kernel.finetune import read_spec, read_spec_file
from llmops_kernel.finetune.spec.units import duration, size

WHOLE = """
task: chat
base: ./models/tiny-base
backend: {name: auto, python: null, threads: auto}
data: {path: data/train.jsonl, format: messages, eval_fraction: 0.1, split_seed: 7, dedupe: true}
template: {source: tokenizer, system: null}
method: lora
lora: {r: 16, alpha: 32, dropout: 0.0, targets: all-linear, save_modules: []}
train: {epochs: 3, max_steps: null, max_length: auto, packing: false, loss_on: assistant,
        batch: 8, accumulate: 1, lr: 2.0e-4, schedule: cosine, warmup_steps: 10, seed: 7,
        precision: auto}
limits: {wall: 10m, memory: 8GiB, cost: 0.00}
preflight: {truncated_max: 0.01, dry_run_steps: 2, on_fail: stop}
eval: {prompts: data/probe.jsonl, compare_with: base, gate: {eval_loss_not_worse: true}}
export: [adapter, merged, gguf:q8_0, ollama-modelfile]
register: support-intent
"""
LEAST = "base: x\ndata: {path: a}\n"


def test_the_whole_schema_is_read() -> None:
    spec = read_spec(WHOLE)
    assert spec.limits.wall == 600
    assert spec.limits.memory == 8 * 2**30
    assert spec.limits.cost == Decimal("0.0")
    assert spec.train.lr == 2e-4
    assert spec.lora.save_modules == []
    assert spec.export == ["adapter", "merged", "gguf:q8_0", "ollama-modelfile"]
    assert spec.register_as == "support-intent"
    assert spec.plain()["register"] == "support-intent"
    assert read_spec(LEAST).lora.save_modules == "auto"


def test_a_specification_can_be_written_and_read_again() -> None:
    import yaml

    spec = read_spec(WHOLE)
    assert read_spec(yaml.safe_dump(spec.plain())) == spec


@pytest.mark.parametrize(
    ("text", "said", "detail"),
    [
        ("base: x\ndata: {path: a, formt: csv}", "data.formt is not a name here", "line 3"),
        ("bas: x\ndata: {path: a}", "(did you mean 'base'?)", "line 2"),
        (LEAST + "train:\n  epochs: 2\n  lr: fast", "train.lr has a wrong value", "line 6"),
        (LEAST + "train: {max_length: lots}", "train.max_length has a wrong value", "line 4"),
        (LEAST + "limits: {wall: soon}", "limits.wall has a wrong value", "10m"),
        (LEAST + "limits: {memory: 8 bananas}", "limits.memory has a wrong value", "8GiB"),
        (LEAST + "method: lorra", "method has a wrong value", "'lorra'"),
        (LEAST + "export: [guf]", "export has a wrong value", "guf"),
        (LEAST + "train: {lr: .nan}", "train.lr has a wrong value", "finite"),
        (LEAST + "train: {batch: 0}", "train.batch has a wrong value", "line 4"),
        (LEAST + "train: {epochs: -1}", "train.epochs has a wrong value", "greater than 0"),
        (LEAST + "data2: 1", "data2 is not a name here (did you mean 'data'?)", "line 4"),
        ("base: x", "data is missing", ""),
        (LEAST + "method: full\nexport: [adapter]", "contradicts itself", "adapter"),
        (LEAST + "eval: {compare_with: null, gate: {}}", "contradicts itself", "compare_with"),
        (LEAST + "backend: {name: trll}", "backend.name has a wrong value", "'trll'"),
    ],
)
def test_a_mistake_names_key_and_line(text: str, said: str, detail: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_spec(text, first_line=2)
    assert said in caught.value.message
    assert detail in caught.value.detail
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("# only words", "is empty"),
        ("- a\n- b", "must be names with values"),
        ("just text", "must be names with values"),
        ("base: [", "is no YAML"),
        ("base: x\n\tdata: y", "is no YAML"),
        ("base: x\nbase: y", "base stands twice"),
        ("data: {path: a, path: b}", "data.path stands twice"),
        ("base: !!python/object/apply:os.system ['true']", "is no YAML"),
        ("a: &a [1]\n" + "\n".join(f"k{i}: [{'*a, ' * 40}]" for i in range(200)), "too many"),
        ("a: " + "[" * 5_000 + "]" * 5_000, ""),
    ],
)
def test_what_is_no_specification_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        read_spec(text)
    assert said in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        LEAST + "hf_token: hf_" + "a1" * 15,
        LEAST + "template: {system: 'use key sk-" + "a1b2" * 6 + "'}",
        LEAST + "lora: {targets: ['ghp_" + "a1" * 18 + "']}",
        LEAST + "password: swordfish",
    ],
)
def test_secrets_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        read_spec(text)
    assert "holds a secret" in caught.value.message
    assert "line " in caught.value.detail
    assert "a1" not in caught.value.sentence()
    assert "swordfish" not in caught.value.sentence()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem):
        read_spec_file(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"base: caf\xe9")
    with pytest.raises(UsageProblem):
        read_spec_file(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", None), (90, 90), ("90s", 90), ("10m", 600), ("1h30m", 5_400),
                          ("2 min", 120), ("1.5h", 5_400)],
)  # fmt: skip
def test_durations(text: object, seconds: float | None) -> None:
    if seconds is None:
        with pytest.raises(ValueError, match="duration"):
            duration(text)
    else:
        assert duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"), [("8GiB", 2**33), ("500 MB", 500_000_000), (1024, 1024), ("1.5KiB", 1536)]
)
def test_sizes(text: object, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "8", "GiB", "-1GiB", "0MB", "8XB", True, None])
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(ValueError, match="size"):
        size(text)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_in_our_words(text: str) -> None:
    with contextlib.suppress(LLMOpsError):  # any other error fails
        assert read_spec(text).base
