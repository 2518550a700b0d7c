"""Two providers on loopback, a cheap and a dear one, and sessions with routes between them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from llmops_kernel import Session

sys.path.append(str(Path(__file__).parents[1] / "calls"))  # the stub provider

from stub_upstream import StubUpstream

# USD per million tokens; the stub counts 7 in and 3 out.
CHEAP_NANO, DEAR_NANO = 7 * 1_000 + 3 * 2_000, 7 * 10_000 + 3 * 20_000


@pytest.fixture
def cheap() -> Iterator[StubUpstream]:
    with StubUpstream() as server:
        yield server


@pytest.fixture
def dear() -> Iterator[StubUpstream]:
    with StubUpstream() as server:
        yield server


@pytest.fixture
def make_session(
    cheap: StubUpstream, dear: StubUpstream, tmp_path: Path
) -> Iterator[Callable[..., Session]]:
    """Opens a session whose models ``cheap/stub-1`` and ``dear/stub-1`` are the two providers."""
    with ExitStack() as stack:

        def make(**settings: Any) -> Session:
            values: dict[str, Any] = {
                "store": f"sqlite:///{tmp_path / 'record.db'}",
                "providers": {
                    "cheap": {"base_url": cheap.base_url},
                    "dear": {"base_url": dear.base_url},
                },
                "prices": {
                    "cheap/stub-1": {"input": 1, "output": 2},
                    "dear/stub-1": {"input": 10, "output": 20},
                },
                "aliases": {"small": "cheap/stub-1", "large": "dear/stub-1"},
                "retries": 0,
                **settings,
            }
            return stack.enter_context(Session(**values))

        yield make


@pytest.fixture
def prices() -> tuple[int, int]:
    """Nano-dollars of one call to the cheap and to the dear provider."""
    return CHEAP_NANO, DEAR_NANO
