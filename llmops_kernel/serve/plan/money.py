"""Dollars: a million tokens on one's own GPU, and from how many requests a day it pays."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.serve.plan.figure import Figure

if TYPE_CHECKING:
    from llmops_kernel.calls.prices import Price
    from llmops_kernel.serve.plan.serving import ServingPlan

_HOUR = 3_600
_DAY = 86_400
_MOST_AT_ONCE = 256  # what engines set for cards of less than 70 GiB


@dataclass(frozen=True, slots=True)
class Work:
    """An average request.

    Attributes:
        input_tokens: Tokens of its prompt.
        output_tokens: Tokens of its answer.
    """

    input_tokens: int = 500
    output_tokens: int = 150

    def __post_init__(self) -> None:
        if self.input_tokens < 0 or self.output_tokens < 1:
            raise UsageProblem("A request has at least one output token")


@dataclass(frozen=True, slots=True)
class BreakEven:
    """One's own GPU against a model that is paid by the token.

    Attributes:
        api_usd_per_request: What the API takes for a request.
        gpu_usd_per_day: What the GPU costs in a day, busy or not.
        capacity_per_day: Requests that the GPU can answer in a day.
        requests_per_day: Requests from which on the GPU is cheaper; more than the capacity means
            that one GPU never is.
    """

    api_usd_per_request: Decimal
    gpu_usd_per_day: Figure
    capacity_per_day: Figure
    requests_per_day: Figure

    @property
    def pays(self) -> bool:
        """Whether one GPU can answer as many requests as make it cheaper."""
        return self.requests_per_day.best <= self.capacity_per_day.best

    def as_json(self) -> dict[str, Any]:
        """Return the comparison; dollars in USD."""
        return {
            "api_usd_per_request": str(self.api_usd_per_request),
            "gpu_usd_per_day": self.gpu_usd_per_day.as_json(2),
            "capacity_requests_per_day": self.capacity_per_day.as_json(0),
            "break_even_requests_per_day": self.requests_per_day.as_json(0),
            "pays": self.pays,
        }


def full_at(plan: ServingPlan) -> int:
    """Return how many sequences at once fit; no more than engines run at once by default."""
    return max(1, min(int(plan.max_concurrency.best), _MOST_AT_ONCE))


def roofline(plan: ServingPlan, work: Work, at_once: int = 0) -> Figure | None:
    """Estimate the output tokens a second; None without a bandwidth, or where nothing runs.

    Every step reads all (active) weights once and the keys and values of each sequence. Engines
    reach 40 to 85 % of that bound; prompts are not counted.

    Args:
        plan: Model, GPU and demand.
        work: An average request.
        at_once: Sequences at once; 0 for as many as the plan was asked for.
    """
    if not plan.gpu.bandwidth or not plan.fits:
        return None
    shape, active = plan.shape, 1.0
    running = at_once or plan.demand.concurrency
    if shape.experts:
        # Few sequences touch few experts, many touch all of them.
        share = min(1.0, running * shape.active_experts / shape.experts)
        idle = shape.expert_parameters * (1 - share)
        active = 1 - idle / shape.parameters
    length = work.input_tokens + work.output_tokens // 2
    kv = plan.kv_per_token * length * running
    per_step = plan.weights.best * active + kv
    bound = running * plan.gpu.bandwidth / per_step
    return Figure(
        bound * 0.4,
        bound * 0.6,
        bound * 0.85,
        f"{running:,} at once; memory bandwidth, of which engines reach 40 to 85 %",
    )


def usd_per_million(usd_per_hour: Figure, tokens_per_second: Figure, busy: float = 1.0) -> Figure:
    """Return the dollars of 1M output tokens.

    Args:
        usd_per_hour: What the GPUs cost in an hour.
        tokens_per_second: Output tokens a second while busy.
        busy: Share of the time in which there is work.

    Raises:
        UsageProblem: Nothing is produced, so no price exists.
    """
    if tokens_per_second.low <= 0 or not 0 < busy <= 1:
        raise UsageProblem(
            "Throughput and busy share must be above zero",
            detail=f"{tokens_per_second.low:g} tokens/s, busy {busy:g}",
        )
    seconds = 1e6 / busy
    return Figure(
        usd_per_hour.low / _HOUR * seconds / tokens_per_second.high,
        usd_per_hour.best / _HOUR * seconds / tokens_per_second.best,
        usd_per_hour.high / _HOUR * seconds / tokens_per_second.low,
        "; ".join(
            each.anchor for each in (usd_per_hour, tokens_per_second)
            if not each.is_exact and each.anchor
        ),
    )  # fmt: skip


def break_even(
    price: Price, work: Work, usd_per_hour: Figure, tokens_per_second: Figure
) -> BreakEven:
    """Compare a GPU that runs all day with a model paid by the token.

    Args:
        price: The API model's price, as the catalog knows it.
        work: An average request.
        usd_per_hour: What the GPUs cost in an hour.
        tokens_per_second: Output tokens a second that they make.

    Raises:
        UsageProblem: The API costs nothing, so nothing is cheaper.
    """
    from llmops_kernel.calls.usage import Usage

    nano = price.cost(Usage(input_tokens=work.input_tokens, output_tokens=work.output_tokens))
    if nano <= 0:
        raise UsageProblem(
            "The model to compare with costs nothing", hint="Name a model with a price"
        )
    api = Decimal(nano).scaleb(-9)
    day = usd_per_hour.times(24)
    each = float(api)
    needed = Figure(
        ceil(day.low / each), ceil(day.best / each), ceil(day.high / each), usd_per_hour.anchor
    )
    capacity = tokens_per_second.times(_DAY / work.output_tokens)
    return BreakEven(api, day, capacity, needed)
