"""What Unsloth loads on a CPU: what was asked for, or a refusal, and nothing else in silence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from unsloth_env import need_unsloth, run_with_unsloth

from llmops_kernel import envs
from llmops_kernel.finetune.layout import REFUSED

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unsloth-cases")
    (folder / "empty").mkdir()
    return folder


@pytest.fixture(scope="module")
def cases(place: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    """All cases, made by one process where Unsloth is: its import alone takes seconds."""
    need_unsloth()
    if envs.has_gpu():
        pytest.skip("there is a GPU: Unsloth does not take its way for a CPU")
    base: Path = request.getfixturevalue("random_base")
    said = run_with_unsloth("unsloth_cases.py", str(base), str(place))
    found: dict[str, Any] = json.loads(said.rpartition("RESULT")[2])
    return found


def test_it_is_imported_first_and_installs_nothing(cases: dict[str, Any], place: Path) -> None:
    assert cases["early"] == []
    assert cases["variables"] == ["0", "1", str(place / "unsloth_compiled_cache")]


def test_weights_are_as_with_trl(cases: dict[str, Any]) -> None:
    native = cases["half"][1]
    # Trained whole: in 32 bits, with autocast; and without the recomputation nobody asked for.
    assert cases["full"] == ["torch.float32", "bf16" if native else "fp32", False, False]
    assert cases["auto"] == ["torch.float32", "fp32"]


def test_adapters_are_those_of_trl(cases: dict[str, Any]) -> None:
    mine, trls = cases["adapters"]
    assert mine == trls
    assert any("embed_tokens.modules_to_save" in name for name in mine)
    assert any("lora_A" in name and value for name, value in mine.items())


def test_what_it_does_in_another_way_is_told(cases: dict[str, Any]) -> None:
    precision, native = cases["half"]
    assert precision == ("bf16" if native else "fp32")
    (check,) = cases["told"]
    assert (check["name"], check["state"]) == ("unsloth", "warn")
    assert check["detail"] == f"packing is off; {precision} is used for fp16"
    assert cases["packing"] is False  # and the estimates go by that
    assert cases["nothing"] == 0


def test_four_bits_can_be_trained_after_an_evaluation(cases: dict[str, Any]) -> None:
    # With Unsloth and with TRL: the layers are quantised, and no evaluation changes what is learnt.
    assert cases["four_bits"] == ["Linear4bit", "Linear4bit"]
    assert cases["gradients"] == pytest.approx([0.0, 0.0], abs=1e-6)


def test_four_bits_are_refused_where_they_cannot_be_had(cases: dict[str, Any]) -> None:
    code, reason, _ = cases["qlora"]
    assert (code, reason) == (REFUSED, "QLoRA needs bitsandbytes, which cannot be used here")


def test_another_base_is_refused(cases: dict[str, Any], place: Path) -> None:
    code, reason, detail = cases["other"]
    assert (code, reason) == (REFUSED, "Unsloth would train another base than was asked for")
    assert detail == f"{place / 'small'} for {place / 'small-bnb-4bit'}"


def test_what_cannot_be_loaded_is_refused(cases: dict[str, Any]) -> None:
    assert cases["nothing_there"][:2] == [REFUSED, "the base cannot be loaded"]
    assert cases["vocabulary"][:2] == [
        REFUSED, "the tokenizer has more tokens than the base has embeddings",
    ]  # fmt: skip
