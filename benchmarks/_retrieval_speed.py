"""What ingest and search cost beside other frameworks, with the same embedder and Chroma."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _labelled as labelled
import _measure as measure
import _rivals as rivals
from _retrieval_parts import timed

from llmops_kernel.embed import builtin
from llmops_kernel.rag.ingesting import ingest
from llmops_kernel.rag.library import Library
from llmops_kernel.rag.retrieve import SearchOptions
from llmops_kernel.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Pace:
    """What one framework took, one value per round."""

    chunks: int = 0
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    query_wall: list[list[float]] = field(default_factory=list)
    query_cpu: list[list[float]] = field(default_factory=list)


class Ours:
    """Our ingest and search, in one mode."""

    def __init__(self) -> None:
        self.name = "llmops"
        self._index: Any = None
        self._options = SearchOptions()

    def ingest(self, docs: Path, place: Path) -> int:
        """Read, cut, embed and store a folder; returns the chunks."""
        store = open_store(f"sqlite:///{place / 'record.db'}")
        own = Library(store, home=place / "rag", embedder_of=lambda _: builtin(),
                      embedder="builtin", vectors="chroma")  # fmt: skip
        self._index = own.create("docs", chunker="sentence", size=rivals.SIZE)
        report = ingest(self._index, [str(docs)])
        return report.chunks

    def mode(self, mode: Any) -> Callable[[str], int]:
        """Return what finds five chunks in one mode."""
        options = SearchOptions(mode=mode)
        return lambda question: len(self._index.retriever.search(question, options))


def time_queries(search: Callable[[str], int], questions: list[str], pace: Pace) -> None:
    search(questions[0])
    wall, cpu = [], []
    for question in questions:
        count, one_wall, one_cpu = timed(lambda question=question: search(question))
        assert count == 5, "every framework must find five"
        wall.append(one_wall * 1e3)
        cpu.append(one_cpu * 1e3)
    pace.query_wall.append(wall)
    pace.query_cpu.append(cpu)


def speed_texts(folder: Path, count: int) -> list[str]:
    """Write documents of one chunk each, and return questions about them."""
    folder.mkdir()
    made = labelled.xquad if labelled.PUBLIC.exists() else None
    if made is None:
        return []
    with tempfile.TemporaryDirectory() as home:
        source = made(Path(home))
        for file in sorted(source.folder.iterdir()):
            words = file.read_text(encoding="utf-8").split()
            for part in range(0, len(words), 100):
                text = " ".join(words[part : part + 100])
                (folder / f"{file.stem}-{part:03}.txt").write_text(text, encoding="utf-8")
    for extra in sorted(folder.iterdir())[count:]:
        extra.unlink()
    return [each.question for each in source.questions]


def measure_speed(report: measure.Report, options: Any) -> None:
    rounds, count, asked = (1, 60, 20) if options.quick else (3, 300, 200)
    missing = rivals.langchain_missing()
    if missing:
        report.notes.append(f"LangChain was not measured: {missing}")
    paces: dict[str, Pace] = {}
    with tempfile.TemporaryDirectory() as home:
        docs = Path(home) / "docs"
        questions = speed_texts(docs, count)[::5][:asked]
        if not questions:
            report.notes.append("speed was not measured: the public collections are not here")
            return
        texts = [file.read_text(encoding="utf-8") for file in sorted(docs.iterdir())]
        few = Path(home) / "few"
        few.mkdir()
        for number, text in enumerate(texts[:16]):
            (few / f"{number}.txt").write_text(text, encoding="utf-8")
        # Imports and first uses are paid here, by everybody.
        one_round(Path(home) / "warm", few, texts[:16], questions[:2], {}, not missing)
        for number in range(rounds):
            one_round(Path(home) / str(number), docs, texts, questions, paces, not missing)
    for name, pace in paces.items():
        row: dict[str, Any] = {"what": "speed", "how": name}
        if pace.wall:
            row |= {
                "chunks": pace.chunks,
                "chunks/s": measure.Figure.of([pace.chunks / each for each in pace.wall]),
                "chunks per CPU s": measure.Figure.of([pace.chunks / each for each in pace.cpu]),
            }
        if pace.query_wall:
            row |= {
                f"{title} {label} ms": measure.Figure.of(
                    [measure.percentile(each, share) for each in rows]
                )
                for title, rows in (("query", pace.query_wall), ("CPU", pace.query_cpu))
                for label, share in (("p50", 0.5), ("p95", 0.95))
            }
        report.add(**row)
    hold_speed(report, paces)


def one_round(
    home: Path, docs: Path, texts: list[str], questions: list[str], paces: dict[str, Pace],
    langchain: bool,
) -> None:  # fmt: skip
    pace = paces.setdefault("the embedder alone", Pace())
    _, wall, cpu = timed(lambda: builtin().embed_texts(texts))
    pace.chunks = len(texts)
    pace.wall.append(wall)
    pace.cpu.append(cpu)
    time_queries(lambda text: 5 if builtin().embed_query(text).size else 0, questions, pace)
    ours = Ours()
    frameworks: list[Any] = [ours, rivals.LlamaIndex()]
    if langchain:
        frameworks.append(rivals.LangChain())
    for each in frameworks:
        place = home / each.name
        place.mkdir(parents=True)
        pace = paces.setdefault(each.name, Pace())
        pace.chunks, wall, cpu = timed(lambda each=each, place=place: each.ingest(docs, place))
        pace.wall.append(wall)
        pace.cpu.append(cpu)
    for mode in ("bm25", "dense", "hybrid"):
        pace = paces.setdefault(f"llmops, {mode}", Pace())
        time_queries(ours.mode(mode), questions, pace)
    for each in frameworks[1:]:
        time_queries(each.search, questions, paces[each.name])


def hold_speed(report: measure.Report, paces: dict[str, Pace]) -> None:
    def per_chunk(name: str) -> float:
        return measure.Figure.of(
            [1e3 * each / paces[name].chunks for each in paces[name].cpu]
        ).median

    def query(name: str, share: float) -> float:
        rows = paces[name].query_cpu
        return measure.Figure.of([measure.percentile(each, share) for each in rows]).median

    for rival in ("LlamaIndex", "LangChain"):
        if rival not in paces:
            continue
        report.targets.append(measure.Target(
            f"ingest CPU beside {rival}", per_chunk(rival), per_chunk("llmops"), "ms per chunk",
        ))  # fmt: skip
        for mode in ("dense", "hybrid"):
            report.targets.append(measure.Target(
                f"{mode} query CPU p50 beside {rival} (dense)", query(rival, 0.5),
                query(f"llmops, {mode}", 0.5), "ms",
            ))  # fmt: skip
            report.targets.append(measure.Target(
                f"{mode} query CPU p95 beside {rival} (dense)", query(rival, 0.95),
                query(f"llmops, {mode}", 0.95), "ms",
            ))  # fmt: skip
