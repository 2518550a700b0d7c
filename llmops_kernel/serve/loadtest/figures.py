"""What samples say: percentiles from the raw ones, throughput, completeness, batching."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmops_kernel.serve.loadtest.client import Goal, Sample
    from llmops_kernel.serve.loadtest.loops import Run
    from llmops_kernel.serve.loadtest.prefix import Prefix

# Streams open at once from which an engine works on several.
_BATCHES = 1.5
_ENOUGH_CLIENTS = 4
# That it does not is said of streams that wait for each other, and only of those that had to
# overlap: a stream of twice the time to a first token is still open when the next one begins.
_ENOUGH_STREAMS = 4
_LONG_ENOUGH = 2.0
_MOST_WAIT = 0.5


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one load; times are seconds, None where no answer was complete.

    Attributes:
        load: What was put on the server.
        clients: Clients of a closed loop; 0 for an open one.
        rate: Arrivals a second of an open loop.
        requests: Requests sent.
        completeness: Share of answers that came whole.
        errors: What went wrong, by kind.
        ttft_p50_s: Median time to the first token.
        ttft_p95_s: Its 95th percentile.
        ttft_p99_s: Its 99th percentile.
        tpot_p50_s: Median time between tokens.
        latency_p50_s: Median time to the end of the answer.
        latency_p95_s: Its 95th percentile.
        tokens_per_s: Output tokens of complete answers a second.
        requests_per_s: Complete answers a second.
        streams_at_once: Answers that were arriving at the same time, on average.
        prompt_tokens: Prompt tokens of complete answers, as the server counts them.
        cached_prompt_tokens: Those it had kept from earlier prompts; None if it does not tell.
    """

    load: str
    clients: int
    rate: float
    requests: int
    completeness: float
    errors: dict[str, int]
    ttft_p50_s: float | None
    ttft_p95_s: float | None
    ttft_p99_s: float | None
    tpot_p50_s: float | None
    latency_p50_s: float | None
    latency_p95_s: float | None
    tokens_per_s: float
    requests_per_s: float
    streams_at_once: float
    prompt_tokens: int = 0
    cached_prompt_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class LoadTest:
    """A load test.

    Attributes:
        target: What was measured.
        rows: One for each load.
        notes: What a person should know; a line each.
        batches: Whether the engine works on several requests at once; None where answers are too
            few or too short to tell.
        runs: The raw samples.
        prefix: Prompt tokens kept of prompts that begin alike; None if the engine does not tell.
        about: What is known of the server: ``engine``, ``file_type``, ``ready_s``.
    """

    target: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    batches: bool | None
    runs: tuple[Run, ...]
    prefix: Prefix | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def row(self, clients: int = 0, rate: float = 0.0) -> Row:
        """Return the row of a load (raises `KeyError`)."""
        for each in self.rows:
            if each.clients == clients and each.rate == rate:
                return each
        raise KeyError((clients, rate))

    def knee(self, ttft_s: float = 1.0) -> float | None:
        """Return the highest arrival rate at which 95 % of first tokens came in time.

        None if there is none, or no open loop was run. Every answer must have come whole.
        """
        fit = 0.0
        for row in sorted((each for each in self.rows if each.rate), key=lambda each: each.rate):
            if row.completeness < 1 or row.ttft_p95_s is None or row.ttft_p95_s > ttft_s:
                break
            fit = row.rate
        return fit or None

    def as_json(self, *, samples: bool = False) -> dict[str, Any]:
        """Return the figures, with all samples if they are asked for."""
        found: dict[str, Any] = {
            "target": self.target,
            "rows": [asdict(row) for row in self.rows],
            "notes": list(self.notes),
            "batches": self.batches,
            "prefix": None if self.prefix is None else asdict(self.prefix),
            "server": dict(self.about),
        }
        if samples:
            found["samples"] = [
                {"load": run.load.label, **asdict(each)}
                for run in self.runs
                for each in run.samples
            ]
        return found


def summarise(goal: Goal, runs: Sequence[Run], prefix: Prefix | None = None) -> LoadTest:
    """Return what a load test has found.

    Raises:
        UsageProblem: Nothing was sent.
    """
    if not runs or not all(run.samples for run in runs):
        raise UsageProblem("A load test needs at least one request")
    rows = tuple(_row(run) for run in runs)
    batches = _batches(rows, runs)
    return LoadTest(
        goal.label or goal.model,
        rows,
        _notes(rows, batches),
        batches,
        tuple(runs),
        prefix,
        goal.about,
    )


