"""Usage of every kind, drawn at random, and dollars as nano-dollars."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from llmops_kernel.calls.usage import Usage

if TYPE_CHECKING:
    pass


NANO = 1_000_000_000


def nano(usd: Decimal) -> int:
    return int((usd * NANO).to_integral_value(ROUND_CEILING))


TIERS = ("", "", "priority", "flex", "fast", "batch", "default")


@st.composite
def text_usages(draw: st.DrawFn) -> Usage:
    size = st.integers(0, 2_000) | st.integers(0, 1_200_000)
    fresh, cached, written, hour = (draw(size) for _ in range(4))
    output, reasoning = draw(size), draw(size)
    return Usage(
        fresh + cached + written + hour,
        output + reasoning,
        cached_tokens=cached,
        cache_write_tokens=written + hour,
        reasoning_tokens=reasoning,
        tier=draw(st.sampled_from(TIERS)),
        details=(("cache_write_1h_tokens", hour),) if draw(st.booleans()) else (),
    )


@st.composite
def media_usages(draw: st.DrawFn) -> Usage:
    size = st.integers(0, 100_000)
    text, audio, image, cached_audio, output, spoken, drawn = (draw(size) for _ in range(7))
    return Usage(
        text + audio + image + cached_audio,
        output + spoken + drawn,
        cached_tokens=cached_audio,
        input_audio_tokens=audio + cached_audio,
        output_audio_tokens=spoken,
        details=(
            ("cache_audio_read_tokens", cached_audio),
            ("cache_image_read_tokens", 0),
            ("input_image_tokens", image),
            ("output_image_tokens", drawn),
        ),
    )
