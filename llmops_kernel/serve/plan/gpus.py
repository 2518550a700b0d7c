"""Accelerators by name: memory, bandwidth, and what an hour of one costs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.serve.plan.figure import GB, GIB, Figure

PRICED_ON = "2026-05"
_RENTED = f"range of on-demand rental prices, {PRICED_ON}"


@dataclass(frozen=True, slots=True)
class Gpu:
    """An accelerator.

    Attributes:
        name: What to call it.
        bytes: Memory that a program is shown, in bytes: less than the number on the box.
        bandwidth: Bytes a second between memory and cores; 0 where it is not known.
        usd_per_hour: What an hour costs to rent; None where no price is given.
        capability: Compute capability of an NVIDIA GPU (8.0 and up have bf16); 0 where it is not
            known.
    """

    name: str
    bytes: float
    bandwidth: float = 0.0
    usd_per_hour: Figure | None = None
    capability: float = 0.0

    @property
    def gib(self) -> float:
        """Memory in GiB."""
        return self.bytes / GIB


def _gpu(
    name: str,
    gib: float,
    tb_s: float,
    capability: float,
    usd: tuple[float, float, float] | None = None,
) -> tuple[str, Gpu]:
    price = None if usd is None else Figure(*usd, _RENTED)
    return name.lower(), Gpu(name, gib * GIB, tb_s * 1e12, price, capability)


# Memory as a driver reports it with nothing running; the number on the box is a little more.
_KNOWN = dict(
    (
        _gpu("H100", 79.18, 3.35, 9.0, (1.99, 3.00, 5.00)),
        _gpu("H100-NVL", 93.11, 3.94, 9.0),
        _gpu("H200", 139.8, 4.8, 9.0, (2.50, 4.00, 7.00)),
        _gpu("B200", 178.3, 8.0, 10.0),
        _gpu("A100", 79.15, 2.04, 8.0, (0.80, 1.50, 3.00)),
        _gpu("A100-40GB", 39.4, 1.56, 8.0),
        _gpu("L40S", 44.4, 0.864, 8.9),
        _gpu("A6000", 47.4, 0.768, 8.6),
        _gpu("RTX-5090", 31.4, 1.79, 12.0),
        _gpu("RTX-4090", 23.6, 1.01, 8.9),
        _gpu("RTX-3090", 23.6, 0.936, 8.6),
        _gpu("L4", 22.0, 0.3, 8.9),
        _gpu("A10G", 22.0, 0.6, 8.6),
        _gpu("T4", 14.6, 0.32, 7.5),
        _gpu("V100", 15.8, 0.9, 7.0),
        _gpu("MI300X", 191.9, 5.3, 0.0),
    )
)
_SAME = {
    "h100-80gb": "h100", "h100-sxm": "h100", "h100-sxm5": "h100", "h100-pcie": "h100",
    "a100-80gb": "a100", "a100-sxm": "a100", "h200-sxm": "h200", "a10": "a10g",
    "4090": "rtx-4090", "rtx4090": "rtx-4090", "3090": "rtx-3090", "rtx3090": "rtx-3090",
    "5090": "rtx-5090", "rtx5090": "rtx-5090", "rtx-a6000": "a6000",
}  # fmt: skip
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(gib|gb|mib|mb|g|b)?", re.IGNORECASE)
_UNITS = {"gib": GIB, "gb": GB, "g": GIB, "mib": 2**20, "mb": 10**6, "b": 1, "": 1}
_LEAST = 2**28  # a plain number below this is more likely gigabytes than bytes


def known_gpus() -> list[str]:
    """Return the names of the accelerators."""
    return [gpu.name for gpu in _KNOWN.values()]


def find_gpu(text: str) -> Gpu:
    """Return an accelerator by name, or one of so many bytes (``24GiB``, ``24GB``, digits).

    Raises:
        UsageProblem: Neither a known name nor a size.
    """
    asked = text.strip()
    name = re.sub(r"[\s_]+", "-", asked.lower()).removeprefix("nvidia-").removeprefix("geforce-")
    if (gpu := _KNOWN.get(_SAME.get(name, name))) is not None:
        return gpu
    if size := _SIZE.fullmatch(asked):
        amount = float(size[1]) * _UNITS[(size[2] or "").lower()]
        if amount < _LEAST:
            raise UsageProblem(
                "The GPU's memory is too small",
                detail=f"{asked} is {amount:,.0f} bytes",
                hint="Give a unit: 24GiB (24 x 1024³ bytes) or 24GB (24 x 1000³ bytes)",
            )
        return Gpu(asked, amount)
    raise UsageProblem(
        f"The planner does not know the GPU {text!r}{nearest(name, _KNOWN)}",
        hint=f"Give its memory, such as 24GiB, or one of: {', '.join(known_gpus())}",
    )
