"""Milvus, in a file (milvus-lite) or on a server.

What is repaired: the metric is the inner product unless it is told otherwise; a collection that was
closed has to be loaded before it can be searched; a search asks for 16,384 rows at most; the text
beside a vector has a longest length; the client writes failures to the log with their stacks, which
come as a `StoreError` here. Reads are strongly consistent: what was written is found.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

from llmops_kernel.errors import StoreError
from llmops_kernel.rag.stores.adapter import LlamaStore
from llmops_kernel.rag.stores.extras import load
from llmops_kernel.rag.stores.shared import Shared

if TYPE_CHECKING:
    from pathlib import Path

    from llmops_kernel.rag.documents import Chunk
    from llmops_kernel.rag.where import Where

_CONNECT_SECONDS = 5.0


class _LastError(logging.Handler):
    """Keeps the last failure that a logger was told of."""

    error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.error = record.exc_info[1] if record.exc_info else None


def _is_news(record: logging.LogRecord) -> bool:
    """Drop what gRPC logs, with its stack, whenever the client makes an index.

    The client asks for a timestamp, which milvus-lite has not, and goes on without one.
    """
    trace = record.exc_info[2] if record.exc_info else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is None or trace.tb_frame.f_code.co_name != "AllocTimestamp"


def _open_file(path: Path) -> str:
    logging.getLogger("grpc._server").addFilter(_is_news)
    manager = load("milvus_lite.server_manager", extra="milvus").server_manager_instance
    path.parent.mkdir(parents=True, exist_ok=True)
    # Why a file cannot be opened is told to the log only.
    log, ear = logging.getLogger("milvus_lite.server_manager"), _LastError()
    propagated, log.propagate = log.propagate, False
    log.addHandler(ear)
    try:
        opened = manager.start_and_get_uri(str(path))
    finally:
        log.removeHandler(ear)
        log.propagate = propagated
    if opened is None:
        if type(ear.error).__name__ == "DataDirLockedError":
            raise StoreError(
                "Milvus's file is in use by another process",
                detail=str(path),
                hint="Close the other kernel, or use a server: milvus+http://HOST:19530",
            )
        raise StoreError(
            "Milvus's file cannot be opened",
            detail=f"{path}: {ear.error}",
            hint="Check that the file is one of milvus-lite and may be written",
        )
    return str(path)


def _close_file(_path: Path, file: str) -> None:
    # The client leaves the server of the file running until the process ends.
    load("milvus_lite.server_manager", extra="milvus").server_manager_instance.release_server(file)


_FILES: Shared[str] = Shared(_open_file, _close_file)


class MilvusStore(LlamaStore):
    """An index in Milvus: one collection, searched exactly (index type FLAT)."""

    title = "Milvus"
    hint: ClassVar[str] = "Check the file, or that the server runs and MILVUS_TOKEN is its token"
    most: ClassVar[int | None] = 16_384
    # A row's dynamic fields may take 64 KiB together, and LlamaIndex keeps the metadata twice.
    text_bytes: ClassVar[int | None] = 16_000

    _llama: Any = None
    _file: Path | None = None

    def _open(self) -> int | None:
        place = self._place
        uri = place.url
        if place.path is None:
            self._knock(place.host, place.port)
        elif self._file is None:
            uri, _ = _FILES.take(place.path)
            self._file = place.path
        else:
            uri = str(place.path.resolve())  # written again after `drop`
        if self._llama is not None:
            self._llama.client.close()
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        store = load("llama_index.vector_stores.milvus", extra="milvus").MilvusVectorStore
        self._llama = store(
            uri=uri,
            token=place.key,
            collection_name=self._name,
            dim=self._dim,
            similarity_metric="cosine",
            consistency_level="Strong",
            upsert_mode=True,
            use_async_client=False,
            batch_size=self.batch,
            timeout=_CONNECT_SECONDS,
        )
        client = self._llama.client
        client.load_collection(self._name)
        fields = client.describe_collection(self._name)["fields"]
        params = next(each["params"] for each in fields if each["name"] == "embedding")
        return int(params["dim"])

    def _write(self, chunks: list[Chunk], vectors: list[list[float]]) -> None:
        self._llama.add(self._nodes(chunks, vectors))

    def _remove(self, node_ids: list[str]) -> None:
        self._llama.delete_nodes(node_ids)

    def _search(self, vector: list[float], k: int, where: Where) -> list[tuple[Any, float]]:
        return self._ask(self._llama, vector, k, where)

    def _total(self) -> int:
        rows = self._llama.client.query(self._name, filter="", output_fields=["count(*)"])
        return int(rows[0]["count(*)"])

    def _erase(self) -> None:
        self._llama.clear()

    def _release(self) -> None:
        try:
            if self._llama is not None:
                self._llama.client.close()
        finally:
            self._llama = None
            if self._file is not None:
                _FILES.give_back(self._file)
                self._file = None
