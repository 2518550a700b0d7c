"""What retrieval finds and what it costs: quality, speed beside LlamaIndex and LangChain, size.

Quality is measured on public collections (where they are present) and on the bank's documents,
through ingest, index and search as a person uses them. Speed is measured in one run with the same
embedder and Chroma below each framework, rounds in turn. ``--large`` adds 100,000 chunks.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _labelled as labelled
import _measure as measure
import _rivals as rivals
import numpy as np
import psutil

from llmops_kernel.embed import builtin
from llmops_kernel.labs import bank
from llmops_kernel.rag.documents import Document, Passage, make_chunks
from llmops_kernel.rag.evaluate import evaluate
from llmops_kernel.rag.ingesting import ingest
from llmops_kernel.rag.library import Library
from llmops_kernel.rag.record import Change
from llmops_kernel.rag.retrieve import SearchOptions
from llmops_kernel.store import open_store

if TYPE_CHECKING:
    from labelled.abc import Callable, Iterator

    from llmops_kernel.rag.evaluate import EvalQuestion, EvaluationReport
    from llmops_kernel.rag.index import Index
    from llmops_kernel.session import Session

CHUNKERS = ("markdown", "sentence", "token", "semantic", "parent-child")
BUDGET = 1_800
METHODS = (
    ("bm25", "bm25", "minmax"),
    ("dense", "dense", "minmax"),
    ("hybrid", "hybrid", "minmax"),
    ("hybrid rrf", "hybrid", "rrf"),
)
COLUMNS = (
    "what", "how", "documents", "chunks", "questions", "ndcg@10", "(reference)", "recall@5",
    "(reference) ", "token recall", "token IoU", "tokens", "chunks/s", "chunks per CPU s",
    "query p50 ms", "query p95 ms", "CPU p50 ms", "CPU p95 ms", "RSS MB",
)  # fmt: skip


@contextmanager
def library(folder: Path) -> Iterator[Library]:
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


# ---- quality ------------------------------------------------------------------------------------


def methods(
    report: measure.Report,
    index: Index,
    questions: list[EvalQuestion],
    what: str,
    reference: dict[str, tuple[float, float]] | None = None,
    budget: int | None = None,
) -> dict[str, EvaluationReport]:
    """Add a row for each way to search, and return what each found."""
    found = {}
    stats = index.record.totals()
    for name, mode, fusion in METHODS:
        options = SearchOptions(fusion=fusion)  # type: ignore[arg-type]
        result = evaluate(index, questions, modes=[mode], options=options, budget=budget)
        if result.bad:
            report.notes.append(f"{what}: {len(result.bad)} questions not scored: {result.bad[0]}")
        found[name] = result
        ndcg, recall = (reference or {}).get(name, (None, None))
        report.add(**{
            "what": what, "how": name, "documents": stats[0], "chunks": stats[1],
            "questions": result.scored, **scores(result), "(reference)": ndcg,
            "(reference) ": recall,
        })  # fmt: skip
    return found


def scores(result: EvaluationReport) -> dict[str, Any]:
    (mode,) = result.modes
    named = {
        "ndcg@10": "ndcg", "recall@5": "recall", "token recall": "token_recall",
        "token IoU": "token_iou", "tokens": "context_tokens",
    }  # fmt: skip
    return {
        title: round(mode.metrics[name].mean, 3)
        for title, name in named.items()
        if name in mode.metrics
    }


def measure_public(report: measure.Report, options: Any) -> None:
    for make in (labelled.xquad, labelled.clapnq, labelled.chunking_eval):
        if not labelled.PUBLIC.exists():
            report.notes.append("the public collections are not here: see CONTRIBUTING.md")
            return
        with tempfile.TemporaryDirectory() as home:
            (Path(home) / "docs").mkdir()
            found = make(Path(home) / "docs")
            questions = found.questions[:: 20 if options.quick else 1]
            with library(Path(home)) as own:
                index = own.create("bench", chunker=found.chunker, size=found.size)
                ingest(index, [str(found.folder)])
                beside(report, methods(report, index, questions, found.name, found.reference),
                       found.name)  # fmt: skip


def beside(report: measure.Report, found: dict[str, EvaluationReport], what: str) -> None:
    """Hold hybrid against its parts."""
    means = {name: result.modes[0].metrics["ndcg"].mean for name, result in found.items()}
    best = max(means["bm25"], means["dense"])
    report.targets.append(
        measure.Target(f"{what}: hybrid nDCG@10 beside the better part", best, means["hybrid"],
                       "", at_least=True)
    )  # fmt: skip


def measure_chunkers(report: measure.Report, options: Any) -> None:
    if not labelled.PUBLIC.exists():
        return
    for chunker in CHUNKERS:
        with tempfile.TemporaryDirectory() as home:
            (Path(home) / "docs").mkdir()
            found = labelled.chunking_eval(Path(home) / "docs")
            questions = found.questions[:: 20 if options.quick else 1]
            with library(Path(home)) as own:
                index = own.create("bench", chunker=chunker)
                ingest(index, [str(found.folder)])
                for how, k, budget in (("k=5", 5, None), ("800 tokens", 20, 800)):
                    result = evaluate(index, questions, modes=["hybrid"], k=k, budget=budget)
                    row = scores(result)
                    if k != 5:
                        del row["recall@5"]
                    report.add(**{
                        "what": f"chunker {chunker}", "how": f"hybrid, {how}",
                        "chunks": index.record.totals()[1], "questions": result.scored, **row,
                    })  # fmt: skip


def measure_bank(report: measure.Report, options: Any) -> None:
    questions = labelled.bank_questions()[:: 10 if options.quick else 1]
    with tempfile.TemporaryDirectory() as home, bank_session(home) as session:
        bank.ingest_into(session)
        index = session.indexes.open("bank")
        for kind in ("answerable", "near_miss", "paraphrase", "indirect"):
            own = [each for each in questions if each.kind == kind]
            found = methods(report, index, own, f"bank, {kind}", budget=BUDGET)
            if kind == "answerable":
                beside(report, found, "bank")
                recall = found["hybrid"].modes[0].metrics["recall"]
                report.notes.append(
                    f"bank, answerable, hybrid: recall@5 {recall.mean:.3f} "
                    f"[{recall.low:.3f}, {recall.high:.3f}]"
                )
                report.targets.append(
                    measure.Target("bank: recall@5 of answerable questions within 1,800 tokens",
                                   0.9, recall.mean, "", at_least=True)
                )  # fmt: skip
                full = evaluate(index, own, modes=["hybrid"], k=40, budget=BUDGET, draws=0)
                metrics = full.modes[0].metrics
                report.notes.append(
                    f"bank, answerable, hybrid: recall {metrics['recall'].mean:.3f} with as many "
                    f"chunks as fit 1,800 tokens ({metrics['passages'].mean:.1f} of them)"
                )


@contextmanager
def bank_session(home: str) -> Iterator[Session]:
    from llmops_kernel.session import Session

    session = Session(store=f"sqlite:///{home}/record.db")
    try:
        yield session
    finally:
        session.close()


# ---- speed --------------------------------------------------------------------------------------


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


def timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, time.perf_counter() - wall, time.process_time() - cpu


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


# ---- size ---------------------------------------------------------------------------------------

_LARGE, _LARGE_QUICK = 100_000, 2_000
_PER_DOCUMENT = 50


def build_large(home: Path, count: int) -> dict[str, float]:
    """Write an index of random vectors and made-up words, and fill its store."""
    random = np.random.default_rng(7)
    words = np.array([_word(number) for number in range(20_000)])
    weights = 1 / np.arange(1, len(words) + 1)
    sums = np.cumsum(weights / weights.sum())
    began = time.perf_counter()
    with library(home) as own:
        index = own.create("large")
        for first in range(0, count, 5_000):
            changes = [
                _document(number, random, words, sums)
                for number in range(first // _PER_DOCUMENT, (first + 5_000) // _PER_DOCUMENT)
                if number * _PER_DOCUMENT < count
            ]
            index.record.write(changes)
            index.catch_up()
    return {"seconds": time.perf_counter() - began}


def _document(number: int, random: Any, words: Any, sums: Any) -> Change:
    drawn = words[np.searchsorted(sums, random.random((_PER_DOCUMENT, 60)))]
    lines = [" ".join(row) for row in drawn]
    passages, at = [], 0
    for line in lines:
        passages.append(Passage(at, at + len(line)))
        at += len(line) + 1
    document = Document(f"{number:05}.txt", "\n".join(lines), title=f"Document {number}")
    chunks = make_chunks(document, passages)
    vectors = random.standard_normal((len(chunks), 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    own = {chunk.chunk_id: row for chunk, row in zip(chunks, vectors, strict=True)}
    return Change(document, chunks, own, "", "", "")


def _word(number: int) -> str:
    syllables = ("ka", "lo", "mi", "ten", "ru", "sha", "vo", "pel", "dor", "nix")
    return "".join(syllables[int(digit)] for digit in f"{number:05}")


def query_large(home: Path, asked: int) -> dict[str, float]:
    """Search the index from a process that did not build it."""
    process = psutil.Process()
    random = np.random.default_rng(11)
    with library(home) as own:
        index = own.open("large")
        before = process.memory_info().rss
        builtin().embed_query("warm")
        model = process.memory_info().rss
        _, first, _ = timed(lambda: index.retriever.search(_word(1)))
        wall, cpu = [], []
        for _ in range(asked):
            question = " ".join(_word(int(n)) for n in random.zipf(1.3, 8) % 20_000)
            found, one_wall, one_cpu = timed(
                lambda question=question: index.retriever.search(question)
            )
            assert len(found) == 5
            wall.append(one_wall * 1e3)
            cpu.append(one_cpu * 1e3)
        after = process.memory_info().rss
    return {
        "first_s": first,
        "p50": measure.percentile(wall, 0.5),
        "p95": measure.percentile(wall, 0.95),
        "cpu_p50": measure.percentile(cpu, 0.5),
        "cpu_p95": measure.percentile(cpu, 0.95),
        "rss_mb": after / 2**20,
        "index_mb": (after - model) / 2**20,
        "start_mb": before / 2**20,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure_large(report: measure.Report, options: Any) -> None:
    count = _LARGE_QUICK if options.quick else _LARGE
    with tempfile.TemporaryDirectory() as home:
        built = _phase("build", home, count)
        # The first process builds BM25 and keeps it, the second finds it: what a restart costs.
        _phase("query", home, 5)
        asked = _phase("query", home, 50 if options.quick else 300)
        size = sum(file.stat().st_size for file in Path(home).rglob("*") if file.is_file())
    report.add(**{
        "what": "large", "how": "hybrid", "chunks": count, "query p50 ms": asked["p50"],
        "query p95 ms": asked["p95"], "CPU p50 ms": asked["cpu_p50"],
        "CPU p95 ms": asked["cpu_p95"], "RSS MB": asked["rss_mb"],
        "chunks/s": count / built["seconds"],
    })  # fmt: skip
    report.notes.append(
        f"large: {size / 2**20:,.0f} MB on disk; first search {asked['first_s']:.2f} s; RSS "
        f"{asked['start_mb']:,.0f} MB at the start, +{asked['index_mb']:,.0f} MB for the index, "
        f"peak {asked['peak_mb']:,.0f} MB"
    )
    report.targets.append(
        measure.Target(f"query CPU p95 over {count:,} chunks", 100.0, asked["cpu_p95"], "ms")
    )


def _phase(name: str, home: str, count: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--phase", name, home, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = measure.arguments(str(__doc__).partition("\n")[0])
    parser.add_argument("--large", action="store_true", help="also search 100,000 chunks (minutes)")
    parser.add_argument(
        "--only", choices=("public", "chunkers", "bank", "speed", "large"), action="append",
        help="measure this part; repeatable; writes no results",
    )  # fmt: skip
    parser.add_argument("--install-langchain", action="store_true", help="fetch langchain-chroma")
    parser.add_argument("--phase", nargs=3, help="internal: one phase in its own process")
    options = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)
    if options.phase:
        name, home, count = options.phase
        phase = build_large if name == "build" else query_large
        print(json.dumps(phase(Path(home), int(count))))
        return
    if options.install_langchain:
        rivals.install_langchain()
    report = measure.Report(
        "retrieval",
        "What retrieval finds, and what it costs beside other frameworks over the same store",
        COLUMNS,
        ("chromadb", "bm25s", "onnxruntime", "llama-index-core", "langchain-core"),
        {"budget": BUDGET},
    )
    parts: dict[str, Callable[[measure.Report, Any], None]] = {
        "public": measure_public,
        "chunkers": measure_chunkers,
        "bank": measure_bank,
        "speed": measure_speed,
    }
    if options.large or "large" in (options.only or ()):
        parts["large"] = measure_large
    for name, part in parts.items():
        if not options.only or name in options.only:
            part(report, options)
    options.quick = options.quick or bool(options.only)  # a part must not replace the whole
    report.finish(options)


if __name__ == "__main__":
    main()
