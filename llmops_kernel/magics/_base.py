"""What every magic shares: one session, one parser, one way out.

IPython's own ``UsageError`` must never reach the shell: nbval reports such a cell as passed and
papermill saves an empty traceback. Every wrong flag, value or subcommand therefore leaves `parse`
as `UsageProblem`, in two lines that name the nearest match.

A trailing ``;`` is handled here too. IPython's ``@output_can_be_silenced`` runs Python's tokenizer
over the text *after* the magic has run: a prompt with an apostrophe would fail once it is paid for.
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic import Magics

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.magics._flags import (
    HELP,
    HelpAsked,
    Magic,
    argument,
    declared,
    flags_of,
    parser_of,
    verbs_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from IPython.core.interactiveshell import InteractiveShell

    from llmops_kernel.magics._session import SessionSource

R = TypeVar("R")

# A word, or quoted text that stands alone or follows ``--flag=``; apostrophes inside words are
# letters, so that free text needs no quoting.
_WORD = re.compile(
    r"""(?P<head>--?[\w-]+=)?(?P<quote>["'])(?P<text>(?:\\.|(?!(?P=quote))[^\\])*)(?P=quote)(?=\s|$)"""
    r"""|\S+""",
    re.DOTALL,
)


class SessionMagics(Magics):
    """Magics that use the process's session."""

    def __init__(self, shell: InteractiveShell, source: SessionSource) -> None:
        super().__init__(shell)
        self._source = source

    @property
    def names(self) -> dict[str, Any]:
        """The notebook's variables."""
        assert self.shell is not None
        names: dict[str, Any] = self.shell.user_ns
        return names

    def finish(self, args: argparse.Namespace, result: R) -> R | None:
        """Bind ``--out`` and return what the cell should show."""
        if args.out:
            self.names[args.out] = result
        return None if args.quiet else result


def parse(magic: Magic, line: str, *, sigil: str = "%") -> argparse.Namespace | None:
    """Parse a magic's line.

    Args:
        magic: The magic's method, as decorated.
        line: What follows its name.
        sigil: ``%`` or ``%%``, for the hint.

    Returns:
        The arguments (``quiet`` is also set by a trailing ``;``), or None after ``--help``, whose
        text has been printed.

    Raises:
        UsageProblem: A wrong flag, value or subcommand.
    """
    line, silenced = split_semicolon(line)
    argv = [_unquoted(word.group()) for word in _WORD.finditer(line)]
    name, verb = _name(magic), ""
    if verbs := verbs_of(magic):
        argv = _with_verb(argv, verbs, f"{sigil}{name}")
        verb = argv[0] if argv[0] in verbs else ""
    command = f"{sigil}{name} {verb}".rstrip()
    try:
        args, extra = parser_of(magic).parse_known_args(argv)
    except HelpAsked as asked:
        sys.stdout.write(asked.text)
        return None
    except argparse.ArgumentError as error:
        raise _problem(error, magic, verb, command) from None
    except UsageError as error:
        raise UsageProblem(_missing(str(error), command), hint=_help_hint(command)) from None
    if extra:
        raise _unexpected(extra[0], flags_of(magic, verb), command)
    args.quiet = silenced or getattr(args, "quiet", False)
    return args


def split_free_text(magic: Magic, line: str) -> tuple[str, str]:
    """Split ``-m NAME what is this?`` into its flags and the text after them, as typed.

    Flags end at the first word that is none, or at ``--``.

    Raises:
        UsageProblem: A flag of this magic stands inside the text.
    """
    flags = flags_of(magic)
    end, waiting = 0, False
    for word in _WORD.finditer(line):
        part = word.group()
        if part == "--":
            return line[: word.start()], _whole(line[word.end() :])
        if not waiting and (not part.startswith("-") or part == "-"):
            break
        waiting = not waiting and part in flags and flags[part].takes_value
        end = word.end()
    text = line[end:]
    for word in _WORD.finditer(text):
        if word.group() in flags:
            raise UsageProblem(
                f"{word.group()} stands after the question",
                hint=f"Put flags first, or -- in front of the question: %{_name(magic)} -- ...",
            )
    return line[:end], _whole(text)


def split_semicolon(line: str) -> tuple[str, bool]:
    """Take a trailing ``;`` off a line and say whether there was one."""
    stripped = line.rstrip()
    return (stripped[:-1], True) if stripped.endswith(";") else (line, False)


def _with_verb(argv: list[str], verbs: list[str], name: str) -> list[str]:
    first = argv[0] if argv else ""
    if first in verbs or first in HELP.names:
        return argv
    if not first or first.startswith("-"):
        return [verbs[0], *argv]
    raise UsageProblem(
        f"{first!r} is not a subcommand of {name}{nearest(first, verbs)}",
        hint=f"Subcommands: {', '.join(verbs)}",
    )


def _problem(error: argparse.ArgumentError, magic: Magic, verb: str, command: str) -> UsageProblem:
    flag = (error.argument_name or "").split("/")[-1]
    choice = re.match(r"invalid choice: '(.*?)' \(choose from", error.message)
    if choice is not None:
        known = _choices(declared(magic, verb), flag)
        return UsageProblem(
            f"{flag} does not take {choice[1]!r}{nearest(choice[1], known)}",
            hint=f"Choose {', '.join(known[:-1])} or {known[-1]}",
        )
    if error.message.startswith("expected "):
        return UsageProblem(f"{flag} needs a value", hint=_help_hint(command))
    if bad := re.match(r"invalid (\w+) value: (.*)", error.message):
        kind = {"int": "whole number", "float": "number"}.get(bad[1], bad[1])
        return UsageProblem(f"{flag} does not take {bad[2]}", hint=f"Give a {kind}")
    return UsageProblem(_missing(error.message, command), hint=_help_hint(command))


def _choices(arguments: Iterable[argument], flag: str) -> list[str]:
    for each in arguments:
        if flag in each.names or flag == each.kwds.get("metavar"):
            return list(each.kwds.get("choices", ()))
    return []


def _unexpected(word: str, flags: Iterable[str], command: str) -> UsageProblem:
    if not word.startswith("-"):
        return UsageProblem(f"{command} does not expect {word!r}", hint=_help_hint(command))
    name = word.split("=")[0]
    return UsageProblem(
        f"{name} is not a flag of {command}{nearest(name, flags)}", hint=_help_hint(command)
    )


def _missing(message: str, command: str) -> str:
    _, required, names = message.partition("arguments are required: ")
    return f"{command} needs {names}" if required else f"{command}: {message}"


def _help_hint(command: str) -> str:
    return f"{command.replace('%%', '%')} --help shows what it takes"


def _name(magic: Magic) -> str:
    return str(getattr(magic, "argcmd_name", magic.__name__))


def _unquoted(token: str) -> str:
    match = _WORD.fullmatch(token)
    if match is None or match["quote"] is None:
        return token
    text = re.sub(r"\\([\\\"'])", r"\1", match["text"])
    return (match["head"] or "") + text


def _whole(text: str) -> str:
    return _unquoted(text.strip())
