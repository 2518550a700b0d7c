"""What the engine would refuse is no plan that fits; registered models have plans too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmops_kernel.cli import main
from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune.registry import Registry
from llmops_kernel.serve.plan import Demand, find_gpu, find_shape, plan_serving, shape_of

SMALL: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 352, "vocab_size": 451,
    "max_position_embeddings": 512,
}  # fmt: skip


def told(capsys: pytest.CaptureFixture[str], *asked: str) -> dict[str, Any]:
    assert main(["serve", "plan", *asked, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    ("model", "gpu", "demand", "said"),
    [
        ("llama-3.1-8b", "H100", Demand(dtype="q4_k_m"), "does not read weights stored as gguf"),
        ("llama-3.1-8b", "H100", Demand(dtype="nf4"), "does not read weights stored as nf4"),
        ("llama-3.1-8b", "H100", Demand(engine="llama-server", dtype="awq"), "reads GGUF only"),
        ("llama-3.1-8b", "H100", Demand(kv_dtype="q8_0"), "keys and values as q8_0"),
        ("llama-3.1-8b", "H100", Demand(engine="ollama", kv_dtype="fp8"), "keys and values as fp8"),
        ("llama-2-7b", "H100", Demand(8_192), "reads 4,096 tokens, and 8,192 are asked"),
        ("llama-3.1-8b", "H200", Demand(200_000), "reads 131,072 tokens"),
        ("llama-3.1-8b", "H100", Demand(gpus=3), "3 GPUs cannot share 32 heads evenly"),
        ("qwen2.5-14b", "H100", Demand(gpus=5), "5 GPUs cannot share 8 heads of keys"),
        ("llama-3.2-1b", "T4", Demand(dtype="bf16"), "take --dtype fp16"),
        ("llama-3.2-1b", "V100", Demand(dtype="awq"), "too old for AWQ"),
    ],
)
def test_what_the_engine_refuses_does_not_fit(
    model: str, gpu: str, demand: Demand, said: str
) -> None:
    plan = plan_serving(find_shape(model), find_gpu(gpu), demand)
    assert plan.has_room
    assert not plan.fits
    assert plan.as_json()["fits"] is False
    assert said in plan.as_json()["reason"]


@pytest.mark.parametrize(
    ("model", "gpu", "demand"),
    [
        ("llama-3.1-8b", "H100", Demand(dtype="awq")),
        ("llama-3.1-8b", "H100", Demand(131_072)),
        ("llama-3.1-8b", "H100", Demand(gpus=16)),  # each of 8 heads of keys twice
        ("llama-3.1-8b", "H100", Demand(engine="llama-server", dtype="q4_k_m", gpus=3)),
        ("llama-3.1-8b", "H100", Demand(engine="llama-server", kv_dtype="q8_0")),
        ("gpt-oss-20b", "H100", Demand(engine="llama-server")),
        ("llama-3.2-1b", "T4", Demand(dtype="fp16")),
        ("llama-3.2-1b", "8GiB", Demand(dtype="bf16")),
    ],
)
def test_what_it_takes_has_no_word_of_warning(model: str, gpu: str, demand: Demand) -> None:
    plan = plan_serving(find_shape(model), find_gpu(gpu), demand)
    assert plan.fits
    assert plan.as_json()["warnings"] == []


@pytest.mark.parametrize(
    ("model", "gpu", "demand", "said"),
    [
        ("llama-2-7b", "H100", Demand(8_192, engine="llama-server"), "reads 4,096 tokens"),
        ("llama-3.2-1b", "T4", Demand(), "the engine takes fp16"),
        ("llama-3.1-8b", "A100", Demand(dtype="fp8"), "cannot reckon in fp8"),
        ("llama-3.1-8b", "H100", Demand(engine="transformers", dtype="q4_k_m"), "unpacks GGUF"),
    ],
)
def test_what_goes_otherwise_than_one_thinks(
    model: str, gpu: str, demand: Demand, said: str
) -> None:
    plan = plan_serving(find_shape(model), find_gpu(gpu), demand)
    assert plan.fits
    assert any(said in each for each in plan.as_json()["warnings"])


@pytest.mark.parametrize(
    ("scaling", "tokens"),
    [
        ({"type": "linear", "factor": 4.0}, 2_048),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}, 1_024),
        ({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 64}, 512),
        (None, 512),
    ],
)
def test_scalings_stretch_what_a_model_reads(scaling: Any, tokens: int) -> None:
    assert shape_of({**SMALL, "rope_scaling": scaling}).context == tokens


def test_warnings_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["serve", "plan", "--model", "llama-2-7b", "--gpu", "H100", "--engine", "llama-server"]
    assert main(asked) == 0
    assert "The model reads 4,096 tokens, and 8,192 are asked" in capsys.readouterr().out
    assert main([*asked[:-1], "vllm"]) == 0
    assert "Does not fit. vllm refuses it: The model reads" in capsys.readouterr().out


def test_capacity_is_reckoned_with_what_fits(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--model", "llama-3.1-8b", "--gpu", "H100", "--versus", "openai/gpt-4o-mini")
    filled, one, many = (
        told(capsys, *asked, *more)
        for more in ((), ("--concurrency", "1"), ("--concurrency", "40"))
    )
    capacity = [each["versus"]["capacity_requests_per_day"]["high"] for each in (filled, one, many)]
    assert capacity[0] > capacity[2] > 20 * capacity[1]
    room = plan_serving(find_shape("llama-3.1-8b"), find_gpu("H100"), Demand()).max_concurrency.best
    assert f"{room:.0f} at once" in filled["output_tokens_per_second"]["anchor"]
    assert filled["versus"]["pays"] is True
    assert one["versus"]["pays"] is False


def test_a_comparison_with_what_does_not_start_says_only_that(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = told(capsys, "--model", "llama-3.3-70b", "--gpu", "L4", "--versus",
                 "openai/gpt-4o-mini")  # fmt: skip
    assert found["fits"] is False
    assert "versus" not in found


def exports(folder: Path, kind: str = "merged") -> Path:
    (folder / kind).mkdir(parents=True)
    (folder / kind / "config.json").write_text(json.dumps(SMALL))
    return folder


def test_registered_models_and_folders_of_exports_have_plans(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record: dict[str, Any] = {
        "config": {"base": "b"},
        "data": {"sha256": "ab"},
        "base": {"name": "b"},
    }
    version = Registry().register("area-of-bank", exports(tmp_path / "run"), record)
    for name in ("area-of-bank", version.ref, str(tmp_path / "run"), str(version.folder)):
        found = told(capsys, "--model", name, "--gpu", "4GiB", "--ctx", "512")
        assert found["parameters"] == shape_of(SMALL).parameters
        assert found["fits"] is True
    assert told(capsys, "--model", version.ref, "--gpu", "4GiB")["fits"] is False  # reads 512
    with pytest.raises(UsageProblem, match="did you mean 'area-of-bank'"):
        find_shape("area-of-banks")
    with pytest.raises(UsageProblem, match=r"did you mean 'llama-3\.1-8b'"):
        find_shape("llama-3.1-8")
    with pytest.raises(UsageProblem, match=r"no config\.json"):
        find_shape(str(tmp_path))
