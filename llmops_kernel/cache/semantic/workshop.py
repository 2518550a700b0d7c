"""What looking and learning of the margin tier share: one thread, the embedder, open partitions.

Vectors, partitions and the record are touched in that thread alone, so nothing of them needs a
lock and no event loop waits for them.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, Thread
from typing import TYPE_CHECKING

from llmops_kernel.cache.backend import CacheDown
from llmops_kernel.cache.near import MARGIN
from llmops_kernel.cache.semantic.margin_book import MarginBook
from llmops_kernel.cache.semantic.server_partition import ServerPartition
from llmops_kernel.errors import LLMOpsError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from llmops_kernel.cache.entry import Entry
    from llmops_kernel.cache.near import Question
    from llmops_kernel.cache.semantic.embedding import LateEmbedder
    from llmops_kernel.cache.semantic.margin_book import Loaded
    from llmops_kernel.cache.shelf import Shelf
    from llmops_kernel.settings import CacheSettings
    from llmops_kernel.store import Store
    from llmops_kernel.store.cache_rows import EntryRow

_log = logging.getLogger(__name__)
_LOADED = 8  # partitions in memory


class Workshop:
    """The margin tier's thread, embedder and partitions.

    Args:
        store: The record.
        shelf: Where the answers lie.
        settings: Returns the settings in force.
        embedder: Turns texts into vectors; None where there is none.
    """

    def __init__(
        self,
        store: Store,
        shelf: Shelf,
        settings: Callable[[], CacheSettings],
        embedder: LateEmbedder | None,
    ) -> None:
        self.shelf = shelf
        self.book = MarginBook(store, settings, shelf.sealer, shelf.now)
        self.off = "" if embedder else "it has no embedder"
        self.loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._embedder = embedder
        self._said: set[str] = set()
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._carried: set[str] = set()  # partitions on their way to the record's server
        self._builders: dict[str, Thread] = {}

    def place_of(self, question: Question) -> str:
        """Return the partition of a question: all else of its request, and the embedder."""
        name = self._embedder.id if self._embedder else ""
        return self.shelf.sealer().key(f"{MARGIN}\x1f{name}\x1f{question.near.place}")

    def finish(self) -> None:
        """Wait until everything that waited has been learnt, moved and indexed; judges excepted."""
        while self._pool is not None:
            self._pool.submit(lambda: None).result()
            builders = [*self._builders.values()]
            for builder in builders:
                builder.join()
            if not self._carried and len(builders) == len(self._builders):
                return

    def close(self) -> None:
        """Learn what waits, and stop."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True)

    def reread(self) -> None:
        """Read every partition anew when it is needed next."""
        self.loaded.clear()

    def open(self, tenant: str, place: str) -> Loaded:
        """Return a partition as the record has it now, the texts as far as they were read."""
        loaded = self.loaded.get(place)
        if loaded is None or not self.book.is_current(loaded):
            loaded = self.loaded[place] = self.book.open(tenant, place)
        self.loaded.move_to_end(place)
        while len(self.loaded) > _LOADED:
            self.loaded.popitem(last=False)
        return loaded

    def carry_on(self, loaded: Loaded) -> None:
        """Let a partition's texts go on to the record's server, between other work."""
        place, partition = loaded.row.place, loaded.partition
        if not isinstance(partition, ServerPartition) or place in self._carried:
            return
        if partition.moving or place not in self._builders:
            self._carried.add(place)
            self._next_step(place)

    def _next_step(self, place: str) -> None:
        pool = self._pool
        try:
            if pool is not None:
                pool.submit(self._step, place)
                return
        except RuntimeError:
            pass
        self._carried.discard(place)  # it is being closed: whoever comes next goes on from here

    def _step(self, place: str) -> None:
        loaded = self.loaded.get(place)
        partition = None if loaded is None else loaded.partition
        try:
            if isinstance(partition, ServerPartition):
                partition.step()
                if partition.moving:
                    self._next_step(place)
                    return
                if place not in self._builders:
                    # Until it is built everything is compared: nobody waits for it.
                    builder = Thread(target=self._build, args=(partition,), daemon=True)
                    self._builders[place] = builder
                    builder.start()
        except Exception as error:  # noqa: BLE001 - it is tried again with the next text
            self.failed(error)
        self._carried.discard(place)

    def _build(self, partition: ServerPartition) -> None:
        try:
            partition.build_index()
        except Exception as error:  # noqa: BLE001 - everything is compared without it
            self.failed(error)

    def opened(
        self, key: str, question: Question, tenant: str
    ) -> tuple[EntryRow, Entry, str] | None:
        """Return row, entry and question of an answer, if it is of this place and whole."""
        row = self.shelf.backend.find(key, self.shelf.now())
        entry = None if row is None else self.shelf.opened(row, tenant, key)
        asked = None if entry is None else entry.asked()
        if row is None or entry is None or asked is None:
            return None
        return (row, entry, asked.text) if asked.place == question.asked.place else None

    def embed(self, text: str) -> NDArray[np.float32]:
        """Return a text's vector (raises `LLMOpsError`)."""
        assert self._embedder is not None
        try:
            embedder = self._embedder.load()
        except LLMOpsError as error:  # a package is missing: that will not pass by itself
            self.off = error.sentence()
            raise
        return embedder.embed_query(text)

    def failed(self, error: Exception) -> None:
        """Say once what went wrong; calls go on."""
        if isinstance(error, CacheDown):
            return  # told where calls find out
        known = isinstance(error, LLMOpsError)
        said = error.sentence() if isinstance(error, LLMOpsError) else repr(error)
        if said not in self._said:
            self._said.add(said)
            _log.warning("A tier with vectors cannot be used now: %s", said, exc_info=not known)

    def thread(self) -> ThreadPoolExecutor:
        """Return the one thread, started at the first call."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="llmops-margin")
            return self._pool
