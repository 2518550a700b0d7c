"""BM25 over the chunks of an index: exact words, where vectors only know neighbourhoods."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from llmops_kernel.embed.checks import package

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from llmops_kernel.rag.record import IndexRecord
    from llmops_kernel.rag.where import Where

# Robertson and Zaragoza 2009, in Lucene's form; k1 and b measured on seven public sets.
_METHOD, _K1, _B = "lucene", 1.5, 0.75
_STEMMER = "english"
# Part of the folder's name: another way to cut words must not meet old files.
_VERSION = 1
_DOCUMENT_FACTS = {"doc_id", "source", "title", "tenant"}


@dataclass(frozen=True, slots=True)
class _Row:
    doc_id: str
    heading: str
    page: int | None


class LexicalIndex:
    """The words of an index's chunks at one revision, kept on disk.

    Args:
        record: The index.
        revision: Its revision; a lexical index does not change.
        folder: Where it is kept; older revisions there are removed.
    """

    def __init__(self, record: IndexRecord, revision: int, folder: Path) -> None:
        self._record = record
        self.revision = revision
        rows = record.searched()
        self.ids: list[str] = [row[0] for row in rows]
        self._rows = [_Row(row[1], row[2], row[3]) for row in rows]
        self.place = {chunk_id: place for place, chunk_id in enumerate(self.ids)}
        self._bm25 = self._load(folder, rows) if rows else None
        self._mask = lru_cache(maxsize=64)(self._make_mask)

    def scores(self, question: str, where: Where) -> NDArray[np.float32]:
        """Return the score of every chunk, shape (chunks,); -inf for those not to be seen."""
        if self._bm25 is None:
            return np.empty(0, np.float32)
        tokens = tokenize([question])[0]
        known = [token for token in tokens if token in self._bm25.vocab_dict]
        if known:
            found = np.asarray(self._bm25.get_scores(known), np.float32)
        else:
            found = np.zeros(len(self.ids), np.float32)
        return np.where(self._mask(where), found, np.float32(-np.inf))

    def visible(self, where: Where) -> NDArray[np.bool_]:
        """Return which chunks may be seen, shape (chunks,)."""
        mask: NDArray[np.bool_] = self._mask(where)
        return mask

    def _make_mask(self, where: Where) -> NDArray[np.bool_]:
        documents = self._record.documents()
        if all(condition.field in _DOCUMENT_FACTS for condition in where.conditions):
            # One look for each document, not for each chunk.
            seen = {
                doc_id
                for doc_id, entry in documents.items()
                if where.holds(
                    {
                        **entry.metadata,
                        "doc_id": doc_id,
                        "source": entry.source,
                        "title": entry.title,
                        "tenant": entry.tenant,
                    }
                )
            }
            return np.fromiter((row.doc_id in seen for row in self._rows), bool, len(self._rows))
        return np.fromiter((self._holds(where, row) for row in self._rows), bool, len(self._rows))

    def _holds(self, where: Where, row: _Row) -> bool:
        entry = self._record.documents().get(row.doc_id)
        if entry is None:
            return False
        facts = {
            **entry.metadata,
            "doc_id": row.doc_id,
            "source": entry.source,
            "title": entry.title,
            "heading": row.heading,
            "tenant": entry.tenant,
        }
        if row.page is not None:
            facts["page"] = row.page
        return where.holds(facts)

    def _load(self, folder: Path, rows: list[tuple[Any, ...]]) -> Any:
        """Return the index from disk, or build it and keep it."""
        bm25s = _library()
        place = folder / f"{_VERSION}-{self.revision}"
        try:
            kept = json.loads((place / "chunks.json").read_text(encoding="utf-8"))
            if kept == [len(self.ids), self.ids[0], self.ids[-1]]:
                return bm25s.BM25.load(str(place), mmap=True)
        except (OSError, ValueError, KeyError):
            pass  # none yet, or one that was cut off while it was written
        documents = self._record.documents()
        texts = [
            _text(documents, row, text)
            for row, text in zip(rows, self._record.searched_texts(), strict=True)
        ]
        built = bm25s.BM25(method=_METHOD, k1=_K1, b=_B)
        built.index(_tokenized(texts), show_progress=False)
        try:
            shutil.rmtree(folder, ignore_errors=True)
            place.mkdir(parents=True, mode=0o700)
            built.save(str(place))
            mark = json.dumps([len(self.ids), self.ids[0], self.ids[-1]])
            (place / "chunks.json").write_text(mark, encoding="utf-8")
        except OSError:
            shutil.rmtree(place, ignore_errors=True)  # no place to keep it: built anew next time
        return built


def tokenize(texts: list[str]) -> list[list[str]]:
    """Return the stemmed words of texts, without English stop words."""
    found: list[list[str]] = _library().tokenize(
        texts, stopwords="en", stemmer=_stemmer(), return_ids=False, show_progress=False
    )
    return found


def _tokenized(texts: list[str]) -> Any:
    return _library().tokenize(texts, stopwords="en", stemmer=_stemmer(), show_progress=False)


@lru_cache(maxsize=1)
def _library() -> Any:
    with warnings.catch_warnings():
        # Its progress bars, which are not used here, ask for widgets as soon as it is imported.
        warnings.filterwarnings("ignore", message="IProgress not found")
        library = package("bm25s")
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG
    return library


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    return package("Stemmer").Stemmer(_STEMMER)


def _text(documents: Any, row: tuple[Any, ...], text: str) -> str:
    _, doc_id, heading, _ = row
    entry = documents.get(doc_id)
    title = entry.title if entry is not None else ""
    return "\n".join(part for part in (title, heading, text) if part)
