"""What retrieval finds and what it costs: quality, speed beside LlamaIndex and LangChain, size.

Quality is measured on public collections (where they are present) and on the bank's documents,
through ingest, index and search as a person uses them. Speed is measured in one run with the same
embedder and Chroma below each framework, rounds in turn. ``--large`` adds 100,000 chunks.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import _measure as measure
import _rivals as rivals
from _retrieval_quality import BUDGET, measure_bank, measure_chunkers, measure_public
from _retrieval_size import measure_large
from _retrieval_speed import measure_speed

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = (
    "what", "how", "documents", "chunks", "questions", "ndcg@10", "(reference)", "recall@5",
    "(reference) ", "token recall", "token IoU", "tokens", "chunks/s", "chunks per CPU s",
    "query p50 ms", "query p95 ms", "CPU p50 ms", "CPU p95 ms", "RSS MB",
)  # fmt: skip


def main() -> None:
    parser = measure.arguments(str(__doc__).partition("\n")[0])
    parser.add_argument("--large", action="store_true", help="also search 100,000 chunks (minutes)")
    parser.add_argument(
        "--only", choices=("public", "chunkers", "bank", "speed", "large"), action="append",
        help="measure this part; repeatable; writes no results",
    )  # fmt: skip
    parser.add_argument("--install-langchain", action="store_true", help="fetch langchain-chroma")
    options = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)
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
