"""``%serve``: models on this machine, planned, started, measured and stopped."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from IPython.core.magic import line_magic, magics_class, no_var_expand

from llmops_kernel.cli._serve import BENCH, LORA, START
from llmops_kernel.cli._serve_plan import FLAGS as PLAN
from llmops_kernel.magics._base import SessionMagics, parse
from llmops_kernel.magics._flags import OUT, QUIET, argument, parsed, subcommand, verbs_of

if TYPE_CHECKING:
    from argparse import Namespace

    from llmops_kernel.cli._serve import Flags
    from llmops_kernel.magics.serve_results import (
        AdapterList,
        BenchPage,
        LogPage,
        PlanPage,
        ServerList,
        ServerPage,
        Stopped,
    )
    from llmops_kernel.session import Session

    Served = ServerList | ServerPage | PlanPage | BenchPage | AdapterList | LogPage | Stopped

_IDLE_MIN = 60.0
_NAME = argument("name", metavar="NAME", help="the server")


def _declared(flags: Flags) -> list[argument]:
    return [argument(*names, **options) for names, options in flags]


@magics_class
class ServeMagics(SessionMagics):
    """``%serve``."""

    @no_var_expand
    @line_magic
    @parsed
    @subcommand("list", OUT, QUIET, help="list the servers, and whether they answer (the default)")
    @subcommand(
        "start",
        *_declared(START),
        argument("--keep", action="store_true", help="let it outlive this kernel"),
        OUT,
        QUIET,
        help="start a server, or attach one; %%serve NAME is the same",
    )
    @subcommand(
        "plan",
        *_declared(PLAN),
        OUT,
        QUIET,
        help="say whether a model fits a GPU, for how many at once, and what its tokens cost",
    )
    @subcommand(
        "bench",
        *_declared(BENCH),
        OUT,
        QUIET,
        help="put a server under load: waiting, speed, whole answers, batching",
    )
    @subcommand(
        "scale",
        _NAME,
        argument("replicas", type=int, metavar="N", help="how many"),
        OUT,
        QUIET,
        help="bring a server to a number of replicas",
    )
    @subcommand(
        "lora",
        *_declared(LORA),
        OUT,
        QUIET,
        help="list a server's adapters; load and unload them while a vLLM runs",
    )
    @subcommand("health", _NAME, OUT, QUIET, help="ask a server's replicas whether they are well")
    @subcommand(
        "logs",
        _NAME,
        argument("-n", "--lines", type=int, default=20, metavar="N", help="how many (20)"),
        OUT,
        QUIET,
        help="show the end of a server's log",
    )
    @subcommand("stop", _NAME, OUT, QUIET, help="stop a server")
    def serve(self, line: str) -> Served | None:
        """Plan, start, measure and stop servers of models; each is called as local/NAME.

        A server listens on loopback, asks for a random key, and ends with this kernel or after an
        hour without a call.

        Examples: ``%serve plan --model llama-3.1-8b --gpu L4``, ``%serve ./model.gguf --slots 16``,
        ``%serve bench model``, ``%serve stop model``.
        """
        args = parse(ServeMagics.serve, _with_start(line))
        if args is None:
            return None
        shown: Served | None
        shown = self.finish(args, _done(self._source.get(), args))
        return shown


def _with_start(line: str) -> str:
    """Read ``%serve NAME`` as ``%serve start NAME``."""
    first = line.split(maxsplit=1)[0].rstrip(";") if line.strip() else ""
    verbs = verbs_of(ServeMagics.serve)
    if not first or first in verbs or (first[0] == "-" and not first.startswith("--url")):
        return line
    if get_close_matches(first, verbs, cutoff=0.75):  # `%serve lst` is a slip, and no model
        return line
    return f"start {line}"


def _done(session: Session, args: Namespace) -> Any:
    from llmops_kernel.magics import serve_results as pages

    stable = session.settings.static
    name = (getattr(args, "name", "") or "").removeprefix("local/")
    match args.verb:
        case "plan":
            from llmops_kernel.cli._serve_plan import planned

            return pages.PlanPage(planned(args, session))
        case "start":
            return _started(session, args)
        case "bench":
            from llmops_kernel.cli._serve import load_tested

            return pages.BenchPage(load_tested(args))
        case "scale":
            from llmops_kernel.serve.servers.starting import add_replicas

            add_replicas(name, args.replicas)
            return _list([name], stable)
        case "lora":
            from llmops_kernel.cli._serve import adapters_of

            return pages.AdapterList(adapters_of(args))
        case "health":
            return _list([name], stable)
        case "logs":
            from llmops_kernel.serve.servers.stopping import read_log

            return pages.LogPage(name, read_log(name, max(1, args.lines)))
        case "stop":
            from llmops_kernel.serve.servers.stopping import stop_server

            stop_server(name)
            return pages.Stopped(name)
    from llmops_kernel.serve.record import names

    return _list(names(), stable)


def _started(session: Session, args: Namespace) -> ServerPage:
    from llmops_kernel.cli._serve import started
    from llmops_kernel.magics.serve_results import ServerPage
    from llmops_kernel.serve.servers.stopping import look

    made = started(args, keep=args.keep, idle_min=_IDLE_MIN)
    if made.record.owner is not None:
        session.servers.own(made.record.name)
    facts = look(made.record.name, ask=False).as_json()
    return ServerPage(
        {**facts, "fresh": made.fresh, "checked": made.checked, "differs": list(made.differs)},
        session.settings.static,
    )


def _list(names: list[str], stable: bool) -> ServerList:
    from llmops_kernel.magics.serve_results import ServerList
    from llmops_kernel.serve.servers.stopping import look

    return ServerList(tuple(look(name).as_json() for name in names), stable)
