"""``%trace``: what the last call, or any other, was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.core.magic import line_magic, magics_class, no_var_expand

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.magics._base import SessionMagics, parse
from llmops_kernel.magics._flags import OUT, QUIET, argument, parsed

if TYPE_CHECKING:
    from llmops_kernel.magics.results import Trace, TraceList
    from llmops_kernel.session import Session
    from llmops_kernel.trace.spans import SpanNode

KEYWORDS = ("last", "list")


@magics_class
class TraceMagics(SessionMagics):
    """``%trace``."""

    @no_var_expand
    @line_magic
    @parsed
    @argument(
        "which",
        nargs="?",
        default="last",
        metavar="WHICH",
        help="last (the default), list, or the id of a trace (its first characters will do)",
    )
    @argument("--text", action="store_true", help="show plain text instead of HTML")
    @argument("-n", "--limit", type=int, default=20, metavar="N", help="how many traces to list")
    @OUT
    @QUIET
    def trace(self, line: str) -> Trace | TraceList | None:
        """Show a trace: cells, calls and their parts, with tokens, dollars and durations.

        Examples: ``%trace``, ``%trace list``, ``%trace 3f2a --text``.
        """
        args = parse(TraceMagics.trace, line)
        if args is None:
            return None
        if args.limit < 1:
            raise UsageProblem("--limit must be at least 1", hint="%trace list -n 20")
        from llmops_kernel.magics.results import Trace, TraceList

        session = self._source.get()
        stable = session.settings.static
        result: Trace | TraceList
        if args.which == "list":
            result = TraceList(tuple(session.traces(args.limit)), stable)
        else:
            result = Trace(_find(session, args.which), args.text, stable)
        shown: Trace | TraceList | None = self.finish(args, result)
        return shown


def _find(session: Session, which: str) -> SpanNode | None:
    if which == "last":
        return session.trace()
    if found := session.trace(which):
        return found
    known = [span.trace_id for span in session.traces(1_000)]
    starting = [each for each in known if each.startswith(which)]
    if len(starting) == 1:
        return session.trace(starting[0])
    if starting:
        raise UsageProblem(
            "More than one trace starts like this", hint="Give more of the id; see %trace list"
        )
    raise UsageProblem(
        f"There is no trace {which!r}{nearest(which, [*KEYWORDS, *known])}",
        hint="%trace list shows the newest ones",
    )
