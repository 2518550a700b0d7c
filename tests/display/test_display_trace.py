from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.display import printable, trace_view
from llmops_kernel.display.pruning import prune
from llmops_kernel.trace.spans import Span, SpanNode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

START = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def node(
    name: str = "chat",
    *children: SpanNode,
    kind: Any = "llm",
    status: Any = "ok",
    took: float | None = 1.25,
    span_input: str = "",
    **attributes: Any,
) -> SpanNode:
    span = Span(
        span_id="s",
        trace_id="trace-1",
        parent_id="",
        name=name,
        kind=kind,
        started=START,
        ended=None if took is None else START + timedelta(seconds=took),
        status=status,
        attributes=attributes,
        input=span_input,
        output="",
    )
    return SpanNode(span, tuple(children))


def call(**changes: Any) -> SpanNode:
    values = {
        "model": "sim/gpt-4o",
        "input_tokens": 312,
        "output_tokens": 88,
        "usd_nano": 412_000,
        "book": "simulated",
        "latency_s": 0.8,
    }
    return node(**{**values, **changes})


def test_a_tree_in_text() -> None:
    root = node(
        "cell 3",
        node("ask", call(), call(status="refused", took=None, error="BudgetExceeded"), kind="ask"),
        call(name="chat 2", estimated=True, cached=True, book="real"),
        kind="cell",
    )
    figures = "312+88 tok · $0.00041 simulated · 800 ms virtual"
    assert trace_view(root).text.split("\n") == [
        "Trace · 3 model calls · 936+264 tok · $0.00041 · $0.00082 simulated · trace-1",
        "cell 3 · ok · 1.25 s",
        "├─ ask · ok · 1.25 s",
        f"│  ├─ chat · ok · llm · sim/gpt-4o · {figures} · 1.25 s",
        f"│  └─ chat · refused · llm · sim/gpt-4o · {figures} · BudgetExceeded",
        "└─ chat 2 · ok · llm · sim/gpt-4o · 312+88 tok (estimated) · $0.00041 · 800 ms virtual"
        " · 1.25 s · from cache",
    ]


def test_stable_text_has_nothing_that_differs_between_runs() -> None:
    first = node("cell", call(took=1.0), kind="cell", took=2.0)
    second = node("cell", call(took=3.0, usd_nano=1, output_tokens=2), kind="cell", took=9.0)
    views = [trace_view(root, stable=True) for root in (first, second)]
    assert views[0].data == views[1].data
    assert views[0].text == "Trace · 1 model call\ncell · ok\n└─ chat · ok · llm"
    assert views[0].facts != views[1].facts


def test_failures_are_named() -> None:
    root = call(status="error", error="RateLimited", message="The provider\nkept answering 429.")
    assert trace_view(root).text.endswith("RateLimited: The provider kept answering 429.")
    assert trace_view(root, stable=True).text.endswith("chat · error · llm · RateLimited")


def test_figures_count_each_call_once() -> None:
    root = node("ask", call(), call(), kind="ask", usd_nano=824_000, input_tokens=624)
    facts = trace_view(root).facts
    assert facts["usd_nano"] == {"real": 0, "simulated": 824_000}
    assert (facts["calls"], facts["spans"], facts["input_tokens"]) == (2, 3, 624)


def test_html_is_nested_and_folds_content(text_of: Callable[[str], str]) -> None:
    view = trace_view(node("ask", call(span_input="q" * 3_000), kind="ask"))
    assert view.html.count("<details open>") == 2
    assert "<details><summary>input</summary><pre>" in view.html
    assert "<summary>output</summary>" not in view.html
    assert "… (2,000 more characters)" in text_of(view.html)
    assert "qqq" not in trace_view(node("ask", call(span_input="qqq")), content=0).html


@given(st.text(st.characters(exclude_categories=()), min_size=1, max_size=60))
def test_every_value_is_escaped(text_of: Callable[[str], str], text: str) -> None:
    root = node(text, call(model=text, error=text, span_input=text))
    shown = text_of(trace_view(root).html)
    assert printable(text) in shown
    assert len(trace_view(root).text.split("\n")) == 3


def test_a_thousand_spans_are_bounded(text_of: Callable[[str], str]) -> None:
    root = node("cell", *(call(name=f"call {i}") for i in range(999)), kind="cell")
    view = trace_view(root)
    lines = view.text.split("\n")
    assert len(lines) == 1 + 60 + 1
    assert lines[-2] == "├─ … 940 more"
    assert lines[-1].startswith("└─ call 998 ·")
    assert "… 940 more" in text_of(view.html)
    assert view.facts["usd_nano"]["simulated"] == 999 * 412_000
    assert len(trace_view(root, limit=5_000).text.split("\n")) == 1_001


def test_failures_are_shown_before_all_others() -> None:
    spans = [call(name=f"call {i}") for i in range(300)]
    spans[150] = node("agent", *spans[150:170], call(name="the loop", status="refused"))
    text = trace_view(node("cell", *spans, kind="cell"), limit=10).text
    assert "   … 20 more" in text.replace("│", " ").replace("├─", "  ").replace("└─", "  ")
    assert "the loop · refused" in text
    assert "call 299 · ok" in text


def test_deep_traces_do_not_overflow_the_stack(text_of: Callable[[str], str]) -> None:
    deep = node("leaf")
    for number in range(3_000):
        deep = node(f"level {number}", deep)
    assert "… 2,941 more" in trace_view(deep).text
    text_of(trace_view(deep, limit=4_000).html)


@st.composite
def trees(draw: st.DrawFn, depth: int = 4) -> SpanNode:
    children: Sequence[SpanNode] = draw(st.lists(trees(depth - 1), max_size=4)) if depth else ()
    return node("s", *children, status=draw(st.sampled_from(["ok", "error"])))


@given(trees(), st.integers(1, 30))
def test_shown_and_missing_spans_add_up(root: SpanNode, limit: int) -> None:
    tree = prune(root, limit)
    assert len(tree.items) == min(limit, len(tree.spans))
    below = [item for items in tree.items.values() for item in items]
    missing = sum(int(item.split()[1]) for item in below if isinstance(item, str))
    assert missing + len(tree.items) == len(tree.spans)
    shown = [item for item in below if isinstance(item, int)]
    assert sorted([0, *shown]) == sorted(tree.items)


def test_nothing_traced_yet() -> None:
    assert trace_view(None).text == "No trace yet"
