"""A session's retrieval: its indexes, its searches and its answers from documents."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.request import EmbeddingRequest
from llmops_kernel.embed import RemoteEmbedder, builtin, vectors_of
from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.rag.answer import RagOptions, answer_from
from llmops_kernel.rag.library import Library
from llmops_kernel.rag.retrieve import SearchOptions
from llmops_kernel.rag.retrieve.rerank import model_reranker
from llmops_kernel.rag.where import Where, parse_condition
from llmops_kernel.settings import data_home

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmops_kernel.embed import Embedder
    from llmops_kernel.prompts.answer import Answer
    from llmops_kernel.prompts.ask import AskSpec
    from llmops_kernel.rag.answer import RagAnswer
    from llmops_kernel.rag.retrieve import Found
    from llmops_kernel.rag.retrieve.found import Step
    from llmops_kernel.session import Session

BUILTIN = "builtin"
_SQLITE = "sqlite:///"
_SEARCH = {field.name for field in fields(SearchOptions)} - {"where"}
_ANSWER = {field.name for field in fields(RagOptions)} - {"search", "model"}


def make_library(session: Session) -> Library:
    """Return the indexes of a session's record."""
    return Library(
        session.store,
        home=rag_home(session.settings.store),
        embedder_of=lambda name: embedder_of(session, name),
        embedder=session.settings.embedder,
        vectors=session.settings.vectors,
    )


def rag_home(store: str) -> Path:
    """Return the folder for local vector stores: beside the record, where that is a file."""
    if store.startswith(_SQLITE):
        path = Path(store.removeprefix(_SQLITE))
        return path.with_name(f"{path.name}.rag")
    return data_home() / "rag"


def embedder_of(session: Session, name: str) -> Embedder:
    """Return the built-in embedder, or a provider's through the door."""
    if name == BUILTIN:
        return builtin()

    def call(texts: list[str]) -> list[list[float]]:
        reply = session.call(EmbeddingRequest(name, texts), purpose="embed")
        return vectors_of(reply.choices)

    return RemoteEmbedder(call, id=f"{name}@1")


def answer(session: Session, question: str, index: str, **options: Any) -> RagAnswer:
    """Answer a question; see `Session.rag`."""
    given = _known(options, _SEARCH | _ANSWER | {"model", "rerank", "tenant", "filters", "max_usd"})
    max_usd, rerank = given.pop("max_usd", None), given.pop("rerank", None)
    search = search_options(session, **{k: given.pop(k) for k in list(given) if k not in _OURS})
    rag_options = RagOptions(
        search=search,
        model=given.pop("model", None) or session.settings.model,
        **given,
    )
    opened = session.indexes.open(index)
    with session.span(f"rag {index}", "retrieval", input=question) as span:

        def ask(spec: AskSpec) -> Answer:
            return session._run_ask(spec, span.trace_id, "rag", max_usd)  # noqa: SLF001

        if rerank:
            rag_options = replace(rag_options, reranker=model_reranker(ask, rerank))
        told = answer_from(opened, question, rag_options, ask=ask, steps=steps_of(session))
        span.note(told.text, found=told.found, index=index)
        return replace(told, trace_id=span.trace_id)


def search(session: Session, question: str, index: str, **options: Any) -> list[Found]:
    """Return the chunks that fit a question; no model is asked."""
    given = _known(options, _SEARCH | {"tenant", "filters", "reranker"})
    reranker = given.pop("reranker", None)
    chosen = search_options(session, **given)
    opened = session.indexes.open(index)
    with session.span(f"search {index}", "retrieval", input=question) as span:
        found = opened.retriever.search(
            question, chosen, reranker=reranker, steps=steps_of(session)
        )
        span.note([[f.chunk.source, f.chunk.chunk_id, round(f.score, 4)] for f in found])
        return found


def search_options(
    session: Session,
    *,
    tenant: str | None = None,
    filters: Sequence[str] = (),
    **options: Any,
) -> SearchOptions:
    """Return search options behind the wall of a tenant."""
    where = Where(
        session.settings.tenant if tenant is None else tenant,
        tuple(parse_condition(each) for each in filters),
    )
    return SearchOptions(where=where, **options)


def steps_of(session: Session) -> Any:
    """Return what opens a span for each step of a search."""

    @contextmanager
    def step(name: str, question: str) -> Iterator[Step]:
        with session.span(name, "retrieval", input=question) as span:
            yield span

    return step


_OURS = _ANSWER | {"model"}


def _known(options: dict[str, Any], names: set[str]) -> dict[str, Any]:
    for name in options:
        if name not in names:
            raise UsageProblem(
                f"There is no option {name!r}{nearest(name, names)}",
                hint=f"Known are {', '.join(sorted(names))}",
            )
    return dict(options)
