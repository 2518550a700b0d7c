"""What the verbs of ``llmops rag``, and the magics of the same names, have in common."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence
    from typing import TextIO

    from llmops_kernel.rag.ingesting import IngestReport, Progress
    from llmops_kernel.session import Session

# As SearchOptions and make_chunker know them; importing those here would load numpy.
MODES = ("hybrid", "dense", "bm25")
CHUNKERS = ("markdown", "sentence", "token", "semantic", "parent-child")

_PARTS = ("chunker", "size", "overlap", "embedder", "store")
_SEARCH = ("k", "mode", "tenant", "diversity")
_BAR_AFTER = 0.5  # seconds: what is done by then needs no bar


def add_parts(parser: argparse.ArgumentParser) -> None:
    """Declare what an index is made of."""
    parser.add_argument("--chunker", choices=CHUNKERS, help="what cuts documents")
    parser.add_argument("--size", type=whole, metavar="TOKENS", help="most tokens of a chunk")
    parser.add_argument("--overlap", type=int, metavar="TOKENS", help="tokens that chunks repeat")
    parser.add_argument("--embedder", metavar="NAME", help="builtin, or an embedding model")
    parser.add_argument(
        "--store", metavar="URL",
        help="vector store: chroma, qdrant, milvus, postgresql://..., pinecone://...",
    )  # fmt: skip


def add_search(parser: argparse.ArgumentParser) -> None:
    """Declare how to search."""
    parser.add_argument("-k", type=whole, metavar="N", help="how many chunks (default: 5)")
    parser.add_argument("--mode", choices=MODES, help="way to search (default: hybrid)")
    parser.add_argument(
        "--filter", action="append", type=_condition, default=[], metavar="CONDITION",
        help="such as version=2026 or 'page>=3'; repeatable, all must hold",
    )  # fmt: skip
    parser.add_argument("--tenant", metavar="NAME", help="whose documents are seen, with all's")
    parser.add_argument(
        "--diversity", type=_share, metavar="SHARE", help="against near repeats: 0 (off) to 1"
    )


def parts_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what an index is to be made of, as far as it was given."""
    return _given(arguments, _PARTS)


def search_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return how to search, as far as it was given."""
    given = _given(arguments, _SEARCH)
    return {**given, "filters": arguments.filter} if arguments.filter else given


def ingested(
    session: Session,
    name: str,
    targets: Sequence[str],
    *,
    tenant: str,
    prefix: str,
    parts: dict[str, Any],
    progress: Progress | None,
) -> tuple[IngestReport, bool]:
    """Ingest into an index, which is made when there is none.

    Returns:
        What was done, and whether the index is there: a new one that nothing could be read into is
        taken away again, so that a mistyped folder leaves nothing behind.
    """
    from llmops_kernel.rag.ingesting import ingest

    library = session.indexes
    new = name not in library.names()
    index = library.open_or_create(name, **parts)
    report = ingest(index, targets, tenant=tenant, prefix=prefix, progress=progress)
    if new and not index.record.documents():
        library.drop(name)
        return report, False
    return report, True


@contextmanager
def progress_bar(
    *, shown: bool, after: float = _BAR_AFTER, file: TextIO | None = None
) -> Iterator[Callable[[int, int, str], None] | None]:
    """Show how far an ingest is, on one line of stderr that goes away at the end.

    Args:
        shown: Whether there is anybody to look at it.
        after: Seconds before it appears.
        file: Where to write, in place of stderr.
    """
    if not shown:
        yield None
        return
    from tqdm.std import tqdm  # type: ignore[import-untyped]

    class Bar(tqdm):  # type: ignore[misc]
        monitor_interval = 0  # no thread is needed to redraw it

    made: list[Any] = []

    def tell(done: int, total: int, name: str) -> None:
        if not made:
            made.append(Bar(total=total, unit="doc", delay=after, leave=False, file=file))
        made[0].set_postfix_str(name[-40:], refresh=False)
        made[0].update(done - made[0].n)

    try:
        yield tell
    finally:
        for bar in made:
            bar.close()


def question_of(words: Sequence[str]) -> str:
    """Return the question of a command line; "-" reads stdin."""
    import sys

    return sys.stdin.read() if list(words) == ["-"] else " ".join(words)


def whole(text: str) -> int:
    """Read a whole number of at least 1 (raises `UsageProblem`)."""
    if not text.isdecimal() or int(text) < 1:
        raise UsageProblem(f"{text!r} is no number of at least 1", hint="Give a whole number")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageProblem(f"{text!r} is not between 0 and 1", hint="Give a share such as 0.3")
    return share


def _condition(text: str) -> str:
    """Check a condition before anything is opened; it is read again where it is used."""
    from llmops_kernel.rag.where import parse_condition

    parse_condition(text)
    return text


def _given(arguments: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}
