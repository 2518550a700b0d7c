"""A provider and an endpoint on loopback, and the client side that the product itself has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from stub_door import Served, serving
from stub_upstream import StubUpstream
from upstream_desk import KEY

from llmops_kernel.calls.upstream import HTTPUpstream


@pytest.fixture
def served() -> Iterator[Served]:
    """An endpoint that runs."""
    with serving() as served:
        yield served


@pytest.fixture
def stub() -> Iterator[StubUpstream]:
    """A provider that does what a test tells it."""
    with StubUpstream() as stub:
        yield stub


@pytest.fixture
async def upstream() -> AsyncIterator[HTTPUpstream]:
    """What sends requests to providers; it has one key for all of them."""
    upstream = HTTPUpstream(lambda target: KEY if target.key_env else None)
    yield upstream
    await upstream.close()
