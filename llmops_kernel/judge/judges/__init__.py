"""Who judges: any model through the door, a jury of them, or the offline heuristics.

A judge answers a `Task` with a `Ruling`. `OfflineJudge` answers none: it computes signals of
its own, under names of their own, which are neither a model's nor a person's judgement.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmops_kernel.judge.judges.door import door, judge_of
    from llmops_kernel.judge.judges.jury import Jury
    from llmops_kernel.judge.judges.model import ModelJudge
    from llmops_kernel.judge.judges.offline import BADGE, OfflineJudge
    from llmops_kernel.judge.judges.protocol import Judge, Ruling

_HOMES = {
    "BADGE": "offline",
    "Judge": "protocol",
    "Jury": "jury",
    "ModelJudge": "model",
    "OfflineJudge": "offline",
    "Ruling": "protocol",
    "door": "door",
    "judge_of": "door",
}

__all__ = ["BADGE", "Judge", "Jury", "ModelJudge", "OfflineJudge", "Ruling", "door", "judge_of"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
