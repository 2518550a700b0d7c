"""What an engine keeps of prompts that begin alike: asked twice over, and counted by itself."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.serve.loadtest.client import Goal, Sample, ask

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROMPTS = 4
_BEGINNING = (
    "Case {case}. You answer customers of a bank. Be brief and polite, name no other customer, "
    "and say so when you do not know. "
)


@dataclass(frozen=True, slots=True)
class Prefix:
    """Prompt tokens that an engine did not have to read again.

    Attributes:
        prompt_tokens: Prompt tokens of one pass, as the engine counts them.
        cached_first: Those it had kept, of a first pass: from the prompts before.
        cached_second: Those of a second pass over the same prompts.
    """

    prompt_tokens: int
    cached_first: int
    cached_second: int


async def read_twice(goal: Goal, prompts: Sequence[str], timeout_s: float) -> Prefix | None:
    """Ask a few prompts that begin alike, one after the other and twice, for one token each.

    None where the engine does not tell what it had kept (``cached_tokens`` of the usage), or did
    not answer. The beginning is another one each time, so that nothing of an earlier test counts.
    """
    import aiohttp

    beginning = _BEGINNING.format(case=secrets.token_hex(3))
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=timeout_s)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    passes = []
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        for _ in range(2):
            samples = []
            for number, prompt in enumerate(prompts[:_PROMPTS]):
                sample = Sample(number, time.monotonic())
                samples.append(await ask(session, goal, beginning + prompt, 1, sample))
                if sample.error or sample.cached is None:
                    return None
            passes.append(samples)
    first, second = (sum(each.cached or 0 for each in samples) for samples in passes)
    return Prefix(sum(each.prompt_tokens for each in passes[0]), first, second)
