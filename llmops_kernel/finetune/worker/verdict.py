"""What a pre-flight ends in: it is told, and the run goes on or is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.finetune.layout import REFUSED, write_json
from llmops_kernel.finetune.worker.job import Ended

if TYPE_CHECKING:
    from llmops_kernel.finetune.worker.checks import Preflight
    from llmops_kernel.finetune.worker.job import Job


def refuse_if_fatal(job: Job, found: Preflight) -> None:
    """End here if a check stops the run whatever was asked (raises `Ended`)."""
    if any(check.fatal and check.state == "stop" for check in found.checks):
        give_verdict(job, found)


def give_verdict(job: Job, found: Preflight) -> None:
    """Tell what the pre-flight found, and end here where it says stop.

    Raises:
        Ended: The run is refused.
    """
    on_fail = job.run["preflight"]["on_fail"]
    plain = found.plain(on_fail)
    write_json(job.folder.preflight, plain)
    estimate = found.figures.get("memory")
    job.emit({"event": "preflight", **plain, "estimate": estimate})
    if stops := found.stops(on_fail):
        first = stops[0]
        more = f" (and {len(stops) - 1} more)" if len(stops) > 1 else ""
        own = first.said.startswith(("LoRA", "Axolotl"))
        raise Ended(
            REFUSED, first.said if own else f"{first.said[0].lower()}{first.said[1:]}",
            detail=f"{first.detail}{more}", hint=first.hint,
        )  # fmt: skip
