"""Arguments: two lines for a mistake, with the nearest match."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any, NoReturn

from llmops_kernel._version import __version__
from llmops_kernel.errors import UsageProblem, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

_DESCRIPTION = "Every model call of a notebook capped before it spends, traced and replayable."


class Parser(argparse.ArgumentParser):
    """A parser that raises `UsageProblem` instead of printing its usage and leaving."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        super().__init__(exit_on_error=False, **options)
        self.set_defaults(parser=self)

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse arguments.

        Raises:
            UsageProblem: They are wrong; names the nearest flag or verb.
        """
        arguments: argparse.Namespace
        arguments, unknown = self.parse_known_args(argv)
        if unknown:
            raise arguments.parser.unexpected(unknown[0])
        return arguments

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse what is known; used by argparse for subcommands as well."""
        try:
            return super().parse_known_args(args, namespace)
        except argparse.ArgumentError as error:
            raise self._problem(error) from None

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        _, required, names = message.partition("arguments are required: ")
        said = f"{self.prog} needs {names}" if required else f"{self.prog}: {message}"
        raise UsageProblem(said, hint=self._hint)

    def unexpected(self, word: str) -> UsageProblem:
        """Return the error about a word that nothing expects."""
        if not word.startswith("-"):
            return UsageProblem(f"{self.prog} does not expect {word!r}", hint=self._hint)
        flag = word.split("=")[0]
        known = [name for action in self._actions for name in action.option_strings]
        return UsageProblem(
            f"{flag} is not a flag of {self.prog}{nearest(flag, known)}", hint=self._hint
        )

    def verbs(self, dest: str, **options: Any) -> Any:
        """Add subcommands."""
        return self.add_subparsers(
            dest=dest, parser_class=Parser, metavar=options.pop("metavar", "VERB"), **options
        )

    def group(self, dest: str, modules: Sequence[ModuleType]) -> None:
        """Add the verbs below this one, a module each; alone it shows its help.

        A module is named ``PARENT_VERB``, and has ``HELP`` and ``add``.
        """
        self.set_defaults(call=_help(self))
        verbs = self.verbs(dest, title="verbs")
        for module in modules:
            name = module.__name__.rpartition("_")[2]
            module.add(verbs.add_parser(name, help=module.HELP, description=f"{module.HELP}."))

    @property
    def _hint(self) -> str:
        return f"{self.prog} --help shows what it takes"

    def _problem(self, error: argparse.ArgumentError) -> UsageProblem:
        # Read the message, because argparse keeps value and action to itself.
        name = (error.argument_name or "").split("/")[-1]
        choice = re.match(r"invalid choice: '?(.*?)'? \(choose from", error.message)
        if choice is not None:
            known = self._choices(name)
            what = f"a verb of {self.prog}" if name.isupper() else f"a value of {name}"
            return UsageProblem(
                f"{choice[1]!r} is not {what}{nearest(choice[1], known)}",
                hint=f"Choose {', '.join(known)}",
            )
        if error.message.startswith("expected "):
            return UsageProblem(f"{name} needs a value", hint=self._hint)
        if wrong := re.match(r"invalid (\w+) value: (.*)", error.message):
            kind = {"int": "whole number"}.get(wrong[1], "number")
            return UsageProblem(f"{name} does not take {wrong[2]}", hint=f"Give a {kind}")
        return UsageProblem(f"{name}: {error.message}" if name else error.message, hint=self._hint)

    def _choices(self, name: str) -> list[str]:
        for action in self._actions:
            if action.choices and (name in action.option_strings or name in (action.metavar, "")):
                return [str(choice) for choice in action.choices]
        return []


def build_parser() -> Parser:
    """Return the parser of the whole program."""
    from llmops_kernel.cli import (
        ask,
        budget,
        cache,
        doctor,
        env,
        finetune,
        gateway,
        judge,
        kernel,
        model,
        prompt,
        rag,
        route,
        run,
        serve,
        status,
        trace,
        version,
    )

    parser = Parser(prog="llmops", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"llmops-kernel {__version__}")
    parser.set_defaults(call=_help(parser))
    verbs = parser.verbs("verb", title="verbs")
    for module in (
        run, budget, ask, rag, prompt, cache, route, judge, finetune, model, serve, trace,
        status, doctor, env, gateway, kernel, version,
    ):  # fmt: skip
        name = module.__name__.rpartition(".")[2]
        module.add(verbs.add_parser(name, help=module.HELP, description=f"{module.HELP}."))
    return parser


def _help(parser: Parser) -> Callable[[argparse.Namespace], int]:
    def call(_: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    return call


def json_flag(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
