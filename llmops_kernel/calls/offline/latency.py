"""How long a simulated model would have taken, on a virtual clock.

Latency is the time to the first token plus output tokens over tokens per second. Both are drawn
from log-normal distributions around the medians of the model's family, with the request and the
model as the seed: the same call always takes the same time, and nothing sleeps.
"""

from __future__ import annotations

import math
from hashlib import blake2b

from llmops_kernel.calls.offline.families import Family, family_of


def latency_s(model: str, fingerprint: str, input_tokens: int, output_tokens: int) -> float:
    """Return the seconds a simulated call takes.

    Args:
        model: The simulated model's name at its provider, ``gpt-4o``.
        fingerprint: The request's hash, the seed.
        input_tokens: Tokens of the prompt; they delay the first token.
        output_tokens: Tokens of the longest choice; choices are written side by side.
    """
    first, rate = draw_speed(family_of(model), model, fingerprint)
    reading = input_tokens / family_of(model).input_tokens_per_s
    return round(first + reading + output_tokens / rate, 4)


def draw_speed(family: Family, model: str, fingerprint: str) -> tuple[float, float]:
    """Draw the seconds to the first token and the output tokens per second of one call."""
    seed = blake2b(f"{model}|{fingerprint}".encode(), digest_size=16).digest()
    one = (int.from_bytes(seed[:8], "big") + 1) / (2**64 + 1)
    two = int.from_bytes(seed[8:], "big") / 2**64
    radius = math.sqrt(-2.0 * math.log(one))  # Box and Muller 1958
    first = radius * math.cos(2.0 * math.pi * two)
    second = radius * math.sin(2.0 * math.pi * two)
    return (
        family.first_token_s * math.exp(family.spread * first),
        family.tokens_per_s * math.exp(-0.5 * family.spread * second),
    )
