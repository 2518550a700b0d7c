"""``%budget``: caps, what is spent of them, and the switch that stops all spending."""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.core.magic import line_magic, magics_class, no_var_expand

from llmops_kernel.errors import UsageProblem
from llmops_kernel.magics._base import SessionMagics, parse
from llmops_kernel.magics._flags import OUT, QUIET, argument, dollars, parsed, subcommand

if TYPE_CHECKING:
    from argparse import Namespace

    from llmops_kernel.magics.results import Budget, History
    from llmops_kernel.session import Session

# As settings.Window and settings.Scope say; importing them here would load pydantic.
WINDOWS = ("hour", "day", "month", "total")
SCOPES = ("user", "project", "notebook", "run", "model", "tenant")

_USD = argument("usd", metavar="USD", type=dollars, help="dollars, such as 2.00")
_PER = argument(
    "--per", choices=WINDOWS, default="day", metavar="WINDOW", help="hour, day, month or total"
)
_SCOPE = argument(
    "--scope",
    choices=SCOPES,
    default="user",
    metavar="SCOPE",
    help="user, project, notebook, run, model or tenant",
)
_REASON = argument("reason", nargs="*", metavar="REASON", help="why, for those who meet the stop")
_LIMIT = argument("-n", "--limit", type=int, default=20, metavar="N", help="how many events")


@magics_class
class BudgetMagics(SessionMagics):
    """``%budget``."""

    @no_var_expand
    @line_magic
    @parsed
    @subcommand("show", OUT, QUIET, help="show the caps and what is spent of them (the default)")
    @subcommand("set", _USD, _PER, _SCOPE, OUT, QUIET, help="set a cap's limit for good")
    @subcommand("raise", _USD, _PER, _SCOPE, OUT, QUIET, help="allow more, in this window only")
    @subcommand("stop", _REASON, OUT, QUIET, help="stop all spending, in every kernel")
    @subcommand("resume", OUT, QUIET, help="lift the stop")
    @subcommand("history", _LIMIT, OUT, QUIET, help="show the ledger's newest events")
    def budget(self, line: str) -> Budget | History | None:
        """Show and change what may be spent.

        Changes are rows of the shared record: they reach every kernel at its next call. Real and
        simulated dollars are kept apart, under the same limits.

        Examples: ``%budget``, ``%budget set 2.00 --per day``, ``%budget stop runaway agent``.
        """
        args = parse(BudgetMagics.budget, line)
        if args is None:
            return None
        session = self._source.get()
        result = _history(session, args) if args.verb == "history" else _changed(session, args)
        shown: Budget | History | None = self.finish(args, result)
        return shown


def _changed(session: Session, args: Namespace) -> Budget:
    from llmops_kernel.magics.results import Budget

    match args.verb:
        case "set":
            session.set_cap(args.usd, scope=args.scope, window=args.per)
        case "raise":
            session.raise_cap(args.usd, scope=args.scope, window=args.per)
        case "stop":
            session.stop_spending(" ".join(args.reason))
        case "resume" if not session.resume_spending():
            raise UsageProblem(
                "Spending is not stopped", hint="%budget show lists the caps that are in force"
            )
    return Budget(tuple(session.budget()), session.stopped(), session.settings.static)


def _history(session: Session, args: Namespace) -> History:
    from llmops_kernel.magics.results import History

    if args.limit < 1:
        raise UsageProblem("--limit must be at least 1", hint="%budget history -n 20")
    return History(tuple(session.history(args.limit)), session.settings.static)
