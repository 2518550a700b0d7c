"""The planner against published figures; the comment of each names where it is from."""

from __future__ import annotations

import pytest

from llmops_kernel.serve.plan import (
    GB,
    GIB,
    Demand,
    Figure,
    TrainingDemand,
    bits_per_weight,
    dtype_named,
    find_gpu,
    find_shape,
    plan_serving,
    plan_training,
    weight_bytes,
)

H100 = find_gpu("H100")
UNSLOTH = {"fused_ce": True, "offload_ckpt": True, "adam_8bit": True}


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("llama-2-7b", 6_738_415_616),
        ("llama-3.1-8b", 8_030_261_248),
        ("llama-3.1-405b", 405_853_388_800),
        ("llama-3.2-1b", 1_235_814_400),
        ("llama-3.2-3b", 3_212_749_824),
        ("llama-3.3-70b", 70_553_706_496),
        ("mistral-7b-v0.1", 7_241_732_096),
        ("mistral-7b-v0.3", 7_248_023_552),
        ("mixtral-8x7b", 46_702_792_704),
        ("qwen2.5-0.5b", 494_032_768),
        ("qwen2.5-7b", 7_615_616_512),
        ("qwen3-0.6b", 596_049_920),
        ("qwen3-8b", 8_190_735_360),
        ("qwen3-32b", 32_762_123_264),
        ("qwen3-30b-a3b", 30_532_122_624),
        ("gemma-2-9b", 9_241_705_984),
        ("phi-4", 14_659_507_200),
        ("opt-125m", 125_239_296),
        ("opt-13b", 12_853_473_280),
        ("gpt-oss-20b", 20_914_757_184),
    ],
)
def test_parameters_are_those_of_the_published_weights(model: str, parameters: int) -> None:
    assert find_shape(model).parameters == parameters


@pytest.mark.parametrize(
    ("recipe", "gib", "bits"),
    [  # llama.cpp, tools/quantize/README.md: Llama-3.1-8B
        ("f16", 14.96, 16.0005),
        ("q8_0", 7.95, 8.5008),
        ("q6_k", 6.14, 6.5633),
        ("q5_k_m", 5.33, 5.7036),
        ("q5_k_s", 5.21, 5.5704),
        ("q4_k_m", 4.58, 4.8944),
        ("q4_k_s", 4.36, 4.6672),
        ("q3_k_m", 3.74, 3.9960),
    ],
)
def test_rows_1_to_5_gguf_of_llama_8b(recipe: str, gib: float, bits: float) -> None:
    shape, dtype = find_shape("Llama-3.1-8B-Instruct"), dtype_named(recipe)
    size = weight_bytes(shape, dtype)
    assert size.is_exact
    assert size.best / GIB == pytest.approx(gib, rel=0.002)
    assert bits_per_weight(shape, dtype) == pytest.approx(bits, abs=0.0005)


def test_row_6_gguf_of_mistral_7b() -> None:
    size = weight_bytes(find_shape("mistral-7b-v0.3"), dtype_named("Q4_K_M")).best
    assert size / GB == pytest.approx(4.37, rel=0.002)  # 4,370 MB in a model catalogue


@pytest.mark.parametrize(("model", "gb"), [("mistral-7b-v0.1", 4.15), ("llama-3-8b", 5.73)])
def test_rows_7_and_8_awq_keeps_embedding_and_head(model: str, gb: float) -> None:
    assert weight_bytes(find_shape(model), "awq").best / GB == pytest.approx(gb, rel=0.002)


def test_row_9_llama_8b_loaded_in_vllm() -> None:
    plan = plan_serving(find_shape("llama-3.1-8b"), H100, Demand(16_384))
    assert plan.weights.best / GIB == pytest.approx(14.99, rel=0.02)


def test_row_10_kv_pool_from_the_measured_parts() -> None:
    demand = Demand(16_000, utilisation=0.9, weights_gib=14.99, activation_gib=4.76, other_gib=0.13)
    plan = plan_serving(find_shape("llama-3.1-8b"), H100, demand)
    assert plan.kv_pool.best / GIB == pytest.approx(51.38, rel=0.001)
    assert plan.kv_tokens.best == pytest.approx(420_900, rel=0.001)
    assert plan.kv_tokens.best / 16_000 == pytest.approx(26.3, rel=0.002)


@pytest.mark.parametrize(
    ("model", "dtype", "gib"),
    [  # rows 10 to 13: llm-d benchmark, one H100, vLLM at 0.9
        ("llama-3.1-8b", "", 51.38),
        ("qwen3-32b", "", 4.45),
        ("llama-3.3-70b", "fp8", -1.44),
        ("gpt-oss-20b", "", 50.28),
    ],
)
def test_rows_10_to_13_kv_pool_without_any_measurement(model: str, dtype: str, gib: float) -> None:
    plan = plan_serving(find_shape(model), H100, Demand(16_000, dtype=dtype, utilisation=0.9))
    pool = plan.kv_pool.times(1 / GIB)
    assert pool.contains(gib), pool
    assert pool.high - pool.low < 2.5
    assert "llm-d" in pool.anchor


def test_row_11_qwen3_32b_fits_16_000_tokens_and_not_32_000() -> None:
    shape = find_shape("qwen3-32b")
    assert shape.kv_bytes_per_token() == 256 * 1024
    assert plan_serving(shape, H100, Demand(16_000, utilisation=0.9)).fits
    refused = plan_serving(shape, H100, Demand(32_000, utilisation=0.9))
    assert not refused.starts
    assert refused.certain
    assert "7.81 GiB" in refused.reason


