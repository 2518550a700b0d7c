from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from llmops_kernel.budget import Ledger, reap
from llmops_kernel.calls import CallContext, ChatRequest, Outcome, Reply, Usage
from llmops_kernel.errors import BudgetExceeded, ProviderError
from llmops_kernel.store import Lease, Store
from llmops_kernel.trace import Tracer, TraceStage, new_id

REQUEST = ChatRequest("m", ({"role": "user", "content": "my key is sk-123"},))


@pytest.fixture
def tracer(store: Store) -> Tracer:
    return Tracer(
        store, Lease.mine(), run_id="r", redact=lambda text: text.replace("sk-123", "***")
    )


def test_a_tree_reads_back_in_order(tracer: Tracer) -> None:
    trace_id = new_id()
    root = tracer.start("cell", "cell", trace_id=trace_id)
    for name in ("first", "second"):
        child = tracer.start(name, "llm", trace_id=trace_id, parent_id=root, input=name)
        tracer.end(child, attributes={"usd_nano": 5}, output="out")
    tracer.end(root)
    tree = tracer.trace()
    assert tree is not None
    assert [node.span.name for node in tree.children] == ["first", "second"]
    first = tree.children[0].span
    assert (first.status, first.input, first.output) == ("ok", "first", "out")
    assert first.attributes == {"usd_nano": 5}
    assert first.seconds is not None
    assert first.seconds >= 0
    assert tracer.trace("no such trace") is None


def test_newest_root_first(tracer: Tracer) -> None:
    ids = [new_id() for _ in range(3)]
    for number, trace_id in enumerate(ids):
        tracer.start(f"t{number}", "cell", trace_id=trace_id)
    assert [span.name for span in tracer.roots(2)] == ["t2", "t1"]


def test_children_of_a_lost_parent_are_shown(tracer: Tracer) -> None:
    trace_id = new_id()
    for name in ("a", "b"):
        tracer.start(name, "llm", trace_id=trace_id, parent_id="never-written")
    tree = tracer.trace(trace_id)
    assert tree is not None
    assert {tree.span.name, *(n.span.name for n in tree.children)} == {"a", "b"}


def test_secrets_are_redacted_everywhere(tracer: Tracer, store: Store) -> None:
    span = tracer.start("s", "llm", trace_id="t", attributes={"k": "sk-123"}, input="sk-123")
    tracer.end(span, attributes={"k": "sk-123"}, output="sk-123")
    rows = store.read("SELECT attributes, input, output FROM span")
    assert "sk-123" not in str(rows)
    assert str(rows).count("***") == 3


def test_long_texts_are_cut_with_a_note(tracer: Tracer) -> None:
    tracer.start("s", "llm", trace_id="t", input="x" * 50_000)
    tree = tracer.trace("t")
    assert tree is not None
    assert tree.span.input.endswith("… (30000 more characters)")


def test_what_no_store_takes_is_replaced(tracer: Tracer) -> None:
    span = tracer.start("s", "llm", trace_id="t", input="half a pair \ud83d, caf\xe9")
    tracer.end(span, output="a\0b")
    tree = tracer.trace("t")
    assert tree is not None
    assert (tree.span.input, tree.span.output) == ("half a pair ?, caf\xe9", "a\ufffdb")


def test_without_capture_no_content_is_kept(store: Store) -> None:
    tracer = Tracer(store, Lease.mine(), capture=False)
    span = tracer.start("s", "llm", trace_id="t", input="private")
    tracer.end(span, output="private")
    assert "private" not in str(store.read("SELECT * FROM span"))


_KILLED = """
import os, sys
from llmops_kernel.store import Lease, open_store
from llmops_kernel.trace import Tracer
store = open_store(sys.argv[1])
tracer = Tracer(store, Lease.mine())
tracer.start("doomed", "llm", trace_id="t")
store.flush()
os.kill(os.getpid(), 9)
"""


def test_a_killed_process_leaves_an_interrupted_span(
    store_url: str, store: Store, tracer: Tracer
) -> None:
    subprocess.run([sys.executable, "-c", _KILLED, store_url], check=False)
    tracer.start("mine", "llm", trace_id="t2")
    reap(Ledger(store, []))
    assert {span.name: span.status for span in tracer.roots()} == {
        "doomed": "interrupted",
        "mine": "running",
    }


async def _serve(tracer: Tracer, answer: Any) -> Any:
    async def end(request: Any, context: CallContext) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    stage = TraceStage(end, tracer=tracer)
    return await stage(REQUEST, CallContext("c", trace_id="t", cell_id="cell"))


async def test_the_stage_records_figures(tracer: Tracer) -> None:
    message = {"role": "assistant", "content": "hello"}
    reply = Reply("i", "sim/m", 1, ({"index": 0, "message": message, "finish_reason": "stop"},),
                  Usage(3, 4), simulated=True, cost_nano=9, latency_s=0.5)  # fmt: skip
    assert await _serve(tracer, reply) is reply
    tree = tracer.trace("t")
    assert tree is not None
    span = tree.span
    assert (span.kind, span.status, span.output) == ("llm", "ok", "hello")
    assert "sk-123" not in span.input
    facts = span.attributes
    assert (facts["model"], facts["input_tokens"], facts["output_tokens"]) == ("sim/m", 3, 4)
    assert (facts["usd_nano"], facts["book"], facts["latency_s"]) == (9, "simulated", 0.5)


async def test_the_stage_records_failures(tracer: Tracer) -> None:
    refusal = BudgetExceeded(
        "The daily cap is used up", scope="user", window="day", book="real", limit=1, spent=1,
        held=0, needed=1,
    )  # fmt: skip
    for error, status in ((refusal, "refused"), (ProviderError("no"), "error")):
        with pytest.raises(type(error)):
            await _serve(tracer, error)
        newest = tracer.roots(1)[0]
        assert (newest.status, newest.attributes["error"]) == (status, type(error).__name__)


def test_outcomes_are_frozen() -> None:
    outcome = Outcome(Reply("i", "m", 1, ()))
    with pytest.raises(AttributeError):
        outcome.ending = "cut"  # type: ignore[misc]
