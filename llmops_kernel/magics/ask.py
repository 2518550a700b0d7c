"""``%ask`` and ``%%ask``: one question to a model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from IPython.core.magic import (
    line_cell_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)

from llmops_kernel.errors import UsageProblem
from llmops_kernel.magics._base import SessionMagics, parse, split_free_text, split_semicolon
from llmops_kernel.magics._flags import DRY_RUN, MAX_USD, MODEL, OUT, QUIET, argument, parsed

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from llmops_kernel.magics.results import Estimate
    from llmops_kernel.prompts.answer import Answer


@magics_class
class AskMagics(SessionMagics):
    """``%ask`` and ``%%ask``."""

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @parsed
    @MODEL
    @argument("-s", "--system", metavar="TEXT", help="what the model is told about its task")
    @argument("--schema", metavar="NAME", help="typed output: a pydantic class, dict or JSON file")
    @argument("--examples", metavar="NAME", help="few-shot: a list of pairs, a CSV or JSONL file")
    @argument("--think", action="store_true", help="ask for reasoning before the answer")
    @argument("--context", metavar="NAME", help="text to answer from: a variable or a file")
    @argument("--compress", action="store_true", help="leave out repetition and blank space first")
    @argument(
        "--compress-to",
        type=int,
        metavar="TOKENS",
        help="and the sentences of the context that matter least, down to this many tokens",
    )
    @argument("--max-tokens", type=int, metavar="N", help="bound on the tokens of the answer")
    @argument("-t", "--temperature", type=float, metavar="T", help="0 for the likeliest words")
    @argument("--seed", type=int, metavar="N", help="asks the provider for repeatable sampling")
    @MAX_USD
    @argument("--raw", action="store_true", help="send the text as typed, filling no {names} in")
    @DRY_RUN
    @OUT
    @QUIET
    @argument("question", nargs="*", metavar="QUESTION", help="the question, after all flags")
    def ask(
        self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None
    ) -> Answer | Estimate | None:
        """Ask a model.

        In a cell of its own, the text below the first line is the question. {name}, {name.attr} and
        {name[0]} are filled in where name is bound; all other braces stay as typed.

        Examples: ``%ask What is a ledger?``, ``%%ask -m sim/gpt-4o --schema Ticket -o ticket``.
        """
        line, silenced = split_semicolon(line)
        flags, text = split_free_text(AskMagics.ask, line)
        args = parse(AskMagics.ask, flags, sigil="%" if cell is None else "%%")
        if args is None:
            return None
        args.quiet = args.quiet or silenced
        names = {**self.names, **(local_ns or {})}
        prompt = _prompt(args, text, cell, names)
        fields = _fields(args, names)
        session = self._source.get()
        if args.dry_run:
            from llmops_kernel.magics.estimate import estimate

            result: Any = estimate(session, prompt, **fields)
        else:
            if args.max_usd is not None:
                fields["max_usd"] = args.max_usd
            answer = session.ask(prompt, **fields)
            _tell_compressed(prompt, fields)
            settings = session.settings
            result = replace(answer, footer=settings.footer and not settings.static)
        shown: Answer | Estimate | None = self.finish(args, result)
        return shown


def _prompt(args: Namespace, text: str, cell: str | None, names: Mapping[str, Any]) -> str:
    if cell is None:
        if not text:
            raise UsageProblem("%ask needs a question", hint="%ask What is a ledger?")
    elif text:
        first = text.split()[0]
        raise UsageProblem(
            f"%%ask does not expect {first!r} on its first line",
            hint="Put the question below it; a model's name goes after -m",
        )
    else:
        text = cell.strip()
        if not text:
            raise UsageProblem("%%ask needs a question", hint="Put it below the first line")
    if args.raw:
        return text
    from llmops_kernel.magics.hooks import say
    from llmops_kernel.prompts.template import interpolate

    filled = interpolate(text, names)
    for name in filled.missing:
        say(f"{{{name}}} has no value here and was sent as typed.")
    for name in filled.cut:
        say(f"The value of {{{name}}} was too long and was cut.")
    return filled.text


def _tell_compressed(prompt: str, fields: Mapping[str, Any]) -> None:
    """Say what was left out; nobody should wonder which prompt was answered."""
    if not fields.get("compress"):
        return
    from llmops_kernel.magics.hooks import say
    from llmops_kernel.prompts.ask import AskSpec, build_request, compressed

    kept = {name: value for name, value in fields.items() if name not in ("max_usd", "model")}
    spec = AskSpec(model="", prompt=prompt, **kept)
    made = compressed(spec, build_request(replace(spec, compress=None)).messages)
    say(f"The prompt was sent with {made.after:,} of its {made.before:,} tokens.")
    for note in made.notes:
        say(f"{note}.")


def _fields(args: Namespace, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `Session.ask` that were given."""
    from llmops_kernel.magics._inputs import context_of, examples_of, schema_of

    if args.max_tokens is not None and args.max_tokens < 1:
        raise UsageProblem("--max-tokens must be at least 1", hint="%ask --max-tokens 256 ...")
    if args.compress_to is not None and args.compress_to < 1:
        raise UsageProblem("--compress-to must be at least 1", hint="%%ask --compress-to 800")
    plain = ("model", "system", "max_tokens", "temperature", "seed")
    fields = {name: value for name in plain if (value := getattr(args, name)) is not None}
    if args.think:
        fields["think"] = True
    if args.schema:
        fields["schema"] = schema_of(args.schema, names)
    if args.compress or args.compress_to:
        fields["compress"] = args.compress_to or True
    if args.examples:
        fields["examples"] = examples_of(args.examples, names)
    if args.context:
        fields["context"] = context_of(args.context, names)
    return fields