def test_row_12_a_70b_model_in_fp8_does_not_fit_one_h100() -> None:
    plan = plan_serving(
        find_shape("llama-3.3-70b"), H100, Demand(4_096, dtype="fp8", utilisation=0.9)
    )
    assert plan.weights.best / GIB == pytest.approx(67.72, rel=0.02)
    assert not plan.fits
    assert plan.max_concurrency.high == 0
    assert "before the first token" in plan.reason


def test_row_14_fp32_and_adam_of_llama_2_7b() -> None:
    shape = find_shape("llama-2-7b")
    full = weight_bytes(shape, "fp32").best / GIB
    assert full == pytest.approx(25.10, rel=0.001)
    # `accelerate estimate-memory` leaves the head out, and prints GiB as GB.
    without_head = full - shape.head_parameters * 4 / GIB
    assert without_head == pytest.approx(24.61, rel=0.001)
    assert without_head / 4 == pytest.approx(6.15, rel=0.001)  # int8
    trained = plan_training(shape, TrainingDemand("full", precision="fp32")).states.low / GIB
    assert trained - shape.head_parameters * 16 / GIB == pytest.approx(98.46, rel=0.001)


def test_row_15_keys_and_values_of_8_192_tokens() -> None:
    assert find_shape("llama-3-8b").kv_bytes(8_192) / GB == pytest.approx(1.074, rel=0.001)


@pytest.mark.parametrize(
    ("model", "kib"),
    [("opt-13b", 800), ("llama-3-70b", 320), ("qwen2.5-7b", 56), ("llama-3.2-1b", 32),
     ("llama-3.1-8b", 128)],
)  # fmt: skip
def test_row_16_keys_and_values_of_a_token(model: str, kib: int) -> None:
    assert find_shape(model).kv_bytes_per_token() == kib * 1024


@pytest.mark.parametrize(
    ("model", "qlora", "lora"),
    [  # Unsloth's documentation, "requirements": the least a card needs, GB
        ("llama-3.2-3b", 3.5, 8),
        ("llama-2-7b", 5, 19),
        ("llama-3.1-8b", 6, 22),
        ("gemma-2-9b", 6.5, 24),
        ("qwen2.5-14b", 8.5, 33),
        ("qwen2.5-32b", 26, 76),
        ("llama-3.3-70b", 41, 164),
        ("llama-3.1-405b", 237, 950),
    ],
)
def test_row_17_published_least_memory_is_no_more_than_the_high_end(
    model: str, qlora: float, lora: float
) -> None:
    shape = find_shape(model)
    small = plan_training(shape, TrainingDemand("qlora", 2_048, **UNSLOTH)).total
    assert small.high / GB >= qlora
    assert plan_training(shape, TrainingDemand("lora", 2_048)).total.high / GB >= lora


@pytest.mark.parametrize(
    ("model", "gb", "tokens"),
    [
        *(("llama-3.1-8b", *row) for row in
          ((8, 2_972), (12, 21_848), (16, 40_724), (24, 78_475), (80, 342_733))),
        ("llama-3.3-70b", 48, 12_106),
        ("llama-3.3-70b", 80, 89_389),
    ],
)  # fmt: skip
def test_rows_18_and_19_longest_context_with_unsloth(model: str, gb: float, tokens: int) -> None:
    plan = plan_training(find_shape(model), TrainingDemand("qlora", tokens, rank=32, **UNSLOTH))
    assert plan.total.times(1 / GB).contains(gb)
    assert plan.total.best / GB == pytest.approx(gb, rel=0.04)


@pytest.mark.parametrize(("model", "mb"), [("llama-3.1-8b", 0.212), ("llama-3.3-70b", 0.414)])
def test_rows_18_and_19_bytes_of_one_more_token(model: str, mb: float) -> None:
    plan = plan_training(find_shape(model), TrainingDemand("qlora", rank=32, **UNSLOTH))
    assert plan.per_token.best / 1e6 == pytest.approx(mb, rel=0.03)


@pytest.mark.parametrize(("gb", "tokens"), [(12, 932), (16, 2_551), (24, 5_789), (80, 28_454)])
def test_row_18_longest_context_without_savings(gb: float, tokens: int) -> None:
    demand = TrainingDemand("qlora", tokens, rank=32, upcast_embeddings=True)
    plan = plan_training(find_shape("llama-3.1-8b"), demand)
    assert plan.total.times(1 / GB).contains(gb)
    assert plan.per_token.times(1e-6).contains(2.47)


@pytest.mark.parametrize(
    ("model", "published"),
    [  # LLaMA-Factory, README: full in 32 and 16 bits, LoRA, QLoRA in 8 and 4 bits; GB
        ("llama-2-7b", (120, 60, 16, 10, 6)),
        ("llama-2-13b", (240, 120, 32, 20, 12)),
        ("llama-2-70b", (1_200, 600, 160, 80, 48)),
    ],
)
def test_row_20_table_of_another_trainer(model: str, published: tuple[float, ...]) -> None:
    demands = (
        TrainingDemand("full", precision="fp32"),
        TrainingDemand("full", precision="bf16"),
        TrainingDemand("lora"),
        TrainingDemand("qlora", base="int8"),
        TrainingDemand("qlora"),
    )
    for demand, gb in zip(demands, published, strict=True):
        total = plan_training(find_shape(model), demand).total.times(1 / GB)
        assert total.contains(gb), (demand, total)
        assert total.high / total.low < 1.6


def test_lora_parameters_of_llama_8b() -> None:
    assert find_shape("llama-3-8b").lora_parameters(16) == 41_943_040


def test_a_range_is_no_number_and_names_its_anchor() -> None:
    assert Figure.exact(1.23456).as_json() == 1.235
    told = Figure(1, 2, 3, "somewhere").as_json()
    assert told == {"low": 1, "high": 3, "anchor": "somewhere"}
