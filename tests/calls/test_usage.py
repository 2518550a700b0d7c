"""What a provider's usage object says, and what is made of one that makes no sense."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given

from llmops_kernel.calls.usage import Usage

if TYPE_CHECKING:
    pass
from prices_desk import media_usages, text_usages

# ---- OpenAI's usage object ---------------------------------------------------------------------


def test_cache_reads_writes_and_thinking_are_read() -> None:
    usage = Usage.from_body(
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 150,
            "prompt_tokens_details": {
                "cached_tokens": 60, "cache_write_tokens": 20, "audio_tokens": 10,
                "cached_tokens_details": {"audio_tokens": 5},
            },
            "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 4},
        },
        tier="priority",
    )  # fmt: skip
    assert usage == Usage(
        100, 50, 60, 20, 30, 10, 4, tier="priority", details=(("cache_audio_read_tokens", 5),)
    )


@pytest.mark.parametrize(
    ("body", "output"),
    [
        # xAI and Gemini leave thinking out of the completion.
        ({"total_tokens": 135, "completion_tokens_details": {"reasoning_tokens": 94}}, 103),
        ({"total_tokens": 300}, 268),
        ({"completion_tokens_details": {"reasoning_tokens": 94}}, 103),
        # Perplexity bills thinking and citations apart.
        ({"total_tokens": 41, "reasoning_tokens": 5, "citation_tokens": 7}, 21),
        ({"total_tokens": 41}, 9),
        ({"total_tokens": 3}, 9),
    ],
)
def test_all_that_is_billed_as_output_is_output(body: dict[str, Any], output: int) -> None:
    usage = Usage.from_body({"prompt_tokens": 32, "completion_tokens": 9, **body})
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (32, output)


@pytest.mark.parametrize(
    "body",
    [
        None, [], "x", {}, {"prompt_tokens": "1"}, {"prompt_tokens": -1}, {"prompt_tokens": True},
        {"prompt_tokens": 1.5}, {"prompt_tokens": 10**12},
        {"prompt_tokens": 1, "completion_tokens": None},
        {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}},
        {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": "x"}},
    ],
)  # fmt: skip
def test_usage_that_makes_no_sense_is_none(body: Any) -> None:
    assert Usage.from_body(body) is None


def test_details_of_a_wrong_shape_are_left_out() -> None:
    body = {"prompt_tokens": 1, "prompt_tokens_details": [], "completion_tokens_details": "x"}
    assert Usage.from_body(body) == Usage(1)


@given(text_usages())
def test_usage_survives_its_own_body(usage: Usage) -> None:
    assume(not usage.details)
    again = Usage.from_body(usage.body(), tier=usage.tier)
    assert again == usage


@given(text_usages(), media_usages())
def test_usage_adds_up(one: Usage, two: Usage) -> None:
    total = one + two
    assert total.input_tokens == one.input_tokens + two.input_tokens
    assert total.total_tokens == one.total_tokens + two.total_tokens
    assert dict(total.details).get("input_image_tokens") == dict(two.details)["input_image_tokens"]
    assert one + Usage(tier=one.tier) == one
