"""``%cache``: answers that are given again, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import line_magic, magics_class, no_var_expand

from llmops_kernel.magics._base import SessionMagics, parse
from llmops_kernel.magics._flags import MODEL, OUT, QUIET, argument, parsed, subcommand

if TYPE_CHECKING:
    from argparse import Namespace

    from llmops_kernel.magics.cache_results import (
        AuditPage,
        CachePage,
        Cleared,
        Explained,
        TunePage,
    )
    from llmops_kernel.session import Session

_SEMANTIC = argument("--semantic", action="store_true", help="re-wordings (the margin tier)")
_NEAR = argument("--near", action="store_true", help="the same question in other manners")
_STRICT = argument("--strict", action="store_true", help="what the built-in verifier is sure of")
_SIMULATED = argument("--simulated", action="store_true", help="offline and simulated models")


@magics_class
class CacheMagics(SessionMagics):
    """``%cache``."""

    @no_var_expand
    @line_magic
    @parsed
    @subcommand(
        "stats", OUT, QUIET, help="show answers, hits by tier, and what was saved (the default)"
    )
    @subcommand("status", OUT, QUIET, help="the same as stats")
    @subcommand(
        "on",
        _SEMANTIC,
        _NEAR,
        _STRICT,
        _SIMULATED,
        OUT,
        QUIET,
        help="answer repeats from the cache in this session, and what is named too",
    )
    @subcommand(
        "off",
        _SEMANTIC,
        _NEAR,
        _STRICT,
        _SIMULATED,
        OUT,
        QUIET,
        help="answer nothing from the cache in this session, or not what is named",
    )
    @subcommand(
        "explain",
        argument("question", nargs="+", metavar="TEXT", help="the question"),
        MODEL,
        argument("-s", "--system", metavar="TEXT", help="what the model is told about its task"),
        argument("--max-tokens", type=int, metavar="N", help="bound on the tokens of the answer"),
        argument("-t", "--temperature", type=float, metavar="T", help="as it would be asked (0)"),
        OUT,
        QUIET,
        help="say whether a question would be answered from the cache, by which tier, and why",
    )
    @subcommand(
        "audit",
        argument("-n", "--limit", type=int, default=20, metavar="N", help="how many (20)"),
        argument(
            "--right", type=int, action="append", default=[], metavar="NUMBER",
            help="say that a hit was right; repeatable",
        ),
        argument(
            "--wrong", type=int, action="append", default=[], metavar="NUMBER",
            help="say that a hit was wrong; repeatable",
        ),
        OUT,
        QUIET,
        help="list hits on other texts with both of them, to be judged",
    )  # fmt: skip
    @subcommand(
        "tune",
        argument(
            "--target",
            type=float,
            metavar="SHARE",
            help="hold it against this bound on errors per hit (default: the settings' own)",
        ),
        argument(
            "--restart",
            action="append",
            default=[],
            metavar="NAME",
            help="let near-verbatim, strict, margin or one partition begin anew; repeatable",
        ),
        OUT,
        QUIET,
        help="show what the margin tier has learnt, would serve, and still needs",
    )
    @subcommand(
        "clear",
        argument("--tag", metavar="NAME", help="answers with this tag"),
        MODEL,
        argument("--notebook", metavar="NAME", help="answers brought by this notebook"),
        argument("--all", action="store_true", help="all answers of this tenant"),
        OUT,
        QUIET,
        help="delete answers, and the questions kept with them",
    )
    def cache(self, line: str) -> CachePage | Cleared | Explained | AuditPage | TunePage | None:
        """Look at the answers that are given again, audit and delete them.

        Only answers to requests with temperature 0 or a seed are kept. Explain takes temperature 0
        for granted.

        Examples: ``%cache``, ``%cache explain How do I block my card? -m openai/gpt-4o``,
        ``%cache on --semantic``, ``%cache tune --target 0.02``,
        ``%cache audit --right 3 --wrong 5``, ``%cache clear --tag faq``.
        """
        args = parse(CacheMagics.cache, line)
        if args is None:
            return None
        shown: CachePage | Cleared | Explained | AuditPage | TunePage | None = self.finish(
            args, _done(self._source.get(), args)
        )
        return shown


def _done(session: Session, args: Namespace) -> Any:
    from llmops_kernel.cli._cache import (
        audited,
        cleared,
        explained,
        stats_of,
        switched,
        tuned,
    )
    from llmops_kernel.magics.cache_results import (
        AuditPage,
        CachePage,
        Cleared,
        Explained,
        TunePage,
    )

    stable = session.settings.static
    match args.verb:
        case "explain":
            question = " ".join(args.question)
            found = explained(
                session,
                question,
                model=args.model,
                system=args.system,
                max_tokens=args.max_tokens,
                temperature=args.temperature,
            )
            return Explained(question, found, stable)
        case "audit":
            return AuditPage(audited(session, args.limit, args.right, args.wrong), stable)
        case "tune":
            return TunePage(tuned(session, args.target, args.restart))
        case "on" | "off":
            switched(
                session,
                on=args.verb == "on",
                semantic=args.semantic,
                near=args.near,
                strict=args.strict,
                simulated=args.simulated,
            )
        case "clear":
            return Cleared(
                cleared(
                    session,
                    tag=args.tag,
                    model=args.model,
                    notebook=args.notebook,
                    everything=args.all,
                )
            )
    stats, switches, warnings = stats_of(session)
    return CachePage(stats, switches, tuple(warnings))
