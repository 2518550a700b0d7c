"""``llmops budget``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from llmops_kernel.cli._output import opened_session, report, say, say_json
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.cli._values import amount

if TYPE_CHECKING:
    from llmops_kernel.cli._parser import Parser
    from llmops_kernel.session import Session

HELP = "Show and change caps, stop and resume spending"

_SCOPES = ("user", "project", "notebook", "run", "model", "tenant")
_WINDOWS = ("hour", "day", "month", "total")


def add(parser: Parser) -> None:
    """Declare the arguments."""
    json_flag(parser)
    parser.set_defaults(call=_show)
    verbs = parser.verbs("budget_verb", title="verbs")
    _verb(verbs, "show", "Show what is spent of each cap (the default)", _show)
    _cap(_verb(verbs, "set", "Set a cap, for this and all later windows", _set))
    _cap(_verb(verbs, "raise", "Allow more in this window only", _raise))
    stop = _verb(verbs, "stop", "Stop every kernel at its next model call", _stop)
    stop.add_argument("reason", metavar="REASON", nargs="*", help="shown where calls are refused")
    _verb(verbs, "resume", "Lift the stop", _resume)
    history = _verb(verbs, "history", "Show the newest entries of the ledger", _history)
    history.add_argument(
        "-n", "--limit", type=int, default=20, metavar="N", help="how many (default: 20)"
    )


def _verb(verbs: argparse._SubParsersAction[Parser], name: str, text: str, call: object) -> Parser:
    parser = verbs.add_parser(name, help=text, description=f"{text}.")
    # Not in the namespace if not given, so that `llmops budget --json show` keeps its flag.
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print JSON instead of text"
    )
    parser.set_defaults(call=call)
    return parser


def _cap(parser: Parser) -> None:
    parser.add_argument("usd", metavar="USD", help="US dollars")
    parser.add_argument(
        "--per", choices=_WINDOWS, default="day", dest="window", help="window (default: day)"
    )
    parser.add_argument(
        "--scope", choices=_SCOPES, default="user", help="whose spending (default: user)"
    )


def _show(arguments: argparse.Namespace) -> int:
    with opened_session() as session:
        _report(session, arguments)
    return 0


def _set(arguments: argparse.Namespace) -> int:
    usd = amount(arguments.usd, "USD")
    with opened_session() as session:
        session.set_cap(usd, scope=arguments.scope, window=arguments.window)
        _report(session, arguments)
    return 0


def _raise(arguments: argparse.Namespace) -> int:
    usd = amount(arguments.usd, "USD")
    with opened_session() as session:
        session.raise_cap(usd, scope=arguments.scope, window=arguments.window)
        _report(session, arguments)
    return 0


def _stop(arguments: argparse.Namespace) -> int:
    reason = " ".join(arguments.reason)
    with opened_session() as session:
        session.stop_spending(reason)
    if arguments.json:
        say_json({"stopped": reason})
    else:
        say("Spending is stopped; llmops budget resume lifts it")
    return 0


def _resume(arguments: argparse.Namespace) -> int:
    with opened_session() as session:
        lifted = session.resume_spending()
    if arguments.json:
        say_json({"stopped": None, "lifted": lifted})
    else:
        say("Spending goes on" if lifted else "Spending was not stopped")
    return 0


def _history(arguments: argparse.Namespace) -> int:
    from llmops_kernel.display import history_view

    with opened_session() as session:
        report(history_view(session.history(arguments.limit)), arguments)
    return 0


def _report(session: Session, arguments: argparse.Namespace) -> None:
    from llmops_kernel.display import budget_view

    report(budget_view(session.budget(), stopped=session.stopped()), arguments)
