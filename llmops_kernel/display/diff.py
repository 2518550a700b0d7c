"""What was left out of a text: coloured in HTML, unified in text."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from llmops_kernel.display.mime import View, view
from llmops_kernel.display.money import count, percent
from llmops_kernel.display.table import table
from llmops_kernel.display.text import markup, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_WORD = re.compile(r"\s+|\w+|[^\w\s]")
_MOST_WORDS = 20_000  # of both texts; beyond, whole lines are compared
# Struck out and underlined as well: colour alone tells some readers nothing.
_GONE = "background:#fde7e9;color:#86181d;text-decoration:line-through"
_NEW = "background:#e6ffed;color:#165c26;text-decoration:underline"


def diff_view(before: str, after: str, *, caption: str = "Changes") -> View:
    """Build the difference of two texts.

    Args:
        before: The text as it was.
        after: The text as it is.
        caption: What changed.
    """
    plain = "\n".join([printable(caption), *_unified(before, after)])
    marked = "".join(_marked(before, after))
    html = (
        f"<figure><figcaption>{markup(caption)}</figcaption>"
        f'<pre style="white-space:pre-wrap">{marked}</pre></figure>'
    )
    removed, added = _sizes(before, after)
    return view(html, plain, {"characters_removed": removed, "characters_added": added})


def compression_view(
    facts: Mapping[str, Any], *, before: str = "", after: str = "", diff: bool = False
) -> View:
    """Build the report of a compressed prompt.

    Args:
        facts: What `Compressed.as_dict` gives.
        before: The prompt as it was, for the difference.
        after: The prompt as it is sent.
        diff: Whether the difference is shown below.
    """
    rows = [
        (each["step"], each["scope"], count(each["before"]), count(each["after"]))
        for each in facts["steps"]
        if each["saved"]
    ]
    caption = (
        f"{count(facts['before'])} tokens to {count(facts['after'])}: "
        f"{percent(facts['share'])} saved"
    )
    html, plain = table(("Step", "Where", "Before", "After"), rows, caption)
    for note in facts["notes"]:
        html, plain = f"{html}\n<p>{markup(note)}.</p>", f"{plain}\n\n{printable(note)}."
    if diff:
        shown = diff_view(before, after, caption="What was left out")
        html, plain = f"{html}\n{shown.html}", f"{plain}\n\n{shown.text}"
    return view(html, plain, facts)


def _unified(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(
        printable(before).splitlines(), printable(after).splitlines(), "before", "after",
        lineterm="", n=1,
    )  # fmt: skip
    return list(lines) or ["(no difference)"]


def _marked(before: str, after: str) -> Iterator[str]:
    old, new = _pieces(before, after)
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            yield markup("".join(new[c:d]))
            continue
        if a < b:
            yield f'<del style="{_GONE}">{markup("".join(old[a:b]))}</del>'
        if c < d:
            yield f'<ins style="{_NEW}">{markup("".join(new[c:d]))}</ins>'


def _pieces(before: str, after: str) -> tuple[list[str], list[str]]:
    """Cut both texts in lines, and in words where that can be compared in reasonable time."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    if len(old) + len(new) <= _MOST_WORDS and len(old) * len(new) <= 4_000_000:
        return old, new
    return before.splitlines(keepends=True), after.splitlines(keepends=True)


def _sizes(before: str, after: str) -> tuple[int, int]:
    old, new = _pieces(before, after)
    removed = added = 0
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            removed += _length(old[a:b])
            added += _length(new[c:d])
    return removed, added


def _length(pieces: Sequence[str]) -> int:
    return sum(map(len, pieces))
