"""A trace as a tree of spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.display.mime import View, view
from llmops_kernel.display.money import count, nano_dollars, seconds, tokens
from llmops_kernel.display.pruning import Pruned, prune
from llmops_kernel.display.text import markup, one_line, printable, shorten

if TYPE_CHECKING:
    from llmops_kernel.trace.spans import Span, SpanNode

_CALLS = ("llm", "embeddings")  # the spans that cost; those around them may repeat their sums


def trace_view(
    root: SpanNode | None, *, stable: bool = False, limit: int = 60, content: int = 1_000
) -> View:
    """Build the tree of a trace: nested ``<details>`` in HTML, lines in text.

    Args:
        root: The root span with its children; None when nothing has been traced.
        stable: Leave out whatever differs between runs of the same notebook (durations, costs,
            models, ids), so that outputs can be compared.
        limit: How many spans are shown at most; the others are counted where they are missing.
            Failed spans and the last one are shown first of all.
        content: How many characters of an input or output are shown.
    """
    if root is None:
        return view("<p>No trace yet</p>", "No trace yet")
    tree = prune(root, limit)
    facts = _facts(tree)
    title = _title(facts, stable)
    plain = "\n".join([title, *_plain_lines(tree, stable)])
    html = f"<p>{markup(title)}</p>\n{_html(tree, stable, content)}"
    return view(html, plain, facts)


def _facts(tree: Pruned) -> dict[str, Any]:
    calls = [span for span in tree.spans if span.kind in _CALLS]
    nano = {"real": 0, "simulated": 0}
    for span in calls:
        book = span.attributes.get("book", "real")
        nano[str(book)] = nano.get(str(book), 0) + _number(span, "usd_nano")
    return {
        "trace_id": tree.spans[0].trace_id,
        "spans": len(tree.spans),
        "shown": len(tree.items),
        "calls": len(calls),
        "input_tokens": sum(_number(span, "input_tokens") for span in calls),
        "output_tokens": sum(_number(span, "output_tokens") for span in calls),
        "usd_nano": nano,
    }


def _title(facts: dict[str, Any], stable: bool) -> str:
    calls = facts["calls"]
    parts = ["Trace", f"{count(calls)} model call" + ("" if calls == 1 else "s")]
    if not stable:
        parts.append(tokens(facts["input_tokens"], facts["output_tokens"]))
        parts.extend(
            nano_dollars(nano) + ("" if book == "real" else f" {printable(book)}")
            for book, nano in facts["usd_nano"].items()
            if nano
        )
        parts.append(one_line(facts["trace_id"]))
    return " · ".join(part for part in parts if part)


def _notes(span: Span, stable: bool) -> list[str]:
    """Return what is said of a span after its name; its status always, as a word."""
    notes = [str(span.status)]
    if span.kind not in span.name:
        notes.append(str(span.kind))
    facts = span.attributes
    error = facts.get("error")  # the name of its class, the same in every run
    if stable:
        return [*notes, one_line(error)] if error else notes
    if (model := facts.get("model")) and str(model) not in span.name:
        notes.append(one_line(model))
    if "input_tokens" in facts or "output_tokens" in facts:
        used = tokens(_number(span, "input_tokens"), _number(span, "output_tokens"))
        notes.append(f"{used} (estimated)" if facts.get("estimated") else used)
    if "usd_nano" in facts:
        cost = nano_dollars(_number(span, "usd_nano"))
        notes.append(f"{cost} simulated" if facts.get("book") == "simulated" else cost)
    if isinstance(virtual := facts.get("latency_s"), int | float):
        notes.append(f"{seconds(virtual)} virtual")
    if span.seconds is not None:
        notes.append(seconds(span.seconds))
    if facts.get("cached"):
        near = facts.get("tier") == "near_verbatim"
        notes.append("from cache, near-verbatim" if near else "from cache")
    if error:
        notes.append(one_line(f"{error}: {facts.get('message', '')}".rstrip(": "), 200))
    return notes


def _number(span: Span, name: str) -> int:
    value = span.attributes.get(name)
    return value if isinstance(value, int) else 0


def _plain_lines(tree: Pruned, stable: bool) -> list[str]:
    lines: list[str] = []
    # An entry: what to show, the lines drawn before its own branch, and its own branch.
    todo: list[tuple[int | str, str, str]] = [(0, "", "")]
    while todo:
        item, before, branch = todo.pop()
        if isinstance(item, str):
            lines.append(f"{before}{branch}{item}")
            continue
        span = tree.spans[item]
        notes = " · ".join(_notes(span, stable))
        lines.append(f"{before}{branch}{one_line(span.name)} · {notes}")
        below = before + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
        children = tree.items[item]
        todo.extend(
            (child, below, "└─ " if position == len(children) else "├─ ")
            for position, child in reversed(list(enumerate(children, 1)))
        )
    return lines


def _html(tree: Pruned, stable: bool, content: int) -> str:
    out: list[str] = ["<ul>"]
    todo: list[int | str] = [0]
    closing = "</ul>\n</details></li>"
    while todo:
        item = todo.pop()
        if item == closing:
            out.append(closing)
            continue
        if isinstance(item, str):
            out.append(f"<li>{markup(item)}</li>")
            continue
        span = tree.spans[item]
        notes = markup(" · ".join(_notes(span, stable)))
        summary = f"<summary><strong>{markup(one_line(span.name))}</strong> · {notes}</summary>"
        folds = [_fold("input", span.input, content), _fold("output", span.output, content)]
        out.append(f"<li><details open>{summary}{''.join(folds)}")
        if children := tree.items[item]:
            out.append("<ul>")
            todo.extend([closing, *reversed(children)])
        else:
            out.append("</details></li>")
    out.append("</ul>")
    return "\n".join(out)


def _fold(name: str, text: str, limit: int) -> str:
    if not text or limit <= 0:
        return ""
    body = markup(shorten(text, limit))
    return f"<details><summary>{name}</summary><pre>{body}</pre></details>"
