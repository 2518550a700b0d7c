"""One question to the planner, answered whole: memory, training, throughput and dollars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.serve.plan.figure import Figure
from llmops_kernel.serve.plan.gpus import find_gpu
from llmops_kernel.serve.plan.known import find_shape
from llmops_kernel.serve.plan.money import (
    BreakEven,
    Work,
    break_even,
    full_at,
    roofline,
    usd_per_million,
)
from llmops_kernel.serve.plan.serving import ServingPlan, plan_serving
from llmops_kernel.serve.plan.training import TrainingDemand, TrainingPlan, plan_training

if TYPE_CHECKING:
    from llmops_kernel.calls.prices import Price
    from llmops_kernel.serve.plan.demand import Demand

# How the two usual trainers save memory.
TRAINERS: dict[str, dict[str, Any]] = {
    "trl": {"upcast_embeddings": True},
    "unsloth": {"fused_ce": True, "offload_ckpt": True, "adam_8bit": True},
}


@dataclass(frozen=True, slots=True)
class Planned:
    """What the planner found.

    Attributes:
        serving: The memory of serving.
        training: The memory of training, if it was asked for.
        tokens_per_second: Output tokens a second: given, or bounded by memory bandwidth.
        usd_per_hour: What the GPUs cost in an hour.
        usd_per_million: Dollars of 1M output tokens while the GPUs are busy.
        versus: The model that it is compared with.
        break_even: The comparison.
    """

    serving: ServingPlan
    training: TrainingPlan | None = None
    tokens_per_second: Figure | None = None
    usd_per_hour: Figure | None = None
    usd_per_million: Figure | None = None
    versus: str = ""
    break_even: BreakEven | None = None

    def as_json(self) -> dict[str, Any]:
        """Return everything; what was not asked for, or cannot be known, is left out."""
        found = self.serving.as_json()
        if self.tokens_per_second is not None:
            found["output_tokens_per_second"] = self.tokens_per_second.as_json(1)
        if self.usd_per_hour is not None:
            found["usd_per_hour"] = self.usd_per_hour.as_json()
        if self.usd_per_million is not None:
            found["usd_per_1m_output_tokens"] = self.usd_per_million.as_json(4)
        if self.break_even is not None:
            found["versus"] = {"model": self.versus, **self.break_even.as_json()}
        if self.training is not None:
            found["training"] = self.training.as_json()
        return found


def plan(
    model: str,
    gpu: str,
    demand: Demand,
    *,
    work: Work | None = None,
    usd_per_hour: float | None = None,
    tokens_per_second: float | None = None,
    busy: float = 1.0,
    versus: str = "",
    price: Price | None = None,
    training: TrainingDemand | None = None,
    fill: bool = False,
) -> Planned:
    """Plan a model on a GPU.

    Args:
        model: A known or registered name, a ``config.json`` or a folder that has one.
        gpu: A name, or a size in bytes.
        demand: What the server shall do.
        work: An average request, for throughput and break-even.
        usd_per_hour: What one GPU costs in an hour; None for the list's range.
        tokens_per_second: Measured output tokens a second; None for the bound of the bandwidth.
        busy: Share of the time in which there is work.
        versus: The model to compare with, by name.
        price: Its price.
        training: How the model shall be trained, if it shall.
        fill: Reckon throughput, dollars and capacity with as many sequences at once as fit, in
            place of the demand's; what a server is bought for is many at once.

    Raises:
        UsageProblem: A name is unknown, a figure cannot be, or a comparison lacks one.
    """
    shape, card = find_shape(model), find_gpu(gpu)
    serving = plan_serving(shape, card, demand)
    work = work or Work()
    if tokens_per_second is not None:
        speed: Figure | None = Figure.exact(tokens_per_second, "given")
    else:
        speed = roofline(serving, work, full_at(serving) if fill else 0)
    hour = card.usd_per_hour
    if usd_per_hour is not None:
        hour = Figure.exact(usd_per_hour, "given")
    if hour is not None:
        hour = hour.times(demand.gpus)
    million = usd_per_million(hour, speed, busy) if hour is not None and speed is not None else None
    compared = None
    # Of what does not start nothing can be said but that it does not start.
    if price is not None and (serving.fits or speed is not None):
        if hour is None or speed is None:
            raise UsageProblem(
                "A comparison needs the GPU's price and a throughput",
                hint="Give --usd-per-hour, and --throughput in output tokens a second",
            )
        compared = break_even(price, work, hour, speed)
    return Planned(
        serving=serving,
        training=None if training is None else plan_training(shape, training),
        tokens_per_second=speed,
        usd_per_hour=hour,
        usd_per_million=million,
        versus=versus,
        break_even=compared,
    )
