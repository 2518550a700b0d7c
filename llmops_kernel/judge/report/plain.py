"""The report as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.judge.report.model import Report


def to_json(report: Report, *, indent: int | None = 2) -> str:
    """Return a report as JSON text (ASCII, so that any text of a sample survives any encoding)."""
    return json.dumps(report.as_dict(), indent=indent, allow_nan=False)
