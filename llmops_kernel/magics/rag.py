"""``%rag`` and ``%%rag``: indexes of one's own documents, and questions to them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from IPython.core.magic import (
    cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)

from llmops_kernel.cli._rag import CHUNKERS, MODES, ingested, parts_of, progress_bar, search_of
from llmops_kernel.errors import UsageProblem
from llmops_kernel.magics._base import SessionMagics, parse
from llmops_kernel.magics._flags import (
    MAX_USD,
    MODEL,
    OUT,
    QUIET,
    Magic,
    argument,
    parsed,
    subcommand,
)

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from llmops_kernel.magics.rag_results import IndexList, IndexPage, Ingested, SearchResult
    from llmops_kernel.rag.answer import RagAnswer
    from llmops_kernel.session import Session

_INDEX = argument("index", metavar="INDEX", help="the index")
_TARGETS = argument(
    "targets", nargs="+", metavar="TARGET", help="a file, folder, pattern or http address"
)
_TENANT = argument("--tenant", default="", metavar="NAME", help="who may see them; all by default")
_PREFIX = argument("--prefix", default="", metavar="TEXT", help="put before the documents' names")
_PARTS = (
    argument("--chunker", choices=CHUNKERS, metavar="NAME", help=", ".join(CHUNKERS)),
    argument("--size", type=int, metavar="N", help="most tokens of a chunk"),
    argument("--overlap", type=int, metavar="N", help="tokens that chunks repeat"),
    argument("--embedder", metavar="NAME", help="builtin, or an embedding model"),
    argument("--store", metavar="URL", help="chroma, qdrant, milvus, or the URL of a store"),
)
_QUESTION = argument("question", nargs="+", metavar="QUESTION", help="what to look for")
_K = argument("-k", "--top-k", dest="k", type=int, metavar="N", help="how many chunks (5)")
_MODE = argument("--mode", choices=MODES, metavar="MODE", help="hybrid (default), dense or bm25")
_FILTER = argument(
    "--filter",
    action="append",
    default=[],
    metavar="TEXT",
    help="such as version=2026 or 'page >= 3'; repeatable, all must hold",
)
_SEEN = argument("--tenant", metavar="NAME", help="whose documents are seen, with everybody's")
_DIVERSITY = argument(
    "--diversity", type=float, metavar="SHARE", help="against near repeats: 0 (off) to 1"
)
_SEARCH = (_K, _MODE, _FILTER, _SEEN, _DIVERSITY)


def _typed_as_rag(method: Magic) -> Magic:
    """Name both methods in help and errors as people type them."""
    method.argcmd_name = "rag"  # type: ignore[attr-defined]
    return method


@magics_class
class RagMagics(SessionMagics):
    """``%rag`` and ``%%rag``."""

    @no_var_expand
    @needs_local_scope
    @line_magic("rag")  # type: ignore[arg-type]  # IPython's hints forget this form
    @parsed
    @subcommand("list", OUT, QUIET, help="list the indexes (the default)")
    @subcommand(
        "ingest",
        _INDEX,
        _TARGETS,
        _TENANT,
        _PREFIX,
        *_PARTS,
        OUT,
        QUIET,
        help="read documents into an index; a new name makes one",
    )
    @subcommand("stats", _INDEX, OUT, QUIET, help="show what is in an index, and its chunks' sizes")
    @subcommand(
        "search",
        _INDEX,
        _QUESTION,
        *_SEARCH,
        OUT,
        QUIET,
        help="find the chunks that fit a question; no model is asked",
    )
    @subcommand("drop", _INDEX, OUT, QUIET, help="remove an index; the documents themselves stay")
    @subcommand(
        "reindex", _INDEX, *_PARTS, OUT, QUIET, help="build an index anew, with other parts"
    )
    @_typed_as_rag
    def rag_line(
        self, line: str, local_ns: Mapping[str, Any] | None = None
    ) -> IndexList | IndexPage | Ingested | SearchResult | None:
        """Make, look at and search indexes of documents.

        Ingesting again costs nothing for documents that have not changed. %%rag INDEX answers the
        question below it; %%rag --help shows what it takes.

        Examples: ``%rag ingest bank docs/``, ``%rag search bank -k 3 fee abroad``.
        """
        args = parse(RagMagics.rag_line, line)
        if args is None:
            return None
        names = {**self.names, **(local_ns or {})}
        result = _done(self._source.get(), args, names)
        shown: IndexList | IndexPage | Ingested | SearchResult | None = self.finish(args, result)
        return shown

    @no_var_expand
    @needs_local_scope
    @cell_magic("rag")  # type: ignore[arg-type]
    @parsed
    @_INDEX
    @MODEL
    @_K
    @_MODE
    @_FILTER
    @_SEEN
    @_DIVERSITY
    @argument("--budget", type=int, metavar="N", help="tokens of passages for the model (1800)")
    @argument("--rewrite", action="store_true", help="let the model reword the question to search")
    @argument("--max-tokens", type=int, metavar="N", help="bound on the tokens of the answer")
    @MAX_USD
    @argument("--raw", action="store_true", help="take the text as typed, filling no {names} in")
    @OUT
    @QUIET
    @_typed_as_rag
    def rag_cell(
        self, line: str, cell: str, local_ns: Mapping[str, Any] | None = None
    ) -> RagAnswer | None:
        """Answer the question below the first line from the documents of an index.

        Each statement cites a passage, or the answer is that the documents do not say. {name},
        {name.attr} and {name[0]} are filled in where name is bound.

        Example: ``%%rag bank -k 3 --filter version=2026 -o answer``.
        """
        try:
            args = parse(RagMagics.rag_cell, line, sigil="%%")
        except UsageProblem as problem:
            problem.hint = problem.hint.replace("%rag --help", "%%rag --help")
            raise
        if args is None:
            return None
        question = cell.strip()
        if not question:
            raise UsageProblem("%%rag needs a question", hint="Put it below the first line")
        if not args.raw:
            question = _filled(question, {**self.names, **(local_ns or {})})
        session = self._source.get()
        answer = session.rag(question, args.index, **_options(args))
        settings = session.settings
        answer = replace(answer, footer=settings.footer and not settings.static)
        return self.finish(args, answer)


def _done(session: Session, args: Namespace, names: Mapping[str, Any]) -> Any:
    from llmops_kernel.magics.rag_results import IndexList, IndexPage, SearchResult
    from llmops_kernel.retrieval import search

    library, stable = session.indexes, session.settings.static
    match args.verb:
        case "ingest":
            return _ingested(session, args, names)
        case "search":
            question = _filled(" ".join(args.question), names)
            found = search(session, question, args.index, **search_of(args))
            return SearchResult(question, args.index, tuple(found))
        case "stats":
            return IndexPage(library.open(args.index).stats(), stable=stable)
        case "reindex":
            failed = library.reindex(args.index, **parts_of(args))
            return IndexPage(library.open(args.index).stats(), tuple(failed), stable)
        case "drop":
            library.drop(args.index)
    return IndexList(tuple(library.summaries()))


def _ingested(session: Session, args: Namespace, names: Mapping[str, Any]) -> Ingested:
    from llmops_kernel.magics.rag_results import Ingested

    targets = [_filled(each, names) for each in args.targets]
    watched = not args.quiet and not session.settings.static
    with progress_bar(shown=watched) as progress:
        report, made = ingested(
            session,
            args.index,
            targets,
            tenant=args.tenant,
            prefix=args.prefix,
            parts=parts_of(args),
            progress=progress,
        )
    if not made:  # the cells below need the index: a run must stop here
        reasons = [f"{each.source}: {each.reason}" for each in report.failed[:3]]
        raise UsageProblem(
            "There was nothing to read, so no index was made",
            detail="; ".join(reasons) + ("; ..." if len(report.failed) > len(reasons) else ""),
            hint="Check what is to be read",
        )
    return Ingested(report)


def _options(args: Namespace) -> dict[str, Any]:
    """Return the arguments of `Session.rag` that were given."""
    if args.max_tokens is not None and args.max_tokens < 1:
        raise UsageProblem("--max-tokens must be at least 1", hint="%%rag INDEX --max-tokens 256")
    names = ("model", "budget", "max_tokens", "max_usd")
    options = {name: value for name in names if (value := getattr(args, name)) is not None}
    if args.rewrite:
        options["rewrite"] = True
    return {**options, **search_of(args)}


def _filled(text: str, names: Mapping[str, Any]) -> str:
    from llmops_kernel.magics.hooks import say
    from llmops_kernel.prompts.template import interpolate

    filled = interpolate(text, names)
    for name in filled.missing:
        say(f"{{{name}}} has no value here and was taken as typed.")
    for name in filled.cut:
        say(f"The value of {{{name}}} was too long and was cut.")
    return filled.text
