"""``llmops cache import``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.cli._output import opened_session, say, say_json
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse

    from llmops_kernel.cache.importers.answers import Imported
    from llmops_kernel.cache.importers.gptcache import Contents
    from llmops_kernel.calls import ChatRequest

HELP = "Read another cache's store: pairs to judge, or answers on your word about their model"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("kind", choices=("gptcache",), help="whose store it is")
    parser.add_argument("path", metavar="PATH", help="its SQLite file, or the folder it lies in")
    parser.add_argument("--pairs", metavar="FILE.csv", help="write pairs that are to be judged")
    parser.add_argument(
        "--as-answers",
        action="store_true",
        help="serve its answers: you say that one model gave all of them, to single questions, "
        "with this system text and at temperature 0",
    )
    parser.add_argument("-m", "--model", metavar="NAME", help="the model that gave them")
    parser.add_argument("--system", metavar="TEXT", help="the system text it was given")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="as your requests have it")
    parser.add_argument("--tenant", metavar="NAME", help="whose answers these are")
    parser.add_argument(
        "--max-age-days",
        type=float,
        metavar="N",
        help="how old an answer may be (default: as the cache's ttl_s)",
    )
    parser.add_argument("--dry-run", action="store_true", help="count, and keep nothing")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Read the store, write what was asked for, say what became of the rows."""
    from llmops_kernel.cache.importers.gptcache import read
    from llmops_kernel.cache.importers.pairs import write_pairs

    if arguments.as_answers != bool(arguments.model):
        raise UsageProblem(
            "--as-answers and --model go together",
            hint="Name the model that gave the answers; the store does not say which it was",
        )
    contents = read(Path(arguments.path).expanduser())
    facts: dict[str, Any] = {
        "rows": len(contents.rows),
        "served": len(contents.served),
        "skipped": dict(contents.skipped.most_common()),
    }
    if arguments.pairs and not arguments.dry_run:
        facts["pairs"] = write_pairs(Path(arguments.pairs), contents)
    if arguments.as_answers:
        done = _kept(arguments, contents)
        facts["kept"] = done.kept
        facts["not_kept"] = dict(done.skipped.most_common())
    if arguments.json:
        say_json({**facts, "dry_run": arguments.dry_run})
    else:
        say(_text(facts, dry=arguments.dry_run))
    return 0


def _kept(arguments: argparse.Namespace, contents: Contents) -> Imported:
    from llmops_kernel.cache.importers.answers import keep
    from llmops_kernel.prompts.ask import AskSpec, build_request

    def ask(question: str) -> ChatRequest:
        spec = AskSpec(
            model=arguments.model,
            prompt=question,
            system=arguments.system,
            max_tokens=arguments.max_tokens,
            temperature=0.0,
        )
        return build_request(spec)

    with opened_session() as session:
        target = session.catalog.resolve(arguments.model)
        tenant = arguments.tenant or session.settings.tenant
        context = session.context(tenant=tenant, target=target)
        done = asyncio.run(
            keep(
                contents.rows,
                session.cache,
                target,
                context,
                ask,
                max_age_days=arguments.max_age_days,
                dry=arguments.dry_run,
            )
        )
        session.store.flush()
    return done


def _text(facts: dict[str, Any], *, dry: bool) -> str:
    lines = [f"Questions with one plain answer: {facts['rows']}; hits it reported: "
             f"{facts['served']}"]  # fmt: skip
    lines += [f"  left out, {reason}: {times}" for reason, times in facts["skipped"].items()]
    if "pairs" in facts:
        lines.append(f"Pairs to judge: {facts['pairs']}")
    if "kept" in facts:
        lines.append(f"Answers {'that would be kept' if dry else 'kept'}: {facts['kept']}")
        lines += [f"  not kept, {reason}: {times}" for reason, times in facts["not_kept"].items()]
    if "kept" not in facts and "pairs" not in facts:
        lines.append("Nothing was written; see --pairs and --as-answers")
    return "\n".join(lines)
