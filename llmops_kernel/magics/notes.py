"""Recognises our refusals inside other people's exceptions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llmops_kernel import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

# Every HTTP error body of ours ends in this marker; some frameworks pass on nothing but the text.
_MARKER = re.compile(r"\s*\[llmops:(?P<code>[a-z_]+)\]")
# What stands before our sentence when an SDK prints the whole body.
_LEAD = re.compile(r"^.*(?:['\"]message['\"]: *['\"]|Error code: \d+ - )", re.DOTALL)


def explain(error: BaseException | None, *, figures: bool = True) -> str | None:
    """Say in one line why a library's exception is really one of ours.

    Args:
        error: What a cell failed with.
        figures: False leaves out amounts and names, for outputs that are compared between runs.

    Returns:
        A sentence, or None when the error is not ours or already shows our two lines.
    """
    if error is None or isinstance(error, errors.LLMOpsError):
        return None
    for each in _chain(error):
        if isinstance(each, errors.LLMOpsError):
            return _line(each.code, each.sentence(), figures)
        text = _text(each)
        if match := _MARKER.search(text):
            return _line(match["code"], _LEAD.sub("", text[: match.start()]).strip(), figures)
    return None


def _line(code: str, sentence: str, figures: bool) -> str:
    kind = _kinds().get(code, errors.LLMOpsError)
    stopped = "Stopped before anything was spent: " if kind.status == 402 else ""
    if figures and sentence:
        return f"{stopped}{sentence}"
    what = (kind.__doc__ or "").partition("\n")[0].rstrip(".")
    return f"{stopped}{what} ({code})."


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its causes and contexts, and the members of groups; each once."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions


def _text(error: BaseException) -> str:
    # openai's errors carry the body; their text is its repr, with quotes escaped.
    body: Any = getattr(error, "body", None)
    message = body.get("message") if isinstance(body, dict) else None
    return message if isinstance(message, str) else str(error)


def _kinds() -> dict[str, type[errors.LLMOpsError]]:
    kinds: dict[str, type[errors.LLMOpsError]] = {}
    for each in vars(errors).values():
        if isinstance(each, type) and issubclass(each, errors.LLMOpsError):
            kinds.setdefault(each.code, each)
    return kinds
