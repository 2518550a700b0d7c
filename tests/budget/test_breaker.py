from __future__ import annotations

from typing import Any

import pytest

from llmops_kernel.budget import LoopBreaker
from llmops_kernel.calls import CallContext, ChatRequest, fingerprint
from llmops_kernel.errors import LoopDetected
from llmops_kernel.settings import BreakerSettings

OFF = dict.fromkeys(BreakerSettings.model_fields, 0)


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def breaker(clock: Any = None, **limits: Any) -> LoopBreaker:
    chosen = BreakerSettings(**{**OFF, **limits})
    return LoopBreaker(chosen, fingerprint=fingerprint, clock=clock or Clock())


def request(*messages: Any) -> ChatRequest:
    spoken = [m if isinstance(m, dict) else {"role": "user", "content": m} for m in messages]
    return ChatRequest("m", tuple(spoken))


def context(cell: str = "c", cell_run: str = "1", **more: Any) -> CallContext:
    return CallContext("x", cell_id=cell, cell_run=cell_run, run_id="r", **more)


def tool_round(number: int, result: str, name: str = "add") -> list[dict[str, Any]]:
    call = {"id": f"call_{number}", "function": {"name": name, "arguments": "{}"}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"call_{number}", "content": result},
    ]


def test_calls_per_cell_start_anew_with_each_execution() -> None:
    b = breaker(calls_per_cell=3)
    for number in range(3):
        b.check(request(str(number)), context())
    with pytest.raises(LoopDetected, match="too many model calls"):
        b.check(request("x"), context())
    b.check(request("x"), context(cell_run="2"))


def test_scripts_have_no_cell_limit() -> None:
    b = breaker(calls_per_cell=3)
    for number in range(10):
        b.check(request(str(number)), context(cell=""))


def test_calls_per_run_and_reset() -> None:
    b = breaker(calls_per_run=3)
    for number in range(3):
        b.check(request(str(number)), context(cell_run=str(number)))
    with pytest.raises(LoopDetected):
        b.check(request("x"), context(cell_run="9"))
    b.reset()
    b.check(request("x"), context(cell_run="9"))


def test_identical_requests() -> None:
    b = breaker(identical=5)
    for _ in range(5):
        b.check(request("same"), context())
    b.check(request("other"), context())
    with pytest.raises(LoopDetected, match="same request"):
        b.check(request("same"), context())


def test_depth() -> None:
    b = breaker(depth=2)
    b.check(request("a"), context(depth=2))
    with pytest.raises(LoopDetected, match="nested"):
        b.check(request("a"), context(depth=3))


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_tool_cycles_of_one_to_four_rounds(length: int) -> None:
    b = breaker(cycles=3)
    messages: list[Any] = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    rounds = 0
    with pytest.raises(LoopDetected, match="repeats the same tool calls"):
        for rounds in range(1, 40):
            b.check(request(*messages), context())
            messages += tool_round(rounds, f"result {rounds % length}")
    assert rounds == 3 * length + 1


def test_an_agent_that_makes_progress_is_left_alone() -> None:
    b = breaker(cycles=3)
    messages: list[Any] = [{"role": "user", "content": "q"}]
    for number in range(40):
        b.check(request(*messages), context())
        messages += tool_round(number, f"page {number}")


def test_turns_of_one_conversation() -> None:
    b = breaker(turns=5)
    messages: list[Any] = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    with pytest.raises(LoopDetected, match="goes on and on"):
        for number in range(9):
            b.check(request(*messages), context())
            messages.append({"role": "user", "content": f"again {number}"})


def test_growth_of_one_conversation() -> None:
    b = breaker(growth_tokens=10_000)
    messages: list[Any] = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    calls = 0
    with pytest.raises(LoopDetected, match="grows without end"):
        for calls in range(99):
            b.check(request(*messages), context())
            messages.append({"role": "user", "content": f"{calls} " + "word " * 400})
    assert 4 < calls < 9, "the cost is the sum of a growing sum"


def test_many_conversations_of_the_same_length_are_no_loop() -> None:
    b = breaker(cycles=3, turns=5, growth_tokens=1_000)
    for number in range(200):
        b.check(request({"role": "system", "content": "s"}, f"question {number}"), context())


def test_velocity_latches_until_reset() -> None:
    clock = Clock()
    b = breaker(clock, usd_per_minute=1)
    for _ in range(4):
        b.spent("real", 250_000_000)
    b.check(request("a"), context())
    clock.seconds += 61  # old money does not count
    b.spent("real", 900_000_000)
    b.check(request("b"), context())
    b.spent("simulated", 900_000_000)
    b.check(request("c"), context())
    b.spent("real", 200_000_000)
    with pytest.raises(LoopDetected, match="too fast") as caught:
        b.check(request("d"), context())
    assert "$1.10 (real)" in caught.value.sentence()
    clock.seconds += 600
    with pytest.raises(LoopDetected):
        b.check(request("e"), context())
    assert b.tripped == "Money goes too fast"
    b.reset()
    b.check(request("f"), context())


def test_everything_off_checks_nothing() -> None:
    b = breaker()
    for _ in range(500):
        b.check(request("same"), context(depth=99))
        b.spent("real", 10**12)
