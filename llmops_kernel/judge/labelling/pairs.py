"""Two answers to each question."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmops_kernel.judge.samples import Sample

OTHER = "response_b"  # as the metric `pairwise` names it


def paired(samples: Iterable[Sample], baseline: Sequence[Sample]) -> tuple[Sample, ...]:
    """Return the samples with the baseline's answers beside their own, as ``response_b``.

    Samples that the baseline lacks are left out, and those whose answers are the same: there is
    nothing to choose.

    Raises:
        UsageProblem: No pair is left.
    """
    known = {each.id: each.response for each in baseline}
    found = tuple(
        replace(each, extra={**each.extra, OTHER: known[each.id]})
        for each in samples
        if each.id in known and known[each.id].strip() != each.response.strip()
    )
    if not found:
        raise UsageProblem(
            "There is no pair of different answers",
            hint="Both sets need samples of the same ids with answers that differ",
        )
    return found