def percentile(values: Iterable[float], share: float) -> float | None:
    """Return a percentile of raw values, between the two nearest; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _row(run: Run) -> Row:
    whole = [each for each in run.samples if each.complete]
    errors: dict[str, int] = {}
    for each in run.samples:
        if not each.complete:
            kind = _kind(each)
            errors[kind] = errors.get(kind, 0) + 1
    first = [each.ttft for each in whole]
    between = [each.tpot for each in whole if each.tpot is not None]
    latency = [each.latency for each in whole]
    seconds = max(run.seconds, 1e-9)
    return Row(
        load=run.load.label,
        clients=run.load.clients,
        rate=run.load.rate,
        requests=len(run.samples),
        completeness=len(whole) / len(run.samples),
        errors=errors,
        ttft_p50_s=percentile(first, 0.5),
        ttft_p95_s=percentile(first, 0.95),
        ttft_p99_s=percentile(first, 0.99),
        tpot_p50_s=percentile(between, 0.5),
        latency_p50_s=percentile(latency, 0.5),
        latency_p95_s=percentile(latency, 0.95),
        tokens_per_s=sum(each.tokens for each in whole) / seconds,
        requests_per_s=len(whole) / seconds,
        streams_at_once=_at_once(whole),
        prompt_tokens=sum(each.prompt_tokens for each in whole),
        cached_prompt_tokens=_cached(whole),
    )


def _cached(samples: Sequence[Sample]) -> int | None:
    told = [each.cached for each in samples if each.cached is not None]
    return sum(told) if told and len(told) == len(samples) else None


def _kind(sample: Sample) -> str:
    if sample.error:
        return sample.error.partition(":")[0]
    if not sample.finish:
        return "broken off without a reason"
    return "cut short" if sample.text else "empty"


def _at_once(samples: Sequence[Sample]) -> float:
    """Return the time that answers were arriving, added up, over the time that any was.

    1 means one after the other: it does not depend on how fast the machine is, as throughput does.
    """
    spans = sorted((each.first, each.last) for each in samples if each.last > each.first)
    if not spans:
        return 0.0
    total = sum(last - first for first, last in spans)
    covered, end = 0.0, float("-inf")
    for first, last in spans:
        covered += max(0.0, last - max(first, end))
        end = max(end, last)
    return total / covered


def _batches(rows: Sequence[Row], runs: Sequence[Run]) -> bool | None:
    """Say whether answers overlap; None if nothing can be said.

    Streams that overlap show it. That they do not shows the contrary only where each of them was
    long enough, and where most began when another one ended.
    """
    many = [pair for pair in zip(rows, runs, strict=True) if pair[0].clients >= _ENOUGH_CLIENTS]
    if not many:
        return None
    row, run = max(many, key=lambda pair: pair[0].clients)
    if row.streams_at_once >= _BATCHES:
        return True
    streams = [each for each in run.samples if each.complete and each.last > each.first]
    span = percentile([each.last - each.first for each in streams], 0.5)
    if span is None or len(streams) < _ENOUGH_STREAMS or span < _LONG_ENOUGH * _unloaded(runs):
        return None
    waited = sum(_waited(each, streams) for each in streams)
    return None if waited < _MOST_WAIT * len(streams) else False


def _unloaded(runs: Sequence[Run]) -> float:
    """Return the seconds to a first token where no other answer is waited for."""
    alone = [
        each.ttft for run in runs if run.load.clients == 1 for each in run.samples if each.complete
    ]
    if (found := percentile(alone, 0.5)) is not None:
        return found
    return min(each.ttft for run in runs for each in run.samples if each.complete)


def _waited(sample: Sample, streams: Sequence[Sample]) -> bool:
    """Whether a request was there before another's answer began, and got its own after its end."""
    return any(
        sample.sent < other.first and other.last <= sample.first
        for other in streams
        if other is not sample
    )


def _notes(rows: Sequence[Row], batches: bool | None) -> tuple[str, ...]:
    notes = []
    broken = [row for row in rows if row.completeness < 1]
    if broken:
        kinds = sorted({kind for row in broken for kind in row.errors})
        notes.append(
            "Not every answer came whole: " + ", ".join(kinds) + ". Figures are of those that did."
        )
    if batches is False:
        notes.append(
            "This engine does not batch: answers come one after the other, and each further client "
            "waits longer."
        )
    elif batches is None and any(row.clients >= _ENOUGH_CLIENTS for row in rows):
        notes.append(
            "Whether this engine batches: too few or too short answers to tell. Give it more "
            "requests, or more tokens of an answer."
        )
    elif batches:
        notes.append("This engine batches: answers to several clients arrive at the same time.")
    return tuple(notes)
