"""What the parts of the retrieval benchmark share: an index of one's own, and a clock."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llmops_kernel.embed import builtin
from llmops_kernel.rag.library import Library
from llmops_kernel.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def library(folder: Path) -> Iterator[Library]:
    """Open the indexes of a record in a folder."""
    store = open_store(f"sqlite:///{folder / 'record.db'}")
    made = Library(
        store,
        home=folder / "rag",
        embedder_of=lambda _: builtin(),
        embedder="builtin",
        vectors="chroma",
    )
    try:
        yield made
    finally:
        made.close()
        store.close()


def timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return a call's result, its wall seconds and its CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, time.perf_counter() - wall, time.process_time() - cpu
