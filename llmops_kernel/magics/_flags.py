"""What magics declare: arguments, subcommands, and the flags that all of them share.

A typed layer over IPython's ``magic_arguments``: the same decorators, and a parser that takes no
abbreviations. Declarations stay readable, for completion.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from keyword import iskeyword
from typing import Any, TypeVar

from IPython.core.magic_arguments import ArgDecorator, MagicArgumentParser, magic_arguments

from llmops_kernel.errors import UsageProblem

Magic = Callable[..., Any]
M = TypeVar("M", bound=Magic)


class HelpAsked(Exception):  # a signal, not an error
    """Raised by ``-h`` while parsing, before required arguments are missed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class _Help(argparse.Action):
    def __init__(self, **kwds: Any) -> None:
        super().__init__(**{**kwds, "nargs": 0, "default": argparse.SUPPRESS})

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        raise HelpAsked(parser.format_help().replace("::\n\n  %", "%", 1))


class _StrictParser(MagicArgumentParser):
    """The parser of a subcommand: no abbreviated flags, errors with their parts."""

    def __init__(self, *args: Any, **kwds: Any) -> None:
        kwds.pop("color", None)  # Python 3.14 hands it to sub-parsers; IPython's takes none
        super().__init__(*args, **kwds)  # type: ignore[no-untyped-call]
        _make_strict(self)


def _make_strict(parser: argparse.ArgumentParser) -> None:
    # An abbreviation such as --max would change its meaning with the next flag we add.
    parser.allow_abbrev = False
    parser.exit_on_error = False


class _Declaration(ArgDecorator):
    """A decorator of a magic's method, in IPython's scheme, with types."""

    def __call__(self, method: M) -> M:
        super().__call__(method)  # type: ignore[no-untyped-call]
        return method


class argument(_Declaration):  # noqa: N801  # named as IPython's, whose place it takes
    """Declare one argument; takes what argparse's ``add_argument`` takes.

    Attributes:
        names: The option strings, or the name of a positional argument.
    """

    def __init__(self, *names: str, **kwds: Any) -> None:
        self.names = names
        self.kwds = kwds

    @property
    def takes_value(self) -> bool:
        """Whether the flag is followed by a value."""
        return self.kwds.get("action", "store") in ("store", "append")

    def add_to_parser(self, parser: argparse.ArgumentParser, group: Any) -> None:  # noqa: ARG002
        """Add the argument to a parser."""
        parser.add_argument(*self.names, **self.kwds)


class subcommand(_Declaration):  # noqa: N801  # stands beside @argument
    """Declare one verb of a magic with its own arguments; the first one is the default.

    Args:
        name: The word a person types.
        arguments: What it takes, besides ``-h``.
        help: One line for the magic's help.
    """

    def __init__(self, name: str, *arguments: argument, help: str) -> None:  # noqa: A002
        self.name = name
        self.arguments = (*arguments, HELP)
        self.help = help

    def add_to_parser(self, parser: argparse.ArgumentParser, group: Any) -> Any:
        """Add the verb; the sub-parsers are handed on to the next one as IPython's group."""
        verbs = group or parser.add_subparsers(
            dest="verb", metavar="VERB", parser_class=_StrictParser, title="verbs"
        )
        own = verbs.add_parser(self.name, help=self.help, description=self.help)
        for each in self.arguments:
            each.add_to_parser(own, None)
        return verbs


def parsed(method: M) -> M:
    """Build a magic's parser and docstring from the declarations below this decorator."""
    HELP(method)
    magic_arguments()(method)  # type: ignore[no-untyped-call]
    _make_strict(parser_of(method))
    return method


def name_of_variable(text: str) -> str:
    """Check the value of ``--out`` and its kind.

    Raises:
        UsageProblem: It is no Python identifier.
    """
    if not text.isidentifier() or iskeyword(text):
        raise UsageProblem(f"{text!r} is not a variable name", hint="Give a name such as answer")
    return text


def dollars(text: str) -> Decimal:
    """Read an amount of US dollars, exactly; ``$2`` and ``2.00`` are the same.

    Raises:
        UsageProblem: No finite amount of at least zero, or finer than a nano-dollar.
    """
    try:
        amount = Decimal(text.removeprefix("$"))
        fits = amount.is_finite() and amount == amount.quantize(Decimal(1).scaleb(-9))
    except InvalidOperation:
        fits = False
    if not fits or amount.is_signed():
        raise UsageProblem(
            f"{text!r} is not an amount of dollars", hint="Write an amount such as 2.00 or $0.05"
        )
    return amount


MODEL = argument("-m", "--model", metavar="NAME", help="model or alias, such as sim/gpt-4o")
OUT = argument(
    "-o", "--out", metavar="NAME", type=name_of_variable, help="also bind the result to this name"
)
QUIET = argument("-q", "--quiet", action="store_true", help="show nothing (like a trailing ;)")
MAX_USD = argument(
    "--max-usd", metavar="USD", type=dollars, help="cap for this call alone, in dollars"
)
DRY_RUN = argument(
    "--dry-run", action="store_true", help="price the call at its worst case and send nothing"
)
HELP = argument("-h", "--help", action=_Help, help="show this help")


def declared(magic: Magic, verb: str = "") -> list[argument]:
    """Return what a magic (or one of its verbs) accepts, in source order."""
    if verb:
        return [each for d in _subcommands(magic) if d.name == verb for each in d.arguments]
    return [each for each in _declarations(magic) if isinstance(each, argument)]


def verbs_of(magic: Magic) -> list[str]:
    """Return a magic's subcommands; the first is the default."""
    return [each.name for each in _subcommands(magic)]


def flags_of(magic: Magic, verb: str = "") -> dict[str, argument]:
    """Return every option string of a magic (or verb) with its declaration."""
    found = declared(magic, verb)
    return {name: each for each in found for name in each.names if name.startswith("-")}


def parser_of(magic: Magic) -> argparse.ArgumentParser:
    """Return the parser that `parsed` built."""
    parser: argparse.ArgumentParser = magic.parser  # type: ignore[attr-defined]
    return parser


def _declarations(magic: Magic) -> list[Any]:
    # Decorators run from the method upwards; people read them from the top.
    return list(reversed(getattr(magic, "decorators", ())))


def _subcommands(magic: Magic) -> list[subcommand]:
    return [each for each in _declarations(magic) if isinstance(each, subcommand)]
