"""Load tests: raw percentiles, waiting counted from when it began, whole answers, batching."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.errors import UsageProblem
from llmops_kernel.serve.loadtest import (
    Goal,
    Load,
    LoadTest,
    Run,
    Sample,
    load_test,
    percentile,
    summarise,
)
from llmops_kernel.serve.servers.starting import start_server
from llmops_kernel.serve.servers.stopping import key_of
from llmops_kernel.serve.servers.wanted import Wanted

Liar = Callable[..., Path]
PROMPTS = ["one", "two"]


@contextmanager
def serving(model: Path) -> Iterator[Goal]:
    record = start_server(str(model), wanted=Wanted(wait_s=20.0)).record
    yield Goal(record.replicas[0].url, record.model, key_of(record), "liar")


def test_an_engine_that_batches(liar: Liar) -> None:
    with serving(liar(pause=0.01)) as goal:
        test = load_test(goal, [Load(1, requests=4), Load(8, requests=24)], prompts=PROMPTS)
    assert test.batches is True
    assert test.row(clients=1).streams_at_once == pytest.approx(1.0, abs=0.05)
    assert test.row(clients=8).streams_at_once > 3
    assert all(row.completeness == 1 for row in test.rows)
    assert test.row(clients=8).tokens_per_s > test.row(clients=1).tokens_per_s
    assert all(each.tokens == 8 for run in test.runs for each in run.samples)


def test_an_engine_that_does_not_batch_is_named(liar: Liar) -> None:
    with serving(liar("serial", pause=0.02)) as goal:
        test = load_test(goal, [Load(1, requests=4), Load(8, requests=16)], prompts=PROMPTS)
    assert test.batches is False
    assert any("does not batch" in note for note in test.notes)
    one, eight = test.rows
    assert eight.ttft_p50_s > 3 * one.ttft_p50_s  # type: ignore[operator]


def streamed(clients: int, *streams: tuple[float, float, float]) -> Run:
    """A run of answers, each sent, begun and ended at these seconds."""
    samples = [
        Sample(
            0,
            sent,
            sent=sent,
            first=first,
            last=last,
            done=last,
            tokens=8,
            text="a b",
            finish="stop",
        )
        for sent, first, last in streams
    ]
    return Run(Load(clients, requests=len(samples)), samples, max(each[2] for each in streams))


def judged(*runs: Run) -> LoadTest:
    return summarise(Goal("http://127.0.0.1:9/v1", "m"), runs)


LONE = streamed(1, (0.0, 0.1, 1.1), (1.1, 1.2, 2.2))
QUEUE = [(0.0, 0.1 + number, 1.1 + number) for number in range(8)]


def test_long_answers_that_wait_for_each_other_are_told() -> None:
    for runs in ((LONE, streamed(4, *QUEUE)), (streamed(4, *QUEUE),)):
        found = judged(*runs)
        assert found.batches is False
        assert any("does not batch" in note for note in found.notes)


@pytest.mark.parametrize(
    "runs",
    [
        # Shorter than the time to a first token: an engine that batches would look the same.
        (
            streamed(1, (0.0, 0.1, 0.12)),
            streamed(4, *[(0.0, 0.1 + n / 10, 0.12 + n / 10) for n in range(8)]),
        ),
        (LONE, streamed(4, *QUEUE[:3])),
        # Clients that had nothing to wait for.
        (LONE, streamed(4, *[(n * 2.0, n * 2 + 0.1, n * 2 + 1.1) for n in range(8)])),
        # One piece each.
        (LONE, streamed(4, *[(0.0, 0.1 + n, 0.1 + n) for n in range(8)])),
    ],
)
def test_too_few_or_too_short_answers_are_no_verdict(runs: tuple[Run, ...]) -> None:
    found = judged(*runs)
    assert found.batches is None
    assert [note for note in found.notes if "batch" in note] == [
        "Whether this engine batches: too few or too short answers to tell. Give it more "
        "requests, or more tokens of an answer."
    ]


def test_short_answers_that_overlap_are_a_verdict() -> None:
    assert judged(streamed(4, *[(0.0, 0.1, 0.12)] * 4)).batches is True


def test_one_client_is_no_question() -> None:
    found = judged(LONE)
    assert found.batches is None
    assert found.notes == ()


def test_half_answers_under_status_200_are_not_complete(liar: Liar) -> None:
    with serving(liar("truncates", pause=0.02)) as goal:
        test = load_test(goal, [Load(1, requests=3), Load(8, requests=16)], prompts=PROMPTS)
    one, eight = test.rows
    assert one.completeness == 1
    assert eight.completeness < 0.5
    assert eight.errors == {"broken off without a reason": 16 - round(eight.completeness * 16)}
    assert all(each.status == 200 for each in test.runs[1].samples)
    assert any("Not every answer came whole" in note for note in test.notes)


def test_waiting_counts_from_the_arrival_and_not_from_the_sending(liar: Liar) -> None:
    """Six arrivals at once at a server that takes 0.16 s each: the last waits for five others."""
    with serving(liar("serial", pause=0.02)) as goal:
        test = load_test(goal, [Load(rate=1_000.0, requests=6)], prompts=PROMPTS)
    [run] = test.runs
    waits = sorted(each.ttft for each in run.samples)
    assert waits[-1] > 4 * 0.16
    assert waits[-1] - waits[0] > 4 * 0.16
    assert max(each.sent - each.due for each in run.samples) < 0.5


def test_arrivals_are_drawn_and_the_same_for_a_seed(liar: Liar) -> None:
    with serving(liar()) as goal:
        loads = [Load(rate=200.0, requests=20, seed=seed) for seed in (1, 1, 2)]
        runs = load_test(goal, loads, prompts=PROMPTS).runs
    gaps = [
        [round(b.due - a.due, 6) for a, b in zip(run.samples, run.samples[1:], strict=False)]
        for run in runs
    ]
    assert gaps[0] == gaps[1] != gaps[2]
    assert len(set(gaps[0])) > 15  # neither regular nor in bursts


def test_the_knee_is_the_last_rate_in_time(liar: Liar) -> None:
    with serving(liar("serial", pause=0.02)) as goal:
        loads = [Load(rate=rate, requests=12) for rate in (1.5, 200.0)]
        test = load_test(goal, loads, prompts=PROMPTS)
    assert test.knee(0.8) == 1.5
    assert test.knee(0.0001) is None
    assert test.row(rate=200.0).ttft_p95_s > 0.8  # type: ignore[operator]


def test_errors_are_told_by_kind(liar: Liar) -> None:
    with serving(liar()) as goal:
        wrong = Goal(goal.url, goal.model, "wrong", "liar")
        gone = Goal("http://127.0.0.1:9/v1", "m", "", "nobody")
        for each, kind in ((wrong, "HTTP 401"), (gone, "ClientConnectorError")):
            row = load_test(each, [Load(2, requests=4)], prompts=PROMPTS).rows[0]
            assert row.completeness == 0
            assert row.errors == {kind: 4}
            assert row.ttft_p50_s is None
    assert goal.key not in repr(goal)


def test_nothing_to_send_is_refused(liar: Liar) -> None:
    with serving(liar()) as goal, pytest.raises(UsageProblem):
        load_test(goal, [], prompts=PROMPTS)


def test_figures_are_json_with_every_sample(liar: Liar) -> None:
    with serving(liar()) as goal:
        test = load_test(goal, [Load(2, requests=4)], prompts=PROMPTS)
    told = json.loads(json.dumps(test.as_json(samples=True), allow_nan=False))
    assert len(told["samples"]) == 4
    assert "samples" not in test.as_json()
    assert goal.key not in json.dumps(told)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.floats(0, 1))
def test_a_percentile_lies_among_its_values(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found is not None
    assert min(values) <= found <= max(values)
    ordered = sorted(values)
    below = sum(each <= found + 1e-9 * max(1.0, abs(found)) for each in ordered)
    assert below >= share * (len(ordered) - 1)


def test_percentiles_of_known_values() -> None:
    assert percentile(range(101), 0.95) == 95
    assert percentile([1.0, 2.0], 0.5) == 1.5
    assert percentile([], 0.5) is None


@pytest.mark.parametrize(
    ("changes", "complete"),
    [
        ({}, True),
        ({"finish": ""}, False),
        ({"text": ""}, False),
        ({"error": "ClientOSError"}, False),
        ({"text": "The fee", "lone": "The fee is two"}, False),
        ({"text": "The fee is three", "lone": "The fee is two"}, True),
        ({"finish": "length"}, True),
        ({"finish": "error"}, False),
    ],
)
def test_what_counts_as_whole(changes: dict[str, str], complete: bool) -> None:
    sample = Sample(0, 0.0, text="The fee is two", finish="stop", lone="The fee is two")
    for name, value in changes.items():
        setattr(sample, name, value)
    assert sample.complete is complete
