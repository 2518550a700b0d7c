"""What a person asks the planner: names, sizes, wrong ones, dollars, the command line."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llmops_kernel.calls.prices import FreePrice, TablePrice
from llmops_kernel.cli import main
from llmops_kernel.errors import UsageProblem
from llmops_kernel.serve.plan import (
    GB,
    GIB,
    Demand,
    Figure,
    Work,
    break_even,
    find_gpu,
    find_shape,
    plan_serving,
    roofline,
    shape_of,
    usd_per_million,
    weight_bytes,
)
from llmops_kernel.settings import PriceSettings

LLAMA = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
    "vocab_size": 128256, "tie_word_embeddings": False,
}  # fmt: skip


def test_gigabytes_are_not_gibibytes() -> None:
    assert find_gpu("24GB").bytes == 24 * GB
    assert find_gpu("24GiB").bytes == 24 * GIB
    assert find_gpu(str(24 * GIB)).bytes == 24 * GIB
    assert find_gpu("nvidia h100").name == find_gpu("H100-80GB").name == "H100"


@pytest.mark.parametrize("text", ["24", "80", "H101", "", "24TB"])
def test_what_is_no_gpu_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        find_gpu(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    "name", ["meta-llama/Llama-3.1-8B-Instruct", "llama3.1-8b", "Meta-Llama-3.1-8B", "llama-3.1-8b"]
)
def test_spellings_of_one_model(name: str) -> None:
    assert find_shape(name).name == "llama-3.1-8b"


def test_a_config_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    for place in (tmp_path, tmp_path / "config.json"):
        assert find_shape(str(place)).parameters == find_shape("llama-3.1-8b").parameters


def test_tied_embeddings_are_counted_once() -> None:
    tied = shape_of({**LLAMA, "tie_word_embeddings": True})
    assert shape_of(LLAMA).parameters - tied.parameters == 128256 * 4096


def test_head_dim_of_the_config_wins() -> None:
    assert shape_of({**LLAMA, "head_dim": 256}).kv_bytes_per_token() == 2 * 131_072


def test_a_models_own_quantisation_is_the_default() -> None:
    shape = shape_of({**LLAMA, "quantization_config": {"quant_method": "awq", "bits": 4}})
    plan = plan_serving(shape, find_gpu("L4"), Demand(4_096))
    assert plan.dtype == "awq"
    assert plan.weights.best / GB == pytest.approx(5.728, rel=0.001)


def test_sliding_windows_bound_keys_and_values() -> None:
    shape = find_shape("gpt-oss-20b")
    long, longer = shape.kv_bytes(10_000), shape.kv_bytes(20_000)
    assert longer < 2 * long
    assert longer - long == shape.kv_bytes_per_token() / 2 * 10_000


def test_rows_of_other_widths_fall_back_to_other_blocks() -> None:
    """Rows that are no multiple of 256 cannot be K-quants: a small model shrinks less."""
    small = {**LLAMA, "hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2,
             "intermediate_size": 352, "vocab_size": 451}  # fmt: skip
    odd = shape_of(small)
    even = shape_of({**small, "hidden_size": 256, "intermediate_size": 768})
    share = [weight_bytes(s, "gguf:q4_k_m").best / s.parameters for s in (odd, even)]
    assert share[0] > share[1]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "hidden_size"),
        ({**LLAMA, "num_hidden_layers": "many"}, "num_hidden_layers"),
        ({**LLAMA, "hidden_size": 0}, "hidden_size"),
        ({**LLAMA, "kv_lora_rank": 512}, "latent attention"),
    ],
)
def test_configs_that_cannot_be_counted_are_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        shape_of(config)


@pytest.mark.parametrize(
    "change",
    [{"engine": "vlm"}, {"dtype": "q9"}, {"kv_dtype": "fp9"}, {"context": 0}, {"concurrency": 0},
     {"utilisation": 1.5}, {"gpus": 0}],
)  # fmt: skip
def test_impossible_demands_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageProblem):
        plan_serving(find_shape("llama-3.1-8b"), find_gpu("H100"), Demand(**change))


def test_grouped_queries_two_gpus_and_fp8_each_make_room() -> None:
    shape, gpu = find_shape("llama-3.1-8b"), find_gpu("RTX-4090")
    one = plan_serving(shape, gpu, Demand(4_096))
    two = plan_serving(shape, gpu, Demand(4_096, gpus=2))
    small = plan_serving(shape, gpu, Demand(4_096, kv_dtype="fp8"))
    assert two.max_concurrency.best > 2 * one.max_concurrency.best
    assert small.max_concurrency.best >= 2 * one.max_concurrency.best
    assert not plan_serving(shape, find_gpu("T4"), Demand(4_096)).fits


def test_every_engine_has_a_plan() -> None:
    for engine in ("vllm", "sglang", "llama-server", "ollama", "transformers", "llama.cpp"):
        plan = plan_serving(find_shape("qwen2.5-7b"), find_gpu("H100"), Demand(8_192, 4, engine))
        assert plan.fits
        assert json.dumps(plan.as_json())


def test_dollars_of_a_million_tokens() -> None:
    """$3.60 an hour is a tenth of a cent a second: at 1,000 tokens/s 1M tokens cost $1."""
    hour, speed = Figure.exact(3.6), Figure.exact(1_000.0)
    assert usd_per_million(hour, speed).best == pytest.approx(1.0)
    assert usd_per_million(hour, speed, busy=0.25).best == pytest.approx(4.0)
    ends = usd_per_million(Figure(1.8, 3.6, 7.2, "rent"), Figure(500, 1_000, 2_000, "speed"))
    assert (ends.low, ends.high) == (pytest.approx(0.25), pytest.approx(4.0))
    with pytest.raises(UsageProblem):
        usd_per_million(hour, Figure.exact(0.0))


def test_break_even_against_a_price() -> None:
    price = TablePrice("m", PriceSettings(input=Decimal(1), output=Decimal(2)))
    work = Work(input_tokens=1_000, output_tokens=500)  # $0.002 a request
    found = break_even(price, work, Figure.exact(1.0), Figure.exact(100.0))
    assert found.api_usd_per_request == Decimal("0.002")
    assert found.requests_per_day.best == 12_000
    assert found.capacity_per_day.best == pytest.approx(17_280)
    assert found.pays
    slow = break_even(price, work, Figure.exact(1.0), Figure.exact(10.0))
    assert not slow.pays
    with pytest.raises(UsageProblem):
        break_even(FreePrice(), work, Figure.exact(1.0), Figure.exact(100.0))


def test_the_bandwidth_bounds_the_throughput() -> None:
    shape, gpu = find_shape("llama-3.1-8b"), find_gpu("H100")
    alone = roofline(plan_serving(shape, gpu, Demand(2_048, 1)), Work())
    many = roofline(plan_serving(shape, gpu, Demand(2_048, 64)), Work())
    assert alone is not None
    assert many is not None
    assert alone.high < gpu.bandwidth / (shape.parameters * 2)
    assert many.best > 20 * alone.best
    assert roofline(plan_serving(shape, find_gpu("80GiB"), Demand(2_048)), Work()) is None


def test_the_command_line_prints_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["serve", "plan", "--model", "Llama-3.1-8B", "--gpu", "H100", "--ctx", "16000",
             "--concurrency", "16", "--engine", "vllm", "--utilisation", "0.9",
             "--json"]  # fmt: skip
    assert main(asked) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["weights_gib"] == pytest.approx(14.958)
    assert told["kv_pool_gib"]["low"] < 51.38 < told["kv_pool_gib"]["high"]
    assert "llm-d" in told["kv_pool_gib"]["anchor"]
    assert told["fits"] is True
    assert main(asked[:-1]) == 0
    text = capsys.readouterr().out
    assert "14.96 GiB" in text
    assert "Fits. Room for 26 sequences" in text


def test_the_command_line_compares_with_a_price(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["serve", "plan", "--model", "llama-3.1-8b", "--gpu", "24GB", "--dtype", "awq",
             "--usd-per-hour", "0.5", "--throughput", "1500", "--versus", "openai/gpt-4o-mini",
             "--train", "qlora", "--trainer", "unsloth", "--json"]  # fmt: skip
    assert main(asked) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["usd_per_1m_output_tokens"] == pytest.approx(0.5 / 3600 / 1500 * 1e6, abs=1e-4)
    # gpt-4o-mini: $0.15 and $0.60 for 1M tokens
    assert Decimal(told["versus"]["api_usd_per_request"]) == Decimal("0.000165")
    assert told["versus"]["break_even_requests_per_day"] == 72_728
    assert told["training"]["total_gib"]["low"] < told["training"]["total_gib"]["high"]


def test_a_model_that_does_not_fit_is_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "plan", "--model", "llama-3.3-70b", "--gpu", "L4"]) == 0
    assert "Does not fit" in capsys.readouterr().out
    assert main(["serve", "plan", "--model", "llama-9", "--gpu", "L4"]) == 1
    assert "does not know the model" in capsys.readouterr().err
