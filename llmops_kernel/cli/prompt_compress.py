"""``llmops prompt compress``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.cli._output import say, say_json, warn
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse

    from llmops_kernel.prompts.compress import Compressed, Compressor

HELP = "Leave out what a prompt says twice, blank space, and what a question does not need"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "file", metavar="FILE",
        help="a text, or JSON with messages in OpenAI's form; - reads stdin. In a text, "
        "<keep>...</keep> marks what must stay",
    )  # fmt: skip
    parser.add_argument(
        "--question", metavar="TEXT", help="what will be asked of the text; needed by --to"
    )
    parser.add_argument(
        "--to", type=int, metavar="TOKENS",
        help="aim at this many tokens: the sentences that matter least to the question go",
    )  # fmt: skip
    parser.add_argument(
        "--tables", action="store_true",
        help="move tables out of the system prompt; a question gets the rows it needs",
    )  # fmt: skip
    parser.add_argument("--diff", action="store_true", help="show what was left out")
    parser.add_argument("--html", metavar="FILE", help="write the report, with the difference")
    parser.add_argument("--out", metavar="FILE", help="write the prompt there, not to stdout")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the shorter prompt, and on stderr what each step saved."""
    from llmops_kernel.display.diff import compression_view
    from llmops_kernel.prompts.compress import Compressor
    from llmops_kernel.prompts.compress.content import text_of

    source = _read(arguments.file)
    compressor = Compressor(to=arguments.to, tables=arguments.tables)
    messages, is_text = _messages(source, arguments)
    made = _compressed(compressor, messages, arguments, is_text)
    before = source if is_text else text_of(messages)
    after = _text(made, arguments.question) if is_text else text_of(made.messages)
    facts = made.as_dict()
    if arguments.html:
        shown = compression_view(facts, before=before, after=after, diff=True)
        _write(arguments.html, _PAGE.format(body=shown.html))
    written = after if is_text else json.dumps(list(made.messages), ensure_ascii=False, indent=2)
    if arguments.out:
        _write(arguments.out, f"{written}\n")
    view = compression_view(facts, before=before, after=after, diff=arguments.diff)
    if arguments.json:
        say_json({**facts, "messages": list(made.messages), "text": after})
    elif arguments.diff or arguments.out:
        say(view.text)
    else:
        say(written)
        warn(view.text)
    return 0


_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Prompt</title></head>'
    "<body>{body}</body></html>\n"
)


def _messages(source: str, arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], bool]:
    """Return messages, and whether they were made from a text."""
    found = _parsed(source)
    if found is not None:
        return found, False
    if arguments.to is not None and not arguments.question:
        raise UsageProblem(
            "--to needs --question: what matters depends on what is asked",
            hint="llmops prompt compress FILE --question 'What does it cost?' --to 800",
        )
    if not arguments.question:
        return [{"role": "system", "content": source}], True
    if arguments.tables:
        return [
            {"role": "system", "content": source},
            {"role": "user", "content": arguments.question},
        ], True
    return [{"role": "user", "content": f"{source}\n\n{arguments.question}"}], True


def _parsed(source: str) -> list[dict[str, Any]] | None:
    if not source.lstrip().startswith(("[", "{")):
        return None
    try:
        data = json.loads(source)
    except ValueError:
        return None
    found = data.get("messages") if isinstance(data, dict) else data
    is_messages = isinstance(found, list) and all(
        isinstance(each, dict) and isinstance(each.get("role"), str) for each in found
    )
    return found if found and is_messages else None


def _compressed(
    compressor: Compressor,
    messages: list[dict[str, Any]],
    arguments: argparse.Namespace,
    is_text: bool,
) -> Compressed:
    stable = 1 if is_text and not arguments.question else None
    return compressor.compress(messages, arguments.question, stable=stable)


def _text(made: Compressed, question: str | None) -> str:
    texts = [str(each["content"]) for each in made.messages]
    if question:
        texts[-1] = texts[-1].removesuffix(question.strip()).rstrip()
    return "\n\n".join(text for text in texts if text)


def _read(name: str) -> str:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UsageProblem("The prompt cannot be read", detail=f"{name}: {said}") from error
    if not text.strip():
        raise UsageProblem("The prompt is empty", detail=name)
    return text


def _write(name: str, text: str) -> None:
    try:
        Path(name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageProblem(
            "The file cannot be written", detail=f"{name}: {error.strerror}"
        ) from error
